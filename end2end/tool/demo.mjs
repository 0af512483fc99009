// The demo: Gitward and two simulated Git hosts, with accounts and runtimes to try. Ctrl-C ends all of it.
//
//   --watch    build for development and again at every change

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { portIsFree, redeem, setUpLink, startForge, startGitward, tree } from './site.mjs';

const person = { name: 'mara', password: 'correct horse battery staple' };
const dir = join(tree, '.demo');
const watch = process.argv.includes('--watch');

const toml = `\
[[provider]]
id = "github"
kind = "github"
name = "GitHub"
base_url = "http://localhost:4001"
api_url = "http://localhost:4001"

[[provider]]
id = "ghes"
kind = "github"
name = "GitHub Enterprise"
base_url = "http://localhost:4002"

[[oauth_app]]
id = "github"
provider = "github"
client_id = "gitward-demo"
client_secret = "gitward-demo-secret"

${account('acme', 'Acme Logistics', [
    { name: 'berlin-production', provider: 'github', repository: 'acme/infra' },
    { name: 'berlin-staging', provider: 'github', repository: 'acme/infra' },
    { name: 'edge-archive', provider: 'github', repository: 'acme/readonly' },
    { name: 'warehouse-7', provider: 'ghes', repository: 'acme/infra' },
    { name: 'route-planner', provider: 'ghes' },
  ])}
${account('blue-harbor', 'Blue Harbor', [
    { name: 'harbor-eu', provider: 'github' },
    { name: 'harbor-us', provider: 'github' },
    { name: 'dockside-lab', provider: 'ghes' },
  ])}`;

function account(id, name, runtimes) {
  return `\
[[account]]
id = "${id}"
name = "${name}"
members = [{ user = "${person.name}", role = "admin" }]
${runtimes.map(({ name, provider, repository }) => `
[[account.runtime]]
name = "${name}"
provider = "${provider}"
${provider === 'github' ? 'authorization = "oauth2"\noauth_app = "github"' : 'authorization = "token"'}
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
  for (const port of watch ? [3000, 3001, 4001, 4002] : [3000, 4001, 4002]) {
    if (!(await portIsFree(port))) throw new Error(`Port ${port} is in use: end the program that listens there, and try again.`);
  }
  for (const [shape, port] of [['github', 4001], ['ghes', 4002]]) started.push(await startForge({ shape, port }));
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

  const [github, ghes] = started.map(({ url }) => url);
  console.log(`
  Gitward              ${gitward.url}
    name               ${person.name}
    password           ${person.password}

  Simulated Git hosts  ${github} (GitHub)
                       ${ghes} (GitHub Enterprise)
    name, password     octocat, octocat; and hubot, hubot

  What to try
    1. Sign in. Eight runtimes of two accounts wait for a token.
    2. berlin-production: Add Token, Authorize Access to GitHub; sign in as octocat and allow it.
    3. berlin-staging: use the token you already added.
    4. edge-archive: octocat may not push to its repository. See what Gitward says.
    5. warehouse-7 takes a personal access token only. Make one without the scope repo at
       ${ghes}/settings/tokens, and then a good one.
    6. Delete a token at its host and let Gitward check it; replace it; hide notifications; delete it.
    7. Let a host misbehave: ${github}/_forge
    8. Switch JavaScript off and do it all again.

  Ctrl-C ends everything. Gitward keeps its data in .demo (make clean-demo forgets them); the hosts forget
  their tokens when they end, so that next time Gitward finds them revoked.
`);

  const [first, code] = await Promise.race(started.map(async (program) => [program, await program.exited]));
  if (!ending) throw new Error(`${first.name} ended (${code})\n${first.output}`);
} catch (error) {
  if (!ending) console.error(error.message);
  await end(1);
}
