// People hear what happens to their tokens: in the bell, on the page of notifications, in every open tab, by mail and by
// webhook. And they hear nothing else.

import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { expect, hydrated, runtimeId, test } from '../fixtures.mjs';

const list = (person) => person.page.getByRole('list').filter({ has: person.page.getByRole('heading', { level: 2 }) });
const item = (person, text) => person.page.getByRole('listitem').filter({ hasText: text });

/** A token that worked and lacks a scope from now on, as Gitward has found out. */
async function losesScopes(person, forge, name) {
  const token = await forge.token();
  await person.adds(name, token);
  await forge.change(token, { scopes: ['gist'] });
  await person.checks(name);
  await expect(person.row(name)).toContainText('Scope missing');
  return token;
}

/** Switches on the page of settings. */
async function settings(person) {
  await person.sees('/notifications/settings');
  await expect(person.page.getByRole('heading', { name: 'Notification settings' })).toBeVisible();
}

/** The log says so a moment after the other side has it. */
async function hasArrived(person, what) {
  await expect(async () => {
    await settings(person);
    await expect(item(person, what)).toContainText('Arrived', { timeout: 500 });
  }).toPass();
}

test('the bell counts what happened, and nothing that people did themselves', async ({ person, forge }) => {
  await person.list();
  await person.hasUnread(0);
  const token = await forge.token();
  await person.adds('lagos', token);
  await person.adds('lima', await forge.token());
  await forge.change(token, { scopes: ['gist'] });
  await person.checks('lagos');
  await person.hasUnread(1);
  if (person.script) await expect(person.page.locator('#happened')).toHaveText('lagos: Scope missing.');

  await person.bell.click();
  await expect(person.page.getByRole('heading', { name: 'Notifications', exact: true })).toBeVisible();
  await expect(list(person).getByRole('heading')).toHaveCount(1);
  await expect(item(person, 'lagos: Scope missing')).toContainText('It lacks repo');
  await expect(person.page.getByText('lima')).toBeHidden();

  await forge.change(token, { scopes: ['repo'] });
  await person.list();
  await person.checks('lagos');
  await person.hasUnread(2);
  await person.sees('/notifications');
  await expect(list(person).getByRole('heading').first()).toHaveText(/lagos: Works again/);

  await item(person, 'Works again').getByRole('button', { name: /^Mark as read/ }).click();
  await expect(person.said).toHaveText('Marked as read.');
  await person.hasUnread(1);
  await expect(item(person, 'Works again').getByRole('button')).toBeHidden();
  await person.page.getByRole('button', { name: 'Mark all as read' }).click();
  await expect(person.said).toHaveText('All are marked as read.');
  await person.hasUnread(0);
  await expect(person.page.getByRole('button', { name: /Mark/ })).toHaveCount(0);
  await expect(list(person).getByRole('heading')).toHaveCount(2);

  await person.page.getByRole('link', { name: 'lagos: Scope missing' }).click();
  await expect(person.page.getByRole('heading', { name: 'lagos Git provider access' })).toBeVisible();
});

test('all tabs hear at once over one stream, and go on when the one that listened is closed', async ({ person, forge, context, script }) => {
  test.skip(!script, 'without script there is no stream');
  const streams = [];
  context.on('request', (request) => new URL(request.url()).pathname === '/events' && streams.push(request));
  await person.list();
  await hydrated(person.page);
  await expect.poll(() => streams.length).toBe(1);
  const other = await context.newPage();
  const third = await context.newPage();
  for (const [page, place] of [[other, '/tokens'], [third, '/notifications']]) {
    await page.goto(place);
    await hydrated(page);
  }
  const loads = [];
  for (const page of [person.page, other, third]) page.on('framenavigated', () => loads.push(page.url()));

  const held = await forge.token();
  await person.adds('lagos', held);
  const row = (page) => page.getByRole('row').filter({ hasText: 'lagos' });
  const bell = (page) => page.getByRole('link', { name: /^Notifications, [1-9]/ });
  await expect(row(other)).toContainText('octocat');
  // The page that listened was loaded anew: another tab has it now.
  await expect.poll(() => streams.length).toBe(2);
  loads.length = 0;
  await forge.change(held, { scopes: ['gist'] });
  const asking = await context.newPage();
  await asking.goto(`/tokens/${runtimeId('lagos')}`);
  await asking.getByRole('button', { name: 'Check now' }).click();
  for (const page of [person.page, other]) await expect(row(page)).toContainText('Scope missing');
  for (const page of [person.page, other, third]) await expect(bell(page)).toBeVisible();
  await expect(third.getByRole('link', { name: 'lagos: Scope missing' })).toBeVisible();
  await asking.close();
  expect(loads, 'no page was loaded for it').toEqual([]);
  expect(streams, 'one stream for three tabs').toHaveLength(2);

  // Whoever has it hands it on.
  await other.close();
  await expect.poll(() => streams.length).toBe(3);
  const token = await forge.token();
  const page = await context.newPage();
  await page.goto(`/tokens/${runtimeId('lima')}`);
  await page.getByLabel('Git Personal Access Token', { exact: true }).fill(token.token);
  await page.getByRole('button', { name: 'Add Token', exact: true }).click();
  await expect(person.page.getByRole('row').filter({ hasText: 'lima' })).toContainText('octocat');
  expect(streams).toHaveLength(3);
});

test('what is hidden stays quiet whatever happens, and the row still shows the truth', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await person.chooses('lagos', 'Hide notifications');
  await expect(person.said).toContainText('Notifications about this runtime are hidden.');
  await forge.change(token, { scopes: ['gist'] });
  await person.checks('lagos');
  await expect(person.row('lagos')).toContainText('Scope missing');
  await losesScopes(person, forge, 'lima');
  // The one that is not hidden came after it.
  await person.hasUnread(1);
  await person.sees('/notifications');
  await expect(item(person, 'lima: Scope missing')).toBeVisible();
  await expect(person.page.getByText('lagos')).toBeHidden();

  await person.sees(`/tokens/${runtimeId('lagos')}`);
  await expect(item(person, 'Scope missing')).toBeVisible();
  await person.page.getByRole('button', { name: 'Show them again' }).click();
  await expect(person.said).toContainText('Notifications about this runtime are shown again.');
  await expect(person.page.getByText('You are told what happens to this runtime')).toBeVisible();
  await forge.change(token, { scopes: ['repo'] });
  await person.list();
  await person.checks('lagos');
  await expect(person.row('lagos')).toContainText('Works');
  await person.hasUnread(1);
  await person.sees('/notifications');
  await expect(person.page.getByText('lagos'), 'good news of bad news that was never told').toBeHidden();
});

test('notifications are hidden for a week, and shown again before', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await person.chooses('lagos', 'Hide for a week');
  await expect(person.said).toContainText('Notifications about this runtime are hidden.');
  await expect(person.row('lagos').getByRole('rowheader')).toHaveAccessibleName(/^Notifications hidden until \d+ \w+ \d{4}.*: lagos/);
  await person.sees(`/tokens/${runtimeId('lagos')}`);
  await expect(person.page.getByText(/They are hidden until \d+ \w+ \d{4}\./)).toBeVisible();
  await forge.change(token, { scopes: ['gist'] });
  await person.page.getByRole('button', { name: 'Check now' }).click();
  await expect(person.said).toContainText('The provider was asked again');
  await person.hasUnread(0);
  await expect(item(person, 'Scope missing')).toBeVisible();
  await person.page.getByRole('button', { name: 'Show them again' }).click();
  await person.page.getByRole('button', { name: 'Hide for a day' }).click();
  await expect(person.page.getByText(/They are hidden until/)).toBeVisible();
  await person.hasUnread(0);
});

test('whoever turns them off hears nothing, and finds everything in the list', async ({ person, forge }) => {
  await settings(person);
  await person.page.getByRole('button', { name: 'Turn all notifications off' }).click();
  await expect(person.said).toContainText('Notifications are off.');
  await losesScopes(person, forge, 'lagos');
  await person.sees('/notifications');
  await expect(person.page.getByText('Notifications are off')).toBeVisible();
  await expect(person.page.getByText('lagos')).toBeHidden();
  await settings(person);
  await person.page.getByRole('button', { name: 'Turn notifications on' }).click();
  await expect(person.said).toContainText('From now on you are told what happens.');
  await person.hasUnread(0);
  await losesScopes(person, forge, 'lima');
  await person.hasUnread(1);
});

test("a runtime's page says what happened, and goes on while somebody types", async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await person.sees(`/tokens/${runtimeId('lagos')}`);
  const { page } = person;
  await expect(item(person, 'Token added')).toContainText("It is octocat's at GitHub.");
  await expect(page.getByText('Last good check')).toBeVisible();
  await expect(page.getByText('Next check')).toBeVisible();
  const happened = page.getByRole('listitem').filter({ has: page.locator('small') });
  await expect(happened).toHaveCount(1);
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(person.said).toContainText('The provider was asked again');
  await expect(happened.first()).toContainText('Checked: works');
  await expect(happened).toHaveCount(2);
  await person.sees(`/tokens/${runtimeId('lagos')}`);
  const field = page.getByLabel('Git Personal Access Token', { exact: true });
  if (person.script) {
    await hydrated(page);
    await field.fill('half of a tok');
  }
  await forge.change(token, { scopes: ['gist'] });
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(person.said).toContainText('The provider was asked again');
  await expect(page).toHaveURL(new RegExp(`/tokens/${runtimeId('lagos')}`));
  // Without script it stands there after a reload.
  await person.hasUnread(1);
  await expect(item(person, 'Scope missing')).toContainText('It lacks repo');
  await expect(happened, 'what happened says what the check found').toHaveCount(2);
  if (person.script) await expect(field).toHaveValue('half of a tok');
});

test('a page that is left with a menu open, while something changed, asks for nothing more', async ({ person, forge, browserOf }) => {
  test.skip(!person.script, 'without script nothing changes by itself');
  const token = await forge.token();
  await person.adds('lagos', token);
  await person.list();
  const details = person.row('lagos').getByRole('link', { name: 'Details' });
  await person.row('lagos').getByRole('button', { name: 'More actions for lagos' }).click();
  const elsewhere = await browserOf('mara');
  await forge.change(token, { scopes: ['gist'] });
  await elsewhere.list();
  await elsewhere.checks('lagos');
  // It has heard of it, and leaves the rows alone.
  await person.hasUnread(1);
  await expect(details).toBeVisible();
  await details.click();
  await expect(person.page.getByRole('heading', { name: 'Details' })).toBeVisible();
  // What was waiting for the menu has had its time when the next news has arrived.
  await forge.change(token, { scopes: ['repo'] });
  await elsewhere.list();
  await elsewhere.checks('lagos');
  await person.hasUnread(2);
  await expect(item(person, 'Works again')).toBeVisible();
});

test('a row says that its token is asked about, in other tabs as well', async ({ person, forge, context, script }) => {
  test.skip(!script, 'without script the page waits for the answer');
  await person.adds('lagos', await forge.token());
  const other = await context.newPage();
  await other.goto('/tokens');
  await hydrated(other);
  await forge.fault({ on: 'user', fault: 'delay', delay_ms: 2500, times: 1 });
  await person.chooses('lagos', 'Check again');
  const row = other.getByRole('row').filter({ hasText: 'lagos' });
  await expect(row).toContainText('Checking now');
  await expect(other.getByRole('row').filter({ hasText: 'lima' })).not.toContainText('Checking now');
  await expect(row).toContainText('Checked just now');
  await expect(row).not.toContainText('Checking now');
  await expect(row).toContainText('Works');
});

test('a menu that is open stays open while rows change', async ({ person, forge, context, script }) => {
  test.skip(!script, 'without script rows do not change');
  await person.adds('lagos', await forge.token());
  await person.row('lima').getByRole('button', { name: 'More actions for lima' }).click();
  const choice = person.row('lima').getByRole('switch', { name: 'Hide notifications' });
  await expect(choice).toBeVisible();
  const other = await context.newPage();
  await other.goto(`/tokens/${runtimeId('lagos')}`);
  await other.getByRole('button', { name: 'Hide for a day' }).click();
  await expect(other.getByText(/They are hidden until/)).toBeVisible();
  await expect(choice).toBeVisible();
  await person.page.keyboard.press('Escape');
  await expect(person.row('lagos').getByRole('rowheader')).toHaveAccessibleName(/^Notifications hidden until/);
  await expect(person.row('lima').getByRole('rowheader')).toHaveAccessibleName(/^lima/);
});

test('a host in trouble is one sentence, and no news while it is short', async ({ person, forge }) => {
  for (const name of ['lagos', 'lima', 'dock']) await person.adds(name, await forge.token());
  const trouble = person.page.getByText(/stopped answering/);
  await expect(trouble).toBeHidden();
  await forge.fault({ on: 'any', fault: 'status', status: 503 });
  for (const name of ['lagos', 'lima', 'dock']) await person.checks(name);
  await person.list();
  await expect(trouble).toHaveCount(1);
  await expect(person.page.getByText('Your tokens there stay in use')).toBeVisible();
  for (const name of ['lagos', 'lima', 'dock']) await expect(person.row(name)).not.toContainText('Not accepted');
  await person.hasUnread(0);
  await forge.noFaults();
  await person.checks('lagos');
  await person.list();
  await expect(trouble).toBeHidden();
  await person.hasUnread(0);
});

test('whoever signs out in one tab is signed out in all, and hears no more', async ({ person, context, script, guard }) => {
  test.skip(!script, 'without script a page does not know');
  guard.expects(401, '/events', '/api/');
  await person.list();
  const other = await context.newPage();
  await other.goto('/tokens');
  await hydrated(other);
  await person.page.getByRole('button', { name: 'Menu of mara' }).click();
  await person.page.getByRole('button', { name: 'Sign out' }).click();
  await expect(person.page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  await expect(other.getByText('You are signed out.')).toBeVisible();
  await other.getByRole('link', { name: 'Sign in again' }).click();
  await expect(other.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
});

test('the bell and what it leads to work by keyboard', async ({ person, forge, script }) => {
  await losesScopes(person, forge, 'lagos');
  await person.hasUnread(1);
  const { page } = person;
  if (script) await hydrated(page);
  await person.bell.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Notifications', exact: true })).toBeVisible();
  await page.getByRole('button', { name: /^Mark as read/ }).focus();
  await page.keyboard.press('Enter');
  await expect(person.said).toHaveText('Marked as read.');
  await person.hasUnread(0);
});

test.describe('by mail', () => {
  test.use({ mail: true });

  test('a person confirms an address, and is told there what happens', async ({ person, forge, gitward, guard }) => {
    test.slow();
    guard.expects(410, '/api/notice/confirm-address');
    const { page } = person;
    const { mailbox } = gitward;
    await settings(person);
    await page.getByLabel('Your address').fill('mara@acme.example');
    await page.getByRole('button', { name: 'Send a link there' }).click();
    await expect(person.said).toContainText('A mail is on its way to that address.');
    await expect.poll(() => mailbox.mails.length).toBe(1);
    const [question] = mailbox.mails;
    expect(question.to).toEqual(['mara@acme.example']);
    const [link] = question.text.match(/http:\/\/\S+/);
    expect(question.html).toContain('href=');

    // Nothing else goes to an address that nobody confirmed, not even later: what goes to one place goes in its order.
    await losesScopes(person, forge, 'lagos');
    await person.hasUnread(1);

    await page.goto(link);
    await expect(page.getByRole('heading', { name: 'Is this your address?' })).toBeVisible();
    await page.getByRole('button', { name: 'Yes, it is mine' }).click();
    await expect(person.said).toHaveText('The address is confirmed. Below you choose how often mail goes there.');
    // Who gives an address wants mail.
    await expect(page.getByLabel('At once, for each notification')).toBeChecked();

    await person.adds('dock', await forge.token());
    await person.chooses('dock', 'Hide notifications');
    const lima = await losesScopes(person, forge, 'lima');
    await expect.poll(() => mailbox.mails.length).toBe(2);
    const told = mailbox.mails[1];
    expect(told.to).toEqual(['mara@acme.example']);
    expect(told.subject).toContain('lima');
    expect(told.subject).toContain('Scope missing');
    for (const body of [told.text, told.html]) {
      expect(body).toContain(`${gitward.url}/tokens/${runtimeId('lima')}`);
      expect(body).not.toContain('lagos');
    }
    await hasArrived(person, 'lima: Scope missing');
    await expect(item(person, 'lagos'), 'nothing about it left, nor ever will').toBeHidden();
    await expect(item(person, 'dock')).toBeHidden();
    expect(mailbox.mails).toHaveLength(2);

    // A link works once.
    await page.goto(link);
    await page.getByRole('button', { name: 'Yes, it is mine' }).click();
    await expect(person.alert('This link was used already')).toBeVisible();
    for (const secret of forge.secrets) expect(JSON.stringify(mailbox.mails)).not.toContain(secret);

    await settings(person);
    await page.getByRole('button', { name: 'Forget the address' }).click();
    await expect(person.said).toContainText('The address is forgotten');
    await forge.change(lima, { scopes: ['repo'] });
    await person.list();
    await person.checks('lima');
    await person.hasUnread(3);
    await settings(person);
    await expect(item(person, 'lima: Scope missing')).toBeVisible();
    await expect(item(person, 'lima: Works again'), 'nobody is left to be told').toBeHidden();
  });
});

test('what is no address is refused where it stands', async ({ person, guard }) => {
  guard.expects(422, '/api/notice/webhook');
  await settings(person);
  await expect(person.page.getByText('Mail is not set up here.')).toBeVisible();
  await person.page.getByLabel('Address', { exact: true }).fill('http://hooks.acme.example/x');
  await person.page.getByRole('button', { name: 'Set webhook' }).click();
  await expect(person.alert('The address must begin with https://')).toBeVisible();
  await expect(person.page.getByLabel('Address', { exact: true })).toHaveAttribute('aria-invalid', 'true');
  await expect(person.page.getByText('Each notification is sent')).toBeHidden();
});

test('a webhook is told what happens, signed with a secret that is shown for a while', async ({ person, forge, secrets }) => {
  const heard = [];
  const target = createServer((request, answer) => {
    let body = '';
    request.on('data', (text) => (body += text));
    request.on('end', () => {
      heard.push({ headers: request.headers, body });
      answer.writeHead(204).end();
    });
  });
  await new Promise((done) => target.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${target.address().port}/hook/of-mara`;
  try {
    const { page } = person;
    await settings(person);
    await page.getByLabel('Address', { exact: true }).fill(url);
    await page.getByRole('button', { name: 'Set webhook' }).click();
    await expect(person.said).toHaveText('The webhook is set.');
    const secret = await page.locator('#webhook-secret').textContent();
    expect(secret).toMatch(/^whsec_/);
    await expect(page.getByText('of-mara')).toBeHidden();

    await losesScopes(person, forge, 'lagos');
    await expect.poll(() => heard.length).toBe(1);
    const [{ headers, body }] = heard;
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
    const told = JSON.parse(body);
    expect(told.type).toBe('token.scopes_lost');
    expect(told.data.runtime.name).toBe('lagos');
    expect(told.data.url).toContain(`/tokens/${runtimeId('lagos')}`);
    for (const one of [...forge.secrets, secret, ...secrets]) expect(body).not.toContain(one);

    await hasArrived(person, 'lagos: Scope missing');
    await page.getByRole('button', { name: 'Remove webhook' }).click();
    await expect(person.said).toContainText('The webhook is removed');
    await losesScopes(person, forge, 'lima');
    await person.hasUnread(2);
    await settings(person);
    await expect(item(person, 'lima')).toBeHidden();
  } finally {
    target.closeAllConnections();
    target.close();
  }
});
