// GitHub's own description of its API (OpenAPI) decides: Gitward asks only what is described there, and the simulated
// host answers as described. So the journeys, which know only that host, say something about the real one.
//
// What is not REST is not described, and not checked here: OAuth's pages and Git over HTTP.

import { expect, runtimeId, test as base } from '../fixtures.mjs';
import { description, startPrism } from '../tool/prism.mjs';

const paths = [
  '/user',
  '/user/orgs',
  '/user/installations',
  '/rate_limit',
  '/meta',
  '/repos/{owner}/{repo}',
  '/repos/{owner}/{repo}/contents/{path}',
  '/repos/{owner}/{repo}/hooks',
  '/applications/{client_id}/token',
  '/applications/{client_id}/grant',
];
const described = {
  github: () => description('api.github.com', [...paths, '/credentials/revoke']),
  // What the simulated server says it is. It has /credentials/revoke, which this release does not describe.
  ghes: () => description('ghes-3.19', paths),
};
const hosts = Object.keys(described);

/** Runtimes at one host: one that needs no repository, and one for each of these. */
const repositories = { infra: 'acme/infra', readonly: 'acme/readonly', hidden: 'acme/secret-ops', sso: 'acme-sso/ops' };
const runtimesAt = (host) => Object.entries({ any: undefined, ...repositories }).map(([name, repository]) => (
  { name: `${host}-${name}`, provider: host === 'ghes' ? 'ghes' : 'main', repository }
));

const test = base.extend({
  declaration: {
    members: ['mara'],
    accounts: { 'Acme Logistics': [...hosts.flatMap(runtimesAt), { name: 'oauth', oauth: true, repository: 'acme/infra' }] },
  },

  descriptions: [
    async ({}, use) => {
      const kept = {};
      await use((host) => (kept[host] ??= described[host]()));
    },
    { scope: 'worker' },
  ],

  forge: async ({ forge, descriptions }, use) => withPrism(forge, await descriptions('github'), use),
  ghes: async ({ ghes, descriptions }, use) => withPrism(ghes, await descriptions('ghes'), use),
});

/** From now on the API of this host is reached through Prism. */
async function withPrism(host, described, use) {
  host.prism = await startPrism({ described, upstream: host.url });
  host.api = host.prism.url;
  await use(host);
  await host.prism.stop();
}

// One after another: what costs time is that each worker prepares the descriptions for itself.
test.describe.configure({ mode: 'default' });

const violations = (host) => host.prism.seen.filter((one) => one.violations.length);
const operations = (host) => [...new Set(host.prism.seen.map(({ operation, status }) => `${operation} ${status}`))].sort();

const inDays = (days) => new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+/, '');

/** What a browser without script sends; answers with the status. */
async function sends(gitward, path, fields) {
  const answer = await fetch(`${gitward.url}${path}`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: gitward.sessions.mara, origin: gitward.url },
    body: new URLSearchParams(fields),
  });
  return { status: answer.status, text: await answer.text() };
}

const adds = async (gitward, name, { token }) => (await sends(gitward, '/api/token/add', { runtime: runtimeId(name), token })).status;
const checks = async (gitward, name) => (await sends(gitward, '/api/token/check', { runtime: runtimeId(name) })).status;

for (const at of hosts) {
  test(`Gitward asks what the description of ${at} has`, async ({ gitward, forge, ghes }) => {
    const host = at === 'github' ? forge : ghes;
    const runtime = (name) => `${at}-${name}`;
    const classic = await host.token({ sso: true });
    expect(await adds(gitward, runtime('any'), classic), 'a classic token').toBe(200);
    expect(await checks(gitward, runtime('any')), 'asking again').toBe(200);
    const write = { kind: 'fine_grained', permissions: { contents: 'write' }, expires_at: inDays(30) };
    expect(await adds(gitward, runtime('infra'), await host.token(write)), 'a fine-grained token').toBe(200);
    expect(await adds(gitward, runtime('sso'), classic), 'a token with single sign-on').toBe(200);

    const read = { ...write, permissions: { contents: 'read' } };
    await adds(gitward, runtime('infra'), await host.token(read));
    await adds(gitward, runtime('readonly'), classic);
    await adds(gitward, runtime('hidden'), classic);
    await adds(gitward, runtime('sso'), await host.token());
    expect(await adds(gitward, runtime('any'), await host.token({ scopes: ['gist'] })), 'too few scopes').toBe(422);
    expect(await adds(gitward, runtime('any'), await host.token({ expires_at: inDays(-1) })), 'expired').toBe(422);
    await host.revoke(classic);
    expect(await checks(gitward, runtime('any')), 'asking about a revoked one').toBe(200);

    expect(violations(host)).toEqual([]);
    expect(operations(host)).toEqual(['GET /repos/{owner}/{repo} 200', 'GET /repos/{owner}/{repo} 404', 'GET /user 200', 'GET /user 401']);
  });

  test(`the simulated host answers as the description of ${at} says`, async ({ forge, ghes }) => {
    const host = at === 'github' ? forge : ghes;
    for (const call of await calls(host, at)) {
      expect(await asks(host, call), `${call.method} ${call.path}`).toBe(call.status);
    }
    expect(violations(host)).toEqual([]);
    const asked = new Set(host.prism.seen.map(({ operation }) => operation?.split(' ')[1]));
    expect([...asked].sort()).toEqual([...paths, ...(at === 'github' ? ['/credentials/revoke'] : [])].sort());
  });

  test(`what differs from the description of ${at} is noticed`, async ({ gitward, forge, ghes }) => {
    const host = at === 'github' ? forge : ghes;
    // The rest of this file would pass as well if Prism could not read a description, so each answer goes wrong once.
    const all = await calls(host, at);
    await host.fault({ on: { path_prefix: '/' }, fault: 'status', status: 200 });
    for (const call of all) await asks(host, call);
    const unnoticed = host.prism.seen.filter((one) => !one.violations.some((violation) => violation.startsWith('response: ')));
    expect(unnoticed).toEqual([]);
    expect(host.prism.seen).toHaveLength(all.length);

    for (const fault of ['garbage_json', 'empty', 'html', 'status']) {
      await host.noFaults();
      await host.fault({ on: 'user', fault });
      const before = violations(host).length;
      expect(await adds(gitward, `${at}-any`, await host.token()), fault).not.toBe(200);
      expect(violations(host).length, fault).toBeGreaterThan(before);
    }

    await host.noFaults();
    const wrong = [
      { method: 'GET', path: '/nothing' },
      { method: 'POST', path: '/applications/gitward-demo/token', app: true, body: { token: 'x' } },
    ];
    for (const call of wrong) {
      await asks(host, call);
      expect(host.prism.seen.at(-1).violations.join(), call.path).toContain('request: ');
    }
  });
}

test('Gitward asks what the description has to revoke a pasted token', async ({ gitward, forge }) => {
  expect(await adds(gitward, 'github-any', await forge.token())).toBe(200);
  const runtime = runtimeId('github-any');
  expect((await sends(gitward, '/api/token/delete', { runtime, revoke: 'true' })).status).toBe(200);
  expect(violations(forge)).toEqual([]);
  expect(operations(forge)).toEqual(['GET /user 200', 'POST /credentials/revoke 202']);
  expect((await forge.tokens()).filter(({ works }) => works)).toEqual([]);
});

test('Gitward asks what the description has after an authorization', async ({ gitward, forge }) => {
  const forward = await sends(gitward, `/connect/${runtimeId('oauth')}`, {});
  const [, address] = forward.text.replaceAll('&amp;', '&').match(/url=([^"']+)/);
  const wish = new URL(address).searchParams;
  const post = (path, fields, headers) => fetch(`${forge.url}${path}`, { method: 'POST', redirect: 'manual', headers, body: new URLSearchParams(fields) });
  const signedIn = await post('/login', { login: 'octocat', password: 'octocat' });
  const cookie = signedIn.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');
  const agreed = await post('/login/oauth/authorize', [...wish, ['decision', 'authorize'], ['grant', 'repo']], { cookie });
  const back = await fetch(agreed.headers.get('location'), { redirect: 'manual', headers: { cookie: gitward.sessions.mara } });
  expect(back.headers.get('location')).toContain('did=added');
  expect(violations(forge)).toEqual([]);
  expect(operations(forge)).toEqual(['GET /user 200']);
  expect((await sends(gitward, '/api/token/delete', { runtime: runtimeId('oauth'), revoke: 'true' })).status).toBe(200);
  expect(violations(forge)).toEqual([]);
  expect(operations(forge)).toEqual(['DELETE /applications/{client_id}/grant 204', 'GET /user 200']);
  expect((await forge.tokens()).filter(({ works }) => works)).toEqual([]);
});

/** Each way in which the simulated host answers, and the status that it answers with. */
async function calls(host, at) {
  const { token: classic } = await host.token({ scopes: ['repo', 'read:org', 'read:user'] });
  const { token: narrow } = await host.token({ scopes: ['public_repo'] });
  const { token: fine } = await host.token({ kind: 'fine_grained', permissions: { contents: 'read' }, repositories: ['acme/infra'] });
  const { token: ofApp } = await host.token({ kind: 'github_app' });
  const oauth = async () => ({ access_token: (await host.token({ kind: 'oauth' })).token });
  const get = (path, token, status = 200) => ({ method: 'GET', path, token, status });
  const ofApps = (method, what, body, status) => ({ method, path: `/applications/gitward-demo/${what}`, app: true, body, status });
  const kept = await oauth();
  const all = [
    get('/user', classic),
    get('/user', narrow),
    get('/user', fine),
    get('/user', ofApp),
    get('/user', undefined, 401),
    get('/user', 'ghp_unknown', 401),
    get('/user/orgs', classic),
    get('/user/orgs', fine),
    get('/user/orgs', narrow, 403),
    get('/user/installations', ofApp),
    get('/user/installations', classic, 403),
    // Enterprise Server has no limits unless its operator sets them.
    get('/rate_limit', classic, at === 'github' ? 200 : 404),
    get('/meta', classic),
    get('/repos/acme/infra', classic),
    get('/repos/acme/infra', fine),
    get('/repos/acme/public', undefined),
    get('/repos/acme/readonly', fine, 404),
    get('/repos/acme/secret-ops', classic, 404),
    get('/repos/acme-sso/ops', classic, 403),
    get('/repos/acme/infra/contents/', classic),
    get('/repos/acme/infra/contents/', narrow, 404),
    get('/repos/acme/infra/contents/README.md', fine),
    get('/repos/acme/infra/hooks', classic),
    get('/repos/acme/readonly/hooks', classic, 404),
    ofApps('POST', 'token', kept, 200),
    ofApps('PATCH', 'token', kept, 200),
    ofApps('POST', 'token', kept, 404),
    ofApps('DELETE', 'token', await oauth(), 204),
    ofApps('DELETE', 'grant', await oauth(), 204),
  ];
  if (at === 'github') {
    const { token } = await host.token();
    all.push({ method: 'POST', path: '/credentials/revoke', body: { credentials: [token] }, status: 202 });
  }
  return all;
}

/** Asks through Prism; answers with the status. */
async function asks(host, { method, path, token, app, body }) {
  const headers = {
    accept: 'application/vnd.github+json',
    ...(token && { authorization: `Bearer ${token}` }),
    ...(app && { authorization: `Basic ${btoa('gitward-demo:gitward-demo-secret')}` }),
    ...(body && { 'content-type': 'application/json' }),
  };
  const answer = await fetch(host.api + path, { method, headers, body: body && JSON.stringify(body) });
  await answer.arrayBuffer();
  return answer.status;
}
