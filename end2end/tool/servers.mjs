// OAuth2 servers that were not written here, each dressed as a Git host: a few routes in front of it stand for the
// host's API. They are strict where the simulated hosts could share a mistake with Gitward: they insist on proof keys,
// end a whole grant when a refresh token is used twice, and one says who it is in what the browser brings back.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Oidc from 'oidc-provider';
import { portIsFree, startProgram } from './site.mjs';

/** Who has an account there, with the id at the Git host. */
export const people = { octocat: 583231, hubot: 2 };

const client = { id: 'gitward-demo', secret: 'gitward-demo-secret' };

// It warns of what makes it fit for tests, once each time: that it forgets everything, and has pages for examples.
const { warn } = console;
console.warn = (text, ...more) => String(text).includes('oidc-provider WARNING') || warn(text, ...more);

/** A server on a port of its own that does what `answer` says. */
async function serve(answer) {
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

function say(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const bearer = (request) => request.headers.authorization?.match(/^Bearer (\S+)$/)?.[1];

/**
 * oidc-provider with GitLab's paths. `life` is that of access tokens in seconds, `secret` the app's, `issuer` what the
 * server calls itself, unless it is its address. `keep` is told every token.
 */
export async function startOidc({ life = 7200, secret = client.secret, issuer, keep = () => {} } = {}) {
  let oidc;
  const server = await serve(async (request, response) => {
    const { pathname } = new URL(request.url, server.url);
    if (!['/oauth/token/info', '/api/v4/user'].includes(pathname)) return oidc.callback()(request, response);
    const token = bearer(request) && (await oidc.AccessToken.find(bearer(request)));
    if (!token) return say(response, 401, { error: 'invalid_token', error_description: 'The access token is invalid' });
    const id = people[token.accountId];
    if (pathname === '/api/v4/user') return say(response, 200, { id, username: token.accountId, bot: false });
    return say(response, 200, {
      resource_owner_id: id, scope: token.scope.split(' '), expires_in: token.remainingTTL,
      application: { uid: token.clientId }, created_at: token.iat,
    });
  });

  const refreshTokens = [];
  const grants = new Set();
  const asked = [];
  /** Lets the app send people back there. Gitward has an address only once it knows ours. */
  const allow = (callback) => {
    oidc = new Oidc(issuer ?? server.url, {
      clients: [{
        client_id: client.id, client_secret: secret, redirect_uris: [callback], response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'client_secret_post',
      }],
      scopes: ['api', 'read_api', 'read_user', 'read_repository', 'write_repository'],
      routes: { authorization: '/oauth/authorize', token: '/oauth/token' },
      pkce: { required: () => true },
      issueRefreshToken: () => true,
      rotateRefreshToken: true,
      ttl: { AccessToken: life, AuthorizationCode: 60, Grant: 86400, Interaction: 600, RefreshToken: 86400, Session: 3600 },
      cookies: { keys: ['only for tests'] },
      findAccount: (_, name) => people[name] && { accountId: name, claims: () => ({ sub: name }) },
    });
    oidc.on('access_token.saved', ({ jti, grantId }) => {
      keep(jti);
      grants.add(grantId);
    });
    // Saved again when it was used.
    oidc.on('refresh_token.saved', ({ jti }) => {
      keep(jti);
      if (!refreshTokens.includes(jti)) refreshTokens.push(jti);
    });
    oidc.on('grant.success', ({ oidc: { params } }) => asked.push(params.grant_type));
    oidc.on('grant.error', ({ oidc: { params } }, { error }) => asked.push(`${params?.grant_type}: ${error}`));
  };

  return {
    url: server.url, allow, refreshTokens, stop: server.close,
    /** What the token endpoint was asked for, and what it refused. */
    asked,
    /** Somebody else uses a refresh token. */
    use: (refresh) => fetch(`${server.url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token', refresh_token: refresh, client_id: client.id, client_secret: secret,
      }),
    }),
    /** All that people agreed to is taken back. */
    async forget() {
      for (const grant of grants) {
        for (const kind of [oidc.AccessToken, oidc.RefreshToken]) await kind.revokeByGrantId(grant);
        await (await oidc.Grant.find(grant))?.destroy();
      }
    },
  };
}

/** Where Debian's package `glewlwyd` has it. */
const glewlwyd = {
  program: '/usr/bin/glewlwyd',
  pages: '/usr/share/glewlwyd/webapp',
  tables: '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3',
};

export const hasGlewlwyd = existsSync(glewlwyd.program);

/** Glewlwyd with Gitea's paths. `life` as above. */
export async function startGlewlwyd({ life = 3600, keep = () => {} } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'glewlwyd-'));
  const port = await portIsFree(0);
  const inner = `http://127.0.0.1:${port}`;
  // Debian links libraries of other packages into it, and Glewlwyd follows no links that lead out of its pages.
  const pages = join(dir, 'pages');
  cpSync(glewlwyd.pages, pages, { recursive: true, dereference: true });
  // A folder with the file of that name in it, in Debian 12.
  const settings = join(pages, 'config.json');
  if (statSync(settings).isDirectory()) {
    renameSync(settings, join(dir, 'settings'));
    cpSync(join(dir, 'settings/config.json'), settings);
  }
  execFileSync('sqlite3', [join(dir, 'db')], { input: readFileSync(glewlwyd.tables) });
  writeFileSync(join(dir, 'conf'), `
port = ${port}
bind_address = "127.0.0.1"
external_url = "${inner}"
login_url = "login.html"
api_prefix = "api"
static_files_path = "${pages}"
static_files_mime_types = (
  { extension = ".html"; mime_type = "text/html"; },
  { extension = ".css"; mime_type = "text/css"; },
  { extension = ".js"; mime_type = "application/javascript"; },
  { extension = ".json"; mime_type = "application/json"; }
)
log_mode = "console"
log_level = "INFO"
cookie_secure = 0
use_secure_connection = false
secure_connection_key_file = ""
secure_connection_pem_file = ""
user_module_path = "/usr/lib/glewlwyd/user"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
database = { type = "sqlite3"; path = "${join(dir, 'db')}"; }
`);
  const program = await startProgram('glewlwyd', glewlwyd.program, [`--config-file=${join(dir, 'conf')}`], /Glewlwyd started/);

  const signedIn = await fetch(`${inner}/api/auth/`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: 'password' }),
  });
  const cookie = signedIn.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');
  const add = async (what, body) => {
    const answer = await fetch(`${inner}/api/${what}/`, {
      method: 'POST', headers: { 'content-type': 'application/json', cookie }, body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}\n${program.output}`);
  };
  const on = (...names) => Object.fromEntries(names.map((name) => [name, true]));
  await add('mod/plugin', {
    module: 'oidc', name: 'git', display_name: 'Git',
    parameters: {
      iss: inner, 'subject-type': 'public', 'jwt-type': 'sha', 'jwt-key-size': '256', key: 'only for tests',
      'access-token-duration': life, 'refresh-token-duration': 86400, 'code-duration': 60,
      'refresh-token-rolling': false, 'refresh-token-one-use': 'always', 'introspection-revocation-auth-scope': [],
      ...on('allow-non-oidc', 'auth-type-code-enabled', 'auth-type-code-revoke-replayed', 'auth-type-refresh-enabled'),
      ...on('pkce-allowed', 'pkce-required', 'introspection-revocation-allowed', 'introspection-revocation-allow-target-client'),
    },
  });
  const scopes = ['read:user', 'write:repository'];
  for (const name of scopes) {
    await add('scope', { name, display_name: name, password_required: true, password_max_age: 0, scheme: {} });
  }
  for (const name of Object.keys(people)) {
    await add('user', { username: name, name, password: name, scope: scopes, enabled: true });
  }

  const asked = [];
  const refreshTokens = [];
  const body = async (request) => Buffer.concat(await request.toArray()).toString();
  /** Asks as the app would. */
  const ask = (path, text, authorization) => fetch(`${inner}/api/git/${path}`, {
    method: 'POST', body: text,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...(authorization && { authorization }) },
  });
  const pass = async (answer, response) => {
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
    response.end(await answer.text());
  };
  const exchange = async (text) => {
    const answer = await ask('token', text);
    const { access_token, refresh_token } = answer.ok ? await answer.clone().json() : {};
    asked.push(`${new URLSearchParams(text).get('grant_type')}: ${answer.status}`);
    for (const token of [access_token, refresh_token]) if (token) keep(token);
    if (refresh_token) refreshTokens.push(refresh_token);
    return answer;
  };
  const introspect = (token) => ask(
    'introspect', new URLSearchParams({ token }).toString(), `Basic ${btoa(`${client.id}:${client.secret}`)}`,
  );
  const server = await serve(async (request, response) => {
    const { pathname, search } = new URL(request.url, inner);
    const refuse = (status, message) => say(response, status, { message, url: `${server.url}/api/swagger` });
    switch (pathname) {
      case '/login/oauth/authorize':
        return response.writeHead(302, { location: `${inner}/api/git/auth${search}` }).end();
      case '/login/oauth/access_token':
        return pass(await exchange(await body(request)), response);
      case '/login/oauth/introspect':
        return pass(await ask('introspect', await body(request), request.headers.authorization), response);
      case '/api/v1/user': {
        const token = bearer(request);
        const known = token ? await (await introspect(token)).json() : {};
        if (!known.active) return refuse(401, 'invalid username, password or token');
        return say(response, 200, { id: people[known.username], login: known.username });
      }
      default:
        return refuse(404, 'not found');
    }
  });

  return {
    url: server.url, asked, refreshTokens,
    allow: (callback) => add('client', {
      client_id: client.id, name: 'Gitward', confidential: true, client_secret: client.secret, enabled: true,
      redirect_uri: [callback], authorization_type: ['code', 'refresh_token'], scope: [],
      token_endpoint_auth_method: ['client_secret_post', 'client_secret_basic'],
    }),
    use: (refresh) => exchange(new URLSearchParams({
      grant_type: 'refresh_token', refresh_token: refresh, client_id: client.id, client_secret: client.secret,
    }).toString()),
    async stop() {
      await server.close();
      await program.stop();
      rmSync(dir, { recursive: true });
    },
  };
}
