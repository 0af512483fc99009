// The demo: Gitward and a simulated Git host of every kind, with accounts and runtimes to try. Ctrl-C ends all of it.
//
//   --watch    build for development and again at every change

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDesk } from './desk.mjs';
import { declare, hosts } from './hosts.mjs';
import { mailServer, portIsFree, redeem, setUpLink, startForge, startGitward, startMailbox, tree } from './site.mjs';

const person = { name: 'mara', password: 'correct horse battery staple' };
const dir = join(tree, '.demo');
const watch = process.argv.includes('--watch');

/** Where the simulated hosts listen: their addresses must stay, for Gitward keeps tokens of them. */
const ports = { github: 4001, ghes: 4002, gitlab: 4003, bitbucket: 4004, 'bitbucket-dc': 4005, gitea: 4006 };

/** Where the demo's desk is, and its mail server. */
const desk = 4010;
const mail = 4025;

const accounts = [
  {
    id: 'acme', name: 'Acme Logistics', members: [person.name], runtimes: [
      { name: 'berlin-production', provider: 'github', oauth: true, repository: 'acme/infra' },
      { name: 'berlin-staging', provider: 'github', oauth: true, repository: 'acme/infra' },
      { name: 'edge-archive', provider: 'github', oauth: true, repository: 'acme/readonly' },
      { name: 'warehouse-7', provider: 'ghes', repository: 'acme/infra' },
      { name: 'route-planner', provider: 'gitlab', oauth: true, repository: 'acme/infra' },
      { name: 'customs-desk', provider: 'bitbucket', oauth: true, repository: 'acme/infra' },
    ],
  },
  {
    id: 'blue-harbor', name: 'Blue Harbor', members: [person.name], runtimes: [
      { name: 'harbor-eu', provider: 'github', oauth: true },
      { name: 'harbor-us', provider: 'gitlab', oauth: true },
      { name: 'crane-control', provider: 'bitbucket-dc', oauth: true, repository: 'acme/infra' },
      { name: 'dockside-lab', provider: 'gitea', oauth: true, repository: 'acme/infra' },
    ],
  },
];

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
  for (const port of [3000, ...(watch ? [3001] : []), ...Object.values(ports), desk, mail]) {
    if (!(await portIsFree(port))) throw new Error(`Port ${port} is in use: end the program that listens there, and try again.`);
  }
  const providers = await Promise.all(Object.entries(ports).map(async ([id, port]) => {
    const forge = await startForge({ ...hosts[id], port });
    started.push(forge);
    return { id, ...hosts[id], url: forge.url };
  }));
  const mailbox = existsSync(mailServer) ? await startMailbox(mail) : undefined;
  if (mailbox) started.push(mailbox);
  started.push(await openDesk({ port: desk, host: providers[0], mailbox }));
  const delivery = mailbox ? `[mail]\nhost = "127.0.0.1"\nport = ${mail}\nsecurity = "none"\nfrom = "Gitward <gitward@forge.example>"\n` : '';
  const gitward = await startGitward({
    dir,
    port: 3000,
    toml: delivery + declare(providers, accounts),
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

  const [github, ghes] = providers;
  console.log(`
  Gitward              ${gitward.url}
    name               ${person.name}
    password           ${person.password}

  Simulated Git hosts  ${providers.map(({ name, url }) => `${url}  ${name}`).join('\n                       ')}
    name, password     octocat, octocat; and hubot, hubot
    e-mail             octocat@forge.example (Bitbucket asks for it)

  The demo's desk      http://127.0.0.1:${desk}  what others do at GitHub, and ${mailbox ? 'the mails that Gitward sends' : 'no mails: there is no Python 3 with venv'}

  What to try
    1. Sign in. Ten runtimes of two accounts wait for a token.
    2. berlin-production: Add Token, Authorize Access to GitHub; sign in as octocat and allow it.
    3. berlin-staging: use the token you already added.
    4. edge-archive: octocat may not push to its repository. See what Gitward says.
    5. warehouse-7 takes a personal access token only. Make one without the scope repo at
       ${ghes.url}/settings/tokens, and then a good one.
    6. The others lie at GitLab, Bitbucket, Bitbucket Data Center and Gitea: authorize them, or follow the link
       in the dialog to a token.
    7. Delete a token at its host and let Gitward check it; replace it; hide notifications; delete it.
    8. Let a host misbehave: ${github.url}/_forge
    9. Be told: press "Take the right to push away" on the demo's desk, "Check again" at berlin-production, and
       watch the bell; or give harbor-eu the desk's token that ends in a minute and a half, and lean back.
       Two windows side by side hear it at once. Mail and webhooks: the bell, Settings.
   10. Be a runtime: berlin-production, "Make, rotate and revoke keys", Create key; and with the key in place of KEY
         curl ${gitward.url}/runtime/v1/credential --header 'Authorization: Bearer KEY' \\
           --json '{"user":"${person.name}","git_url":"${github.url}/acme/infra.git"}'
       The list says at once that it was fetched, and the audit log (in ${person.name}'s menu) by whom. With the helper of
       docs/git.md, Git itself asks, too: git ls-remote ${github.url}/acme/infra.git (there is nothing to clone).
   11. Switch JavaScript off and do it all again.

  Ctrl-C ends everything. Gitward keeps its data in .demo (make clean-demo forgets them); the hosts forget
  their tokens when they end, so that next time Gitward finds them revoked.
`);

  const [ended, code] = await Promise.race(started.filter(({ exited }) => exited).map(async (program) => [program, await program.exited]));
  if (!ending) throw new Error(`${ended.name} ended (${code})\n${ended.output}`);
} catch (error) {
  if (!ending) console.error(error.message);
  await end(1);
}
