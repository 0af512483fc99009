// The demo: Gitward and a simulated Git host of every kind, with accounts and runtimes to try. Ctrl-C ends all of it.
//
//   --watch    build for development and again at every change

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { portIsFree, redeem, setUpLink, startForge, startGitward, tree } from './site.mjs';

const person = { name: 'mara', password: 'correct horse battery staple' };
const dir = join(tree, '.demo');
const watch = process.argv.includes('--watch');

/** One simulated host of each kind: its shape, its port, and what `gitward.toml` says about it. */
const hosts = [
  { id: 'github', shape: 'github', port: 4001, kind: 'github', name: 'GitHub', api: '/' },
  { id: 'ghes', shape: 'ghes', port: 4002, kind: 'github', name: 'GitHub Enterprise', tokens: '/settings/tokens' },
  { id: 'gitlab', shape: 'gitlab', port: 4003, kind: 'gitlab', name: 'GitLab' },
  { id: 'bitbucket', shape: 'bitbucket', port: 4004, kind: 'bitbucket-cloud', name: 'Bitbucket', api: '/2.0' },
  { id: 'bitbucket-dc', shape: 'bitbucket-data-center', port: 4005, path: '/bitbucket', kind: 'bitbucket-data-center', name: 'Bitbucket Data Center' },
  { id: 'gitea', shape: 'gitea', port: 4006, kind: 'gitea', name: 'Gitea' },
].map((host) => ({ ...host, url: `http://localhost:${host.port}${host.path ?? ''}` }));

const toml = `\
${hosts.map(({ id, kind, name, url, api }) => `\
[[provider]]
id = "${id}"
kind = "${kind}"
name = "${name}"
base_url = "${url}"
${api ? `api_url = "${new URL(api, url)}"\n` : ''}
[[oauth_app]]
id = "${id}-app"
provider = "${id}"
client_id = "gitward-demo"
client_secret = "gitward-demo-secret"
`).join('\n')}
${account('acme', 'Acme Logistics', [
    { name: 'berlin-production', provider: 'github', repository: 'acme/infra' },
    { name: 'berlin-staging', provider: 'github', repository: 'acme/infra' },
    { name: 'edge-archive', provider: 'github', repository: 'acme/readonly' },
    { name: 'warehouse-7', provider: 'ghes', repository: 'acme/infra', paste: true },
    { name: 'route-planner', provider: 'gitlab', repository: 'acme/infra' },
    { name: 'customs-desk', provider: 'bitbucket', repository: 'acme/infra' },
  ])}
${account('blue-harbor', 'Blue Harbor', [
    { name: 'harbor-eu', provider: 'github' },
    { name: 'harbor-us', provider: 'gitlab' },
    { name: 'crane-control', provider: 'bitbucket-dc', repository: 'acme/infra' },
    { name: 'dockside-lab', provider: 'gitea', repository: 'acme/infra' },
  ])}`;

function account(id, name, runtimes) {
  return `\
[[account]]
id = "${id}"
name = "${name}"
members = [{ user = "${person.name}", role = "admin" }]
${runtimes.map(({ name, provider, repository, paste }) => `
[[account.runtime]]
name = "${name}"
provider = "${provider}"
${paste ? 'authorization = "token"' : `authorization = "oauth2"\noauth_app = "${provider}-app"`}
${repository ? `repository = "${repository}"\n` : ''}`).join('')}`;
}

const started = [];
let ending = false;
async function end(code) {
  if (ending) return;
  ending = true;
  await Promise.all(started.map((program) => program.stop()));
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));

try {
  for (const port of [3000, ...(watch ? [3001] : []), ...hosts.map(({ port }) => port)]) {
    if (!(await portIsFree(port))) throw new Error(`Port ${port} is in use: end the program that listens there, and try again.`);
  }
  started.push(...(await Promise.all(hosts.map(startForge))));
  const gitward = await startGitward({
    dir,
    port: 3000,
    toml,
    ...(watch && { command: ['cargo', 'leptos', 'watch', '--'], patience: 3_600_000 }),
  });
  started.push(gitward);

  // The set-up link is on standard error before Gitward is ready, but may reach us a moment later.
  const known = join(dir, 'person.txt');
  if (!existsSync(known)) {
    await gitward.until(() => setUpLink(gitward));
    await redeem(gitward, setUpLink(gitward), person);
    writeFileSync(known, `${person.name}\n${person.password}\n`);
  }

  const [github, ghes] = hosts;
  const [first, ...others] = hosts.map(({ name, url }) => `${url}  ${name}`);
  console.log(`
  Gitward              ${gitward.url}
    name               ${person.name}
    password           ${person.password}

  Simulated Git hosts  ${[first, ...others].join('\n                       ')}
    name, password     octocat, octocat; and hubot, hubot
    e-mail             octocat@forge.example (Bitbucket asks for it)

  What to try
    1. Sign in. Ten runtimes of two accounts wait for a token.
    2. berlin-production: Add Token, Authorize Access to GitHub; sign in as octocat and allow it.
    3. berlin-staging: use the token you already added.
    4. edge-archive: octocat may not push to its repository. See what Gitward says.
    5. warehouse-7 takes a personal access token only. Make one without the scope repo at
       ${ghes.url}${ghes.tokens}, and then a good one.
    6. The others lie at GitLab, Bitbucket, Bitbucket Data Center and Gitea: authorize them, or follow the link
       in the dialog to a token.
    7. Delete a token at its host and let Gitward check it; replace it; hide notifications; delete it.
    8. Let a host misbehave: ${github.url}/_forge
    9. Switch JavaScript off and do it all again.

  Ctrl-C ends everything. Gitward keeps its data in .demo (make clean-demo forgets them); the hosts forget
  their tokens when they end, so that next time Gitward finds them revoked.
`);

  const [ended, code] = await Promise.race(started.map(async (program) => [program, await program.exited]));
  if (!ending) throw new Error(`${ended.name} ended (${code})\n${ended.output}`);
} catch (error) {
  if (!ending) console.error(error.message);
  await end(1);
}
