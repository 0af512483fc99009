// What all journeys have: a Gitward and two Git hosts of their own, people who are signed in, and a guard that fails
// whatever complains unseen.
//
// A test has its own processes, database and hosts, so tests share nothing and may run at once. Starting Gitward with
// a copy of a database in which a person exists already takes 50 ms.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test as base } from '@playwright/test';
import { addUser, redeem, setUpLink, startForge, startGitward } from './tool/site.mjs';

export { expect };

export const password = 'correct horse battery staple';

/**
 * The kinds of Git hosts: how the simulated one is started, what Gitward's configuration says, and what a token needs.
 * `fewer` may read only; `missing` is the scope that then lacks, where the host shows scopes.
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
    shape: 'bitbucket', kind: 'bitbucket-cloud', name: 'Bitbucket', api: '/2.0', userName: 'octocat@forge.example',
    usual: { kind: 'api_token', scopes: ['read:user:bitbucket', 'read:repository:bitbucket', 'write:repository:bitbucket'] },
    fewer: ['read:user:bitbucket', 'read:repository:bitbucket'], missing: 'write:repository:bitbucket',
  },
  bitbucketDataCenter: {
    shape: 'bitbucket-data-center', kind: 'bitbucket-data-center', name: 'Bitbucket Data Center',
    usual: { kind: 'personal', scopes: ['REPO_WRITE'] }, fewer: ['REPO_READ'],
  },
  gitea: {
    shape: 'gitea', kind: 'gitea', name: 'Gitea',
    usual: { kind: 'personal', scopes: ['read:user', 'write:repository'] }, fewer: ['read:user', 'read:repository'],
  },
};

/** What most journeys need: every kind of runtime once or twice. */
export const usual = {
  members: ['mara'],
  accounts: {
    'Acme Logistics': [
      { name: 'berlin', oauth: true, repository: 'acme/infra' },
      { name: 'oslo', oauth: true, repository: 'acme/infra' },
      { name: 'lagos' },
      { name: 'lima' },
      { name: 'archive', repository: 'acme/readonly' },
      { name: 'vault', repository: 'acme/secret-ops' },
      { name: 'dock', repository: 'acme-sso/ops' },
      { name: 'depot', provider: 'ghes', repository: 'acme/infra' },
    ],
  },
};

/** The configuration that declares this. */
function toml({ members, accounts }, forge, ghes) {
  const { product } = forge;
  const runtime = ({ name, provider = 'github', oauth = false, repository, scopes }) => `
[[account.runtime]]
name = "${name}"
provider = "${provider}"
${oauth ? 'authorization = "oauth2"\noauth_app = "app"' : 'authorization = "token"'}
${repository ? `repository = "${repository}"` : ''}
${scopes ? `scopes = ${JSON.stringify(scopes)}` : ''}
`;
  const account = ([name, runtimes]) => `
[[account]]
id = "${idOf(name)}"
name = "${name}"
members = [${members.map((user) => `{ user = "${user}", role = "admin" }`).join(', ')}]
${runtimes.map(runtime).join('')}`;
  return `
[[provider]]
id = "github"
kind = "${product.kind}"
name = "${product.name}"
base_url = "${forge.url}"
${forge.api || product.api ? `api_url = "${forge.api ?? new URL(product.api, forge.url)}"` : ''}

[[provider]]
id = "ghes"
kind = "github"
name = "GitHub Enterprise"
base_url = "${ghes.url}"
${ghes.api ? `api_url = "${ghes.api}"` : ''}

[[oauth_app]]
id = "app"
provider = "github"
client_id = "gitward-demo"
client_secret = "gitward-demo-secret"
${Object.entries(accounts).map(account).join('')}`;
}

const idOf = (account) => account.toLowerCase().split(' ')[0];

/** A runtime's id, as it stands in addresses. */
export const runtimeId = (name, account = 'Acme Logistics') => `${idOf(account)}.${name}`;

/** A simulated Git host and its control room. */
class Forge {
  constructor(program, secrets, product) {
    Object.assign(this, { program, secrets, product, url: program.url });
    ({ host: this.host, origin: this.origin } = new URL(program.url));
  }

  async control(path, body, method = body === undefined ? 'GET' : 'POST') {
    const answer = await fetch(`${this.origin}/_forge/${path}`, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`/_forge/${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? undefined : answer.json();
  }

  /** Makes a token; a personal one of octocat with what runtimes need, unless told otherwise. */
  async token(wanted = {}) {
    const usual = wanted.kind ? {} : this.product.usual;
    const token = await this.control('tokens', { user: 'octocat', ...usual, ...wanted });
    this.secrets.push(token.token);
    return token;
  }

  change = (token, change) => this.control('tokens/change', { id: token.id, ...change });
  revoke = (token) => this.change(token, { revoked: true });
  tokens = () => this.control('tokens');
  access = (user, repository, role) => this.control('access', { user, repository, role });
  fault = (fault) => this.control('faults', fault);
  noFaults = () => this.control('faults', undefined, 'DELETE');
  settings = (settings) => this.control('settings', settings);
  /** What Gitward and browsers asked, pages for people left out. */
  async requests() {
    const asked = await this.control('requests');
    return asked.filter(({ path }) => /\/user$|\/repos\/|\.git\/|access_token$/.test(path));
  }
  forgetRequests = () => this.control('requests', undefined, 'DELETE');
}

/** A Gitward with its own data. */
class Gitward {
  /** Cookies of people who are signed in, by name. */
  sessions = {};
  log = '';

  constructor({ dir, forge, ghes, secrets }) {
    Object.assign(this, { dir, forge, ghes, secrets });
  }

  async start(declaration) {
    this.declaration = declaration ?? this.declaration;
    const port = this.url && Number(new URL(this.url).port);
    const config = toml(this.declaration, this.forge, this.ghes);
    this.program = await startGitward({ dir: this.dir, port, toml: config });
    this.url = this.program.url;
  }

  async stop() {
    if (this.program.code !== undefined) return;
    await this.program.stop();
    this.log += this.program.output;
  }

  /** With other runtimes, on the same data and at the same address. */
  async restart(declaration) {
    await this.stop();
    await this.start(declaration);
  }

  async setUpLink() {
    await this.program.until(() => setUpLink(this.program));
    return setUpLink(this.program);
  }

  welcomeLink = (name) => addUser(this.program, name);

  /** A further person, who has signed in once. */
  async person(name) {
    this.sessions[name] ??= await redeem(this.program, await this.welcomeLink(name), { name, password });
    return this.sessions[name];
  }

  /** All that it keeps on disk. */
  kept() {
    const data = join(this.dir, 'data');
    return readdirSync(data).map((file) => readFileSync(join(data, file)).toString('latin1')).join('\n');
  }
}

/** Fails a test for what people would not see: complaints of the browser, broken requests, secrets that got out. */
class Guard {
  complaints = [];
  answers = [];
  expected = [];

  constructor(gitward, secrets, script) {
    this.gitward = gitward;
    this.secrets = secrets;
    this.script = script;
  }

  /** Answers with this status are meant to come from these addresses. */
  expects(status, ...paths) {
    for (const path of paths) this.expected.push({ status, path });
  }

  isExpected(status, url) {
    const { pathname } = new URL(url);
    return this.expected.some((one) => one.status === status && pathname.startsWith(one.path));
  }

  watch(context) {
    const ours = (url) => url.startsWith(this.gitward.url);
    context.on('console', (message) => {
      const { url } = message.location();
      if (!['error', 'warning'].includes(message.type()) || (url && !ours(url))) return;
      const status = message.text().match(/^Failed to load resource: .* status of (\d+)/)?.[1];
      if (status && this.isExpected(Number(status), url)) return;
      this.complaints.push(`console ${message.type()}: ${message.text()} (${url})`);
    });
    context.on('weberror', (error) => this.complaints.push(`page: ${error.error().stack ?? error.error()}`));
    context.on('requestfailed', (request) => {
      // Whoever leaves a page gives up what it was loading; without script Chromium refuses to load any.
      const usual = this.script ? ['net::ERR_ABORTED'] : ['net::ERR_ABORTED', 'csp'];
      if (!ours(request.url()) || usual.includes(request.failure()?.errorText)) return;
      this.complaints.push(`request: ${request.method()} ${request.url()} ${request.failure()?.errorText}`);
    });
    context.on('request', (request) => {
      if (this.secrets.some((secret) => request.url().includes(encodeURIComponent(secret)))) {
        this.complaints.push(`secret in the address: ${request.url()}`);
      }
    });
    context.on('response', (response) => {
      if (!ours(response.url())) return;
      const status = response.status();
      if (status >= 400 && !this.isExpected(status, response.url())) {
        this.complaints.push(`answer: ${status} ${response.request().method()} ${response.url()}`);
      }
      if (['document', 'fetch'].includes(response.request().resourceType())) {
        this.answers.push(response.text().catch(() => '').then((text) => [response.url(), text]));
      }
    });
  }

  async check() {
    const leaks = (text) => this.secrets.some((secret) => text.includes(secret)) || /gh[oupsr]_[A-Za-z0-9]{30}/.test(text);
    for (const [url, text] of await Promise.all(this.answers)) {
      if (leaks(text)) this.complaints.push(`secret in an answer: ${url}`);
    }
    if (leaks(this.gitward.log)) this.complaints.push('secret in the log');
    if (leaks(this.gitward.kept())) this.complaints.push('secret on the disk');
    if (/panicked/.test(this.gitward.log)) this.complaints.push(`log: ${this.gitward.log.match(/.*panicked[^]{0,400}/)[0]}`);
    expect(this.complaints, 'nobody complains unseen').toEqual([]);
  }
}

/**
 * Marks <html> once the client has taken over. Runs in every page before its own code. What the client does at once
 * is done in microtasks, so a timer comes after all of it.
 */
function markHydrated() {
  const { instantiateStreaming, instantiate } = WebAssembly;
  const marked = (made) => {
    const { instance, module } = made;
    if (!instance?.exports.hydrate) return made;
    const exports = { ...instance.exports };
    exports.hydrate = (...args) => {
      const result = instance.exports.hydrate(...args);
      setTimeout(() => document.documentElement.setAttribute('data-hydrated', ''));
      return result;
    };
    return { module, instance: { exports } };
  };
  WebAssembly.instantiateStreaming = (...args) => instantiateStreaming(...args).then(marked);
  WebAssembly.instantiate = (...args) => instantiate(...args).then(marked);
}

/** A person in front of a browser. */
export class Person {
  constructor(page, { gitward, script }) {
    this.page = page;
    this.gitward = gitward;
    this.script = script;
  }

  async sees(path) {
    await this.page.goto(path);
    return this;
  }

  list = () => this.sees('/tokens');

  /** What was done, in the line for it. */
  get said() {
    return this.page.getByRole('main').getByRole('status').first();
  }

  /** Pages, not dialogs, are where a person without script does things. */
  get dialog() {
    return this.page.getByRole('dialog').or(this.page.getByRole('alertdialog'));
  }

  row(name) {
    const head = this.page.getByRole('rowheader').filter({ has: this.page.getByText(name, { exact: true }) });
    return this.page.getByRole('row').filter({ has: head });
  }

  link = (name, text) => this.row(name).getByRole('link', { name: `${text} ${name}` });

  /** Opens a runtime's menu and chooses from it. */
  async chooses(name, item) {
    const more = this.row(name).getByRole('button', { name: `More actions for ${name}` });
    const choice = this.row(name).getByRole(item === 'Hide notifications' ? 'switch' : 'button', { name: item, exact: true });
    // Rows that are put in anew close the menu.
    await expect(async () => {
      if (!(await choice.isVisible())) await more.click({ timeout: 2000 });
      await choice.click({ timeout: 2000 });
    }).toPass({ intervals: [50] });
  }

  /** Asks the host again, and waits for the row that says what came of it. */
  async checks(name) {
    const rows = this.script && this.page.waitForResponse((response) => new URL(response.url()).pathname === '/api/token/table');
    await this.chooses(name, 'Check again');
    await rows;
    await expect(this.said).toContainText('The provider was asked again; the row shows its answer.');
  }

  /** The form for one runtime's access, in the dialog or on its page. */
  form(name) {
    return this.script
      ? this.page.getByRole('dialog', { name: `${name} Git provider access` })
      : this.page.getByRole('main');
  }

  /** Opens the form from the list, as people do. */
  async opens(name, { replace = false } = {}) {
    await this.link(name, replace ? 'Replace Token' : 'Add Token').click();
    const form = this.form(name);
    await expect(form.getByRole('heading', { name: `${name} Git provider access` })).toBeVisible();
    return form;
  }

  /** Where OAuth2 is the usual way, the field for a token is one step further. */
  async unfolds(form) {
    await form.getByText('Advanced authorization options').click();
    await expect(field(form)).toBeVisible();
  }

  /** Pastes a token into the open form and sends it. */
  async pastes(form, token, { replace = false, userName = this.gitward.forge.product.userName } = {}) {
    if (userName) await form.getByLabel('E-mail address of your Atlassian account').fill(userName);
    await field(form).fill(token);
    await submit(form, replace).click();
  }

  /** From the list to a token that is kept. */
  async adds(name, token, options = {}) {
    await this.list();
    const form = await this.opens(name, options);
    await this.pastes(form, token.token, options);
    await this.hasAdded(name, { login: token.user });
  }

  /** `through` a page of its own, or the host's; or through the dialog over the list. */
  async hasAdded(name, { login = 'octocat', through = this.script ? 'dialog' : 'page', without = '' } = {}) {
    const said = { dialog: new RegExp(`^The token of ${login} now serves .*${name}`), page: `The token passed and is in use.${without}` };
    await expect(this.said).toHaveText(said[through]);
    await expect(this.dialog).toBeHidden();
    await expect(this.row(name)).toContainText(login);
  }

  /** What went wrong, in whatever line says so. */
  alert(text) {
    return this.page.getByRole('alert').filter({ hasText: text });
  }

  /** Signs in at a Git host that asks for it. */
  async signsInAt(forge, login = 'octocat') {
    await expect(this.page).toHaveURL((url) => url.origin === forge.origin);
    await this.page.getByLabel('User name').fill(login);
    await this.page.getByLabel('Password').fill(login);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
  }

  /** Signs in to Gitward. */
  async signsIn(name = 'mara', secret = password) {
    await this.page.getByLabel('Name').fill(name);
    await this.page.getByLabel('Password').fill(secret);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
  }
}

export const field = (form) => form.getByLabel('Git Personal Access Token', { exact: true });
export const submit = (form, replace = false) =>
  form.getByRole('button', { name: replace ? 'Replace Token' : 'Add Token', exact: true });

export const test = base.extend({
  /** Which runtimes there are. */
  declaration: [usual, { option: true }],
  /** What the host `github` of the configuration really is. */
  host: [hosts.github, { option: true }],
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

  secrets: async ({}, use) => use([password]),

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

  gitward: async ({ template, fresh, declaration, forge, ghes, secrets }, use, info) => {
    const dir = mkdtempSync(join(tmpdir(), 'gitward-'));
    if (!fresh) cpSync(template.dir, dir, { recursive: true });
    const gitward = new Gitward({ dir, forge, ghes, secrets });
    if (!fresh) gitward.sessions.mara = template.session;
    await gitward.start(declaration);
    await use(gitward);
    await gitward.stop();
    if (info.status !== info.expectedStatus) await info.attach('gitward.log', { body: gitward.log });
    rmSync(dir, { recursive: true });
  },

  baseURL: async ({ gitward }, use) => use(gitward.url),

  guard: async ({ gitward, secrets, script }, use) => {
    const guard = new Guard(gitward, secrets, script);
    await use(guard);
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

/** Nobody clicks before the client has taken over; otherwise both ways of the same form would be tested by chance. */
async function waitForHydration(page, script) {
  if (!script) return;
  const untouched = page.locator('html:has(link[rel="modulepreload"]):not([data-hydrated])');
  await page.addLocatorHandler(untouched, async () => {});
}

/** Waits for it where no locator does: before keys are pressed. */
export async function hydrated(page) {
  await expect(page.locator('html')).toHaveAttribute('data-hydrated', '');
}
