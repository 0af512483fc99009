// What all journeys have: a Gitward and two Git hosts of their own, people who are signed in, and a guard that fails
// whatever complains unseen.
//
// A test has its own processes, database and hosts, so tests share nothing and may run at once. Starting Gitward with
// a copy of a database in which a person exists already takes 50 ms.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test as base } from '@playwright/test';
import { Forge } from './fixtures/forge.mjs';
import { Gitward, password, runtimeId, usual } from './fixtures/gitward.mjs';
import { Guard } from './fixtures/guard.mjs';
import { field, hydrated, markHydrated, Person, submit, waitForHydration } from './fixtures/person.mjs';
import { Runtime } from './fixtures/runtime.mjs';
import { app, hosts } from './tool/hosts.mjs';
import { redeem, runtimeKey, setUpLink, startForge, startGitward, startMailbox } from './tool/site.mjs';

export { expect, field, hosts, hydrated, password, runtimeId, submit, usual };

export const test = base.extend({
  /** Which runtimes there are. */
  declaration: [usual, { option: true }],
  /** What the host `main` of the configuration is. */
  host: [hosts.github, { option: true }],
  /** Whether there is a mail server. */
  mail: [false, { option: true }],
  /** Who is signed in; null for a stranger. */
  signedInAs: ['mara', { option: true }],
  /** Whether nobody has set up this Gitward yet. */
  fresh: [false, { option: true }],

  /** Data in which `mara` exists and is signed in. */
  template: [
    async ({}, use) => {
      const dir = mkdtempSync(join(tmpdir(), 'gitward-template-'));
      const gitward = await startGitward({ dir });
      await gitward.until(() => setUpLink(gitward));
      const session = await redeem(gitward, setUpLink(gitward), { name: 'mara', password });
      await gitward.stop();
      await use({ dir, session });
      rmSync(dir, { recursive: true });
    },
    { scope: 'worker' },
  ],

  /** What must not get out, besides what the hosts issue. */
  secrets: async ({}, use) => use([password, app.client_secret]),

  forge: async ({ secrets, host }, use) => {
    const forge = new Forge(await startForge(host), secrets, host);
    await use(forge);
    await forge.program.stop();
  },

  ghes: async ({ secrets }, use) => {
    const ghes = new Forge(await startForge(hosts.ghes), secrets, hosts.ghes);
    await use(ghes);
    await ghes.program.stop();
  },

  gitward: async ({ template, fresh, declaration, forge, ghes, mail }, use, info) => {
    const dir = mkdtempSync(join(tmpdir(), 'gitward-'));
    if (!fresh) cpSync(template.dir, dir, { recursive: true });
    const mailbox = mail ? await startMailbox() : undefined;
    const gitward = new Gitward({ dir, forge, ghes, mailbox });
    if (!fresh) gitward.sessions.mara = template.session;
    await gitward.start(declaration);
    await use(gitward);
    await gitward.stop();
    await mailbox?.stop();
    if (info.status !== info.expectedStatus) await info.attach('gitward.log', { body: gitward.log });
    rmSync(dir, { recursive: true });
  },

  baseURL: async ({ gitward }, use) => use(gitward.url),

  guard: async ({ gitward, secrets, script }, use) => {
    const guard = new Guard({ gitward, secrets, script });
    await use(guard);
    guard.over = true;
    await gitward.stop();
    await guard.check();
  },

  script: async ({ javaScriptEnabled }, use) => use(javaScriptEnabled !== false),

  /** A further browser, with whoever is signed in there. */
  browserOf: async ({ browser, gitward, guard, script }, use) => {
    const contexts = [];
    await use(async (name, options = {}) => {
      const context = await browser.newContext({ baseURL: gitward.url, ...options });
      contexts.push(context);
      await prepare(context, { gitward, guard, script, name });
      const page = await context.newPage();
      return new Person(page, { gitward, script });
    });
    await Promise.all(contexts.map((context) => context.close()));
  },

  /** A runtime of this name, with a key that the operator made or that somebody has. */
  runtimeOf: async ({ gitward, forge, secrets }, use) => use(async (name, key) => {
    if (!key) {
      key = await runtimeKey(gitward.program, runtimeId(name));
      secrets.push(key);
    }
    return new Runtime({ gitward, forge, key });
  }),

  context: async ({ context, gitward, guard, script, signedInAs }, use) => {
    await prepare(context, { gitward, guard, script, name: signedInAs });
    await use(context);
  },

  page: async ({ page, script }, use) => {
    await waitForHydration(page, script);
    await use(page);
  },

  /** Whoever the test is about. */
  person: async ({ page, gitward, script }, use) => use(new Person(page, { gitward, script })),
});

async function prepare(context, { gitward, guard, script, name }) {
  guard.watch(context);
  if (script) {
    await context.addInitScript(markHydrated);
    context.on('page', (page) => waitForHydration(page, script));
  }
  if (name) {
    const [cookie, value] = (gitward.sessions[name] ?? (await gitward.person(name))).split('=');
    await context.addCookies([{ name: cookie, value, url: gitward.url, httpOnly: true, sameSite: 'Lax' }]);
  }
}
