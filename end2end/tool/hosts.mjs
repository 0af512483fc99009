// The kinds of Git hosts, and how Gitward's configuration declares them and what lies there.

/**
 * `shape` is what a simulated one is started with; `kind`, `name` and `api` are what the configuration says, `api` only
 * where the simulated host has it elsewhere than the real one. The rest is what the journeys go by: `usual` is a token
 * with what runtimes need; `fewer` may read only; `missing` is the scope that then lacks, where the host shows scopes;
 * `userName` is what has to be typed beside a token.
 */
export const hosts = {
  github: {
    shape: 'github', kind: 'github', name: 'GitHub', api: '/',
    usual: { kind: 'classic', scopes: ['repo'] }, fewer: ['read:org'], missing: 'repo',
  },
  ghes: {
    shape: 'ghes', kind: 'github', name: 'GitHub Enterprise',
    usual: { kind: 'classic', scopes: ['repo'] }, fewer: ['read:org'], missing: 'repo',
  },
  gitlab: {
    shape: 'gitlab', kind: 'gitlab', name: 'GitLab',
    usual: { kind: 'personal', scopes: ['read_api', 'write_repository'] },
    fewer: ['read_api', 'read_repository'], missing: 'write_repository',
  },
  bitbucket: {
    shape: 'bitbucket', kind: 'bitbucket-cloud', name: 'Bitbucket', api: '/2.0',
    usual: { kind: 'api_token', scopes: ['read:user:bitbucket', 'read:repository:bitbucket', 'write:repository:bitbucket'] },
    fewer: ['read:user:bitbucket', 'read:repository:bitbucket'], missing: 'write:repository:bitbucket',
    userName: { label: 'E-mail address of your Atlassian account', value: 'octocat@forge.example' },
  },
  'bitbucket-dc': {
    shape: 'bitbucket-data-center', kind: 'bitbucket-data-center', name: 'Bitbucket Data Center',
    usual: { kind: 'personal', scopes: ['REPO_WRITE'] }, fewer: ['REPO_READ'],
  },
  gitea: {
    shape: 'gitea', kind: 'gitea', name: 'Gitea',
    usual: { kind: 'personal', scopes: ['read:user', 'write:repository'] }, fewer: ['read:user', 'read:repository'],
  },
};

/** The OAuth app that every simulated host knows. */
export const app = { client_id: 'gitward-demo', client_secret: 'gitward-demo-secret' };

/**
 * What `gitward.toml` says of these hosts, each with an app, and of accounts and their runtimes.
 * @param {{id: string, kind: string, name: string, url: string, api?: string}[]} providers
 * @param {{id: string, name: string, members: (string | {user: string, role: string})[], runtimes: {name: string,
 *   provider: string, oauth?: boolean, repository?: string, scopes?: string[]}[]}[]} accounts; whoever is a name alone is
 *   an admin
 */
export function declare(providers, accounts) {
  return [
    ...providers.flatMap(({ id, kind, name, url, api }) => [
      section('provider', { id, kind, name, base_url: url, api_url: api && new URL(api, url).href }),
      section('oauth_app', { id: `${id}-app`, provider: id, ...app }),
    ]),
    ...accounts.flatMap(({ id, name, members, runtimes }) => [
      section('account', { id, name }),
      `members = [${members.map(member).join(', ')}]\n`,
      ...runtimes.map(({ name, provider, oauth, repository, scopes }) => section('account.runtime', {
        name, provider, ...(oauth && { authorization: 'oauth2', oauth_app: `${provider}-app` }), repository, scopes,
      })),
    ]),
  ].join('');
}

function member(one) {
  const { user, role } = typeof one === 'string' ? { user: one, role: 'admin' } : one;
  return `{ user = ${JSON.stringify(user)}, role = ${JSON.stringify(role)} }`;
}

/** What JSON writes of texts and lists of them, TOML reads. */
function section(name, members) {
  const given = Object.entries(members).filter(([, value]) => value !== undefined);
  return [`\n[[${name}]]`, ...given.map(([key, value]) => `${key} = ${JSON.stringify(value)}`), ''].join('\n');
}
