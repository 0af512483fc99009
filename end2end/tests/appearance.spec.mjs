// Every state of every page: no violation that axe-core knows, nothing to scroll sideways, targets that can be hit; in
// light and dark, at 1280 and 320 px. Pictures of all of it are in test-results/pictures.

import { expect, field, submit, test, usual } from '../fixtures.mjs';
import { looksGood } from '../fixtures/looks.mjs';

const opened = {
  async access(person, name, options) {
    await person.list();
    return person.opens(name, options);
  },
};

test.describe('strangers', () => {
  test.use({ signedInAs: null });

  test('signing in looks good', async ({ person, guard, gitward }, info) => {
    guard.expects(401, '/api/person/sign-in');
    guard.expects(410, '/welcome', '/api/');
    await person.sees('/sign-in');
    await expect(person.page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
    await looksGood(person.page, 'sign in', info);
    await person.signsIn('mara', 'wrong wrong wrong');
    await expect(person.alert("don't match")).toBeVisible();
    await looksGood(person.page, 'sign in wrong', info);
    const link = await gitward.welcomeLink('theo');
    await person.sees(link);
    await expect(person.page.getByRole('heading', { name: 'Welcome, theo' })).toBeVisible();
    await looksGood(person.page, 'welcome', info);
    await person.sees('/welcome/spent-long-ago');
    await expect(person.alert('This link was used already')).toBeVisible();
    await looksGood(person.page, 'link spent', info);
  });
});

test.describe('first', () => {
  test.use({ signedInAs: null, fresh: true });

  test('setting up looks good', async ({ person, gitward }, info) => {
    await person.sees(await gitward.setUpLink());
    await expect(person.page.getByRole('heading', { name: 'Set up Gitward' })).toBeVisible();
    await looksGood(person.page, 'set up', info);
  });
});

test('pages around the list look good', async ({ person, guard }, info) => {
  guard.expects(404, '/nowhere', '/tokens/acme.nothing');
  const { page } = person;
  for (const [state, place, heading] of [
    ['home', '/', 'Hello, mara'],
    ['password', '/password', 'Change password'],
    ['notifications without any', '/notifications', 'Notifications'],
    ['notification settings without mail', '/notifications/settings', 'Notification settings'],
    ['nowhere', '/nowhere', 'Nothing at this address'],
    ['not here', '/tokens/acme.nothing', 'Not here'],
    ['nothing matches', '/tokens?q=zebra', 'Nothing matches'],
    ['nothing needs you', '/tokens?show=need-you', 'Nothing needs you'],
  ]) {
    await person.sees(place);
    await expect(page.getByRole('heading', { name: heading })).toBeVisible();
    await looksGood(page, state, info);
  }
  await person.list();
  await page.getByRole('button', { name: 'Menu of mara' }).click();
  await expect(page.getByText('Signed in as mara')).toBeVisible();
  await looksGood(page, 'menu of the visitor', info);
});

test.describe('with mail', () => {
  test.use({ mail: true });

  test('what people are told looks good', async ({ person, forge, gitward }, info) => {
    test.slow();
    const { page } = person;
    const lagos = await forge.token();
    await person.adds('lagos', lagos);
    await person.adds('lima', await forge.token({ expires_at: new Date(Date.now() + 5 * 86_400_000).toISOString().replace(/\.\d+/, '') }));
    await forge.change(lagos, { scopes: ['gist'] });
    await person.checks('lagos');
    await person.hasUnread(1);
    await looksGood(page, 'list with the bell', info);
    await person.sees('/notifications');
    await expect(page.getByText('lagos: Scope missing')).toBeVisible();
    await looksGood(page, 'notifications unread', info);
    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await person.hasUnread(0);
    await looksGood(page, 'notifications read', info);
    await person.sees('/notifications/settings');
    await page.getByLabel('Address', { exact: true }).fill('http://127.0.0.1:9/hook');
    await page.getByRole('button', { name: 'Set webhook' }).click();
    await expect(page.locator('#webhook-secret')).toBeVisible();
    await page.getByLabel('Your address').fill('mara@acme.example');
    await page.getByRole('button', { name: 'Send a link there' }).click();
    await expect(page.getByText('A link was sent to')).toBeVisible();
    const [link] = gitward.mailbox.mails[0].text.match(/http:\/\/\S+/);
    await person.sees(link);
    await expect(page.getByRole('heading', { name: 'Is this your address?' })).toBeVisible();
    await looksGood(page, 'confirm an address', info);
    await page.getByRole('button', { name: 'Yes, it is mine' }).click();
    await expect(page.getByText('Mail goes to mara@acme.example.')).toBeVisible();
    await forge.change(lagos, { scopes: ['repo'] });
    await person.list();
    await person.checks('lagos');
    await person.hasUnread(1);
    await expect(async () => {
      await person.sees('/notifications/settings');
      await expect(page.getByText('The last message did not arrive')).toBeVisible({ timeout: 300 });
    }).toPass();
    await looksGood(page, 'notification settings', info);
    await person.sees('/tokens/acme.lagos');
    await expect(page.getByRole('heading', { name: 'What happened' })).toBeVisible();
    await looksGood(page, 'page of a runtime with its timeline', info);
    for (const name of ['dock']) await person.adds(name, await forge.token());
    await forge.fault({ on: 'any', fault: 'status', status: 503 });
    for (const name of ['lagos', 'lima', 'dock']) await person.checks(name);
    await person.list();
    await expect(page.getByText(/stopped answering/)).toBeVisible();
    await looksGood(page, 'list with a host in trouble', info);
  });
});

test.describe('nobody', () => {
  test.use({ declaration: { members: [], accounts: usual.accounts } });

  test('a list without runtimes looks good', async ({ person }, info) => {
    await person.list();
    await expect(person.page.getByRole('heading', { name: 'No runtimes yet' })).toBeVisible();
    await looksGood(person.page, 'no runtimes', info);
  });
});

test.describe('many', () => {
  test.use({
    declaration: {
      members: ['mara'],
      accounts: { 'Acme Logistics': Array.from({ length: 60 }, (_, at) => ({ name: `a-runtime-with-quite-a-long-name-${at}` })) },
    },
  });

  test('a long list with long names looks good', async ({ person }, info) => {
    await person.sees('/tokens?page=2');
    await expect(person.page.getByRole('navigation', { name: 'Pages' })).toBeVisible();
    await looksGood(person.page, 'second page', info);
  });
});

test('a list in every state looks good', async ({ person, forge, ghes, guard }, info) => {
  test.slow();
  guard.expects(422, '/api/token/add');
  const { page } = person;
  await person.list();
  await looksGood(page, 'list without tokens', info);
  const inDays = (days) => new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+/, '');

  const first = await forge.token();
  await person.adds('lagos', first);
  const form = await person.opens('lagos', { replace: true });
  await person.pastes(form, (await forge.token({ user: 'hubot' })).token, { replace: true });
  await expect(form).toContainText('Until you decide');
  await looksGood(page, 'form another account', info);

  await person.adds('lima', await forge.token({ expires_at: inDays(9) }));
  await person.adds('dock', await forge.token());
  const scopes = await forge.token({ user: 'hubot' });
  await person.adds('vault', scopes);
  await forge.change(scopes, { scopes: ['gist'] });
  await person.checks('vault');
  await expect(person.row('vault')).toContainText('Scope missing');
  const depot = await ghes.token();
  await person.adds('depot', depot);
  await ghes.fault({ fault: 'status' });
  await person.checks('depot');
  await expect(person.row('depot')).toContainText('unreachable');
  const berlin = await forge.token();
  const access = await person.opens('berlin');
  await person.unfolds(access);
  await person.pastes(access, berlin.token);
  await person.hasAdded('berlin');
  await forge.revoke(berlin);
  await person.checks('berlin');
  await expect(person.row('berlin')).toContainText('Checking');
  await person.chooses('archive', 'Hide notifications');
  await expect(person.said).toContainText('hidden');
  await looksGood(page, 'list in many states', info);

  await person.row('lagos').getByRole('button', { name: 'More actions for lagos' }).click();
  await expect(person.row('lagos').getByRole('switch')).toBeVisible();
  await looksGood(page, 'menu of a row', info);
  await person.sees('/');
  await expect(page.getByText('need you').or(page.getByText('needs you')).first()).toBeVisible();
  await looksGood(page, 'home with problems', info);
  await person.sees('/tokens/acme.vault');
  await expect(page.getByRole('heading', { name: 'Details' })).toBeVisible();
  await looksGood(page, 'page of a runtime', info);
  await person.list();
  await person.link('lima', 'Delete Token').click();
  await expect(page.getByRole('heading', { name: 'Delete the token of lima?' })).toBeVisible();
  await looksGood(page, 'delete', info);
});

test('forms for access look good', async ({ person, forge, guard }, info) => {
  test.slow();
  guard.expects(422, '/api/token/add');
  const { page } = person;
  const oauth = await opened.access(person, 'berlin');
  await looksGood(page, 'form OAuth2', info);
  await person.unfolds(oauth);
  await looksGood(page, 'form OAuth2 unfolded', info);
  let form = await opened.access(person, 'lagos');
  await looksGood(page, 'form token', info);
  await person.pastes(form, (await forge.token({ scopes: ['gist'] })).token);
  await expect(form.getByRole('alert').filter({ hasText: 'it lacks repo' })).toBeVisible();
  await looksGood(page, 'form scope missing', info);
  form = await opened.access(person, 'lima');
  await field(form).pressSequentially('glpat-AAAAAAAAAAAAAAAAAAAA');
  if (person.script) await looksGood(page, 'form warned', info);
  await submit(form).click();
  await expect(form.getByRole('alert').filter({ hasText: 'looks like a token of GitLab' })).toBeVisible();
  await looksGood(page, 'form foreign token', info);
  await forge.fault({ on: 'user', fault: 'status' });
  form = await opened.access(person, 'dock');
  await person.pastes(form, (await forge.token()).token);
  await expect(form.getByRole('alert').filter({ hasText: 'did not answer' })).toBeVisible();
  await looksGood(page, 'form unreachable', info);
  await forge.noFaults();
  await person.adds('lagos', await forge.token());
  form = await opened.access(person, 'lima');
  await expect(form.getByRole('button', { name: /Use the token/ })).toBeVisible();
  await looksGood(page, 'form token again', info);
});
