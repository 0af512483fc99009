// The list of runtimes: finding, choosing, hiding.

import { expect, hydrated, runtimeId, test } from '../fixtures.mjs';

const many = {
  members: ['mara'],
  accounts: {
    'Acme Logistics': Array.from({ length: 100 }, (_, at) => ({ name: `acme-runtime-${String(at + 1).padStart(3, '0')}` })),
    'Blue Harbor': Array.from({ length: 20 }, (_, at) => ({ name: `harbor-${String(at + 1).padStart(3, '0')}`, provider: 'ghes' })),
  },
};

const rows = (person) => person.page.getByRole('rowheader').filter({ has: person.page.getByText(/GitHub/) });
const filter = (person) => person.page.getByRole('searchbox', { name: 'Filter by name, account, host or login' });
const chips = (person) => person.page.getByRole('navigation', { name: 'Which runtimes' });

async function finds(person, words) {
  await filter(person).fill(words);
  await filter(person).press('Enter');
}

/** Changes a row behind the page's back, and holds up the new rows on their way there until they are let through. */
async function rowsUnderWay(person, gitward, name) {
  let letThrough;
  let ask;
  const through = new Promise((resolve) => (letThrough = resolve));
  const asked = new Promise((resolve) => (ask = resolve));
  await person.page.route('**/api/token/table', async (route) => {
    ask();
    await through;
    await route.continue();
  }, { times: 1 });
  const arrived = person.page.waitForResponse('**/api/token/table');
  const answer = await person.page.request.post('/api/runtime/hide-notifications', {
    headers: { origin: gitward.url, accept: 'application/json' },
    form: { runtime: runtimeId(name), hide: 'true' },
  });
  expect(answer.ok()).toBe(true);
  await asked;
  return async () => {
    letThrough();
    await (await arrived).finished();
  };
}

test.describe('120 runtimes', () => {
  test.use({ declaration: many });

  test('come fifty a page, grouped by account', async ({ person }) => {
    await person.list();
    await expect(rows(person)).toHaveCount(50);
    const pages = person.page.getByRole('navigation', { name: 'Pages' });
    await expect(pages).toContainText('Page 1 of 3, 120 runtimes');
    await expect(pages.getByRole('link', { name: 'Previous' })).toBeHidden();
    await expect(person.page.getByRole('row', { name: /^Acme Logistics 100 runtimes/ })).toBeVisible();
    await expect(person.page.getByRole('row', { name: /^Blue Harbor/ })).toBeHidden();
    await pages.getByRole('link', { name: 'Next' }).click();
    await expect(pages).toContainText('Page 2 of 3');
    await pages.getByRole('link', { name: 'Next' }).click();
    await expect(pages).toContainText('Page 3 of 3');
    await expect(rows(person)).toHaveCount(20);
    await expect(person.page.getByRole('row', { name: /^Blue Harbor 20 runtimes/ })).toBeVisible();
    await expect(pages.getByRole('link', { name: 'Next' })).toBeHidden();
    await expect(person.page).toHaveURL('/tokens?page=3');
    await person.page.goBack();
    await expect(pages).toContainText('Page 2 of 3');
    await expect(rows(person)).toHaveCount(50);
    await person.sees('/tokens?page=99');
    await expect(pages).toContainText('Page 3 of 3');
  });

  test('are found by words of name, account, host and login', async ({ person, ghes }) => {
    await person.list();
    await finds(person, 'HARBOR-01');
    await expect(rows(person)).toHaveCount(10);
    await expect(person.page).toHaveURL('/tokens?q=HARBOR-01');
    await finds(person, 'blue 007');
    await expect(rows(person)).toHaveCount(1);
    await finds(person, ghes.host);
    await expect(rows(person)).toHaveCount(20);
    await finds(person, '');
    await expect(rows(person)).toHaveCount(50);
    await person.sees('/tokens?q=harbor-020');
    await expect(filter(person)).toHaveValue('harbor-020');
    await expect(rows(person)).toHaveCount(1);
  });

  test('are filtered while somebody types', async ({ person, script }) => {
    test.skip(!script, 'without script the form has to be sent');
    await person.list();
    await filter(person).pressSequentially('harbor-02');
    await expect(rows(person)).toHaveCount(1);
    await expect(filter(person)).toBeFocused();
    await expect(filter(person)).toHaveValue('harbor-02');
  });

  test('are filtered also where the rows change while somebody types', async ({ person, gitward, script }) => {
    test.skip(!script, 'without script nothing changes by itself');
    await person.list();
    const rowsArrive = await rowsUnderWay(person, gitward, 'acme-runtime-001');
    await filter(person).pressSequentially('harbor-02');
    await rowsArrive();
    await expect(rows(person)).toHaveCount(1);
    await expect(filter(person)).toHaveValue('harbor-02');
  });

  test('are not looked through once more for words that were sent, wherever the visitor is by then', async ({ person, script }) => {
    test.skip(!script, 'without script nothing is looked for while somebody types');
    const { page } = person;
    await page.clock.install();
    await person.list();
    await hydrated(page);
    // Faster than anybody stops typing.
    await page.clock.pauseAt(Date.now() + 60_000);
    await finds(person, 'zebra');
    await page.getByRole('link', { name: 'Show all runtimes' }).click();
    await expect(rows(person)).toHaveCount(50);
    await page.clock.runFor(5000);
    await expect(rows(person)).toHaveCount(50);
    await expect(page).toHaveURL('/tokens');
  });

  test('of which none matches: the list says so and leads back', async ({ person }) => {
    await person.list();
    await finds(person, '<b>zebra</b>');
    await expect(person.page.getByRole('heading', { name: 'Nothing matches' })).toBeVisible();
    await person.page.getByRole('link', { name: 'Show all runtimes' }).click();
    await expect(rows(person)).toHaveCount(50);
    await expect(person.page).toHaveURL('/tokens');
  });
});

test('chips choose which runtimes are shown', async ({ person, forge }) => {
  await person.adds('lagos', await forge.token());
  await expect(chips(person).getByRole('link', { name: '8 runtimes' })).toHaveAttribute('aria-current', 'true');
  await chips(person).getByRole('link', { name: '1 works' }).click();
  await expect(rows(person)).toHaveCount(1);
  await expect(person.row('lagos')).toBeVisible();
  await expect(chips(person).getByRole('link', { name: '1 works' })).toHaveAttribute('aria-current', 'true');
  await chips(person).getByRole('link', { name: '7 without a token' }).click();
  await expect(rows(person)).toHaveCount(7);
  await expect(person.row('lagos')).toBeHidden();
  await finds(person, 'lim');
  await expect(rows(person)).toHaveCount(1);
  await expect(person.page).toHaveURL((url) => url.searchParams.get('q') === 'lim' && url.searchParams.get('show') === 'no-token');
  await chips(person).getByRole('link', { name: '0 need you' }).click();
  await expect(person.page.getByRole('heading', { name: 'Nothing matches' })).toBeVisible();
  await person.sees('/tokens?show=need-you');
  await expect(person.page.getByRole('heading', { name: 'Nothing needs you' })).toBeVisible();
});

test('the newest problem comes first', async ({ person, forge }) => {
  await person.adds('lima', await forge.token());
  const token = await forge.token();
  await person.adds('vault', await forge.token({ user: 'hubot' }));
  await forge.access('hubot', 'acme/secret-ops', 'read');
  await person.checks('vault');
  await expect(person.row('vault')).toContainText("Can't push");
  await expect(rows(person).first()).toContainText('vault');
  await expect(rows(person).last()).toContainText('lima');
  expect(token.works).toBe(true);
});

test('a person hides and shows the notifications of a runtime', async ({ person }) => {
  await person.list();
  const menu = person.row('lagos').getByRole('button', { name: 'More actions for lagos' });
  await menu.click();
  const choice = person.row('lagos').getByRole('switch', { name: 'Hide notifications' });
  await expect(choice).not.toBeChecked();
  await choice.click();
  await expect(person.said).toContainText('Notifications about this runtime are hidden.');
  await expect(person.row('lagos').getByRole('rowheader')).toHaveAccessibleName(/^Notifications hidden: lagos/);
  await expect(person.row('lima').getByRole('rowheader')).toHaveAccessibleName(/^lima/);
  if (person.script) await expect(menu).toBeFocused();
  await person.list();
  await menu.click();
  await expect(choice).toBeChecked();
  await choice.click();
  await expect(person.said).toContainText('Notifications about this runtime are shown again.');
  await expect(person.row('lagos').getByRole('rowheader')).toHaveAccessibleName(/^lagos/);
});

test('what changes by itself does not take a button from under the finger', async ({ person, gitward, script }) => {
  test.skip(!script, 'without script nothing changes by itself');
  await person.list();
  // The new rows are on their way when the button is pressed.
  const rowsArrive = await rowsUnderWay(person, gitward, 'lima');
  await person.link('lagos', 'Add Token').hover();
  await person.page.mouse.down();
  await rowsArrive();
  await expect(person.row('lima').getByRole('rowheader')).not.toHaveAccessibleName(/^Notifications hidden/);
  await person.page.mouse.up();
  await expect(person.form('lagos')).toBeVisible();
  await expect(person.row('lima').getByRole('rowheader')).toHaveAccessibleName(/^Notifications hidden: lima/);
});

test.describe('somebody without runtimes', () => {
  test.use({ declaration: { members: [], accounts: { 'Acme Logistics': [{ name: 'lagos' }] } } });

  test('is told where they come from', async ({ person }) => {
    await person.list();
    await expect(person.page.getByRole('heading', { name: 'No runtimes yet' })).toBeVisible();
    await expect(person.page.getByText('lagos')).toBeHidden();
    await expect(filter(person)).toBeHidden();
    await person.sees('/');
    await expect(person.page.getByText('No runtimes yet')).toBeVisible();
  });
});

test('what a row says crosses the wire once', async ({ person, forge, page }) => {
  await person.adds('lagos', await forge.token());
  const html = await (await page.request.get('/tokens')).text();
  // The name; its id occurs in addresses and ids as well.
  expect(html.replaceAll(runtimeId('lagos'), '').match(/lagos/g)).toHaveLength(1);
  expect(html.match(/octocat/g)).toHaveLength(1);
  expect(html).not.toContain(forge.secrets.at(-1));
});

test('a file of the site is kept by browsers, a page is not', async ({ page }) => {
  const html = await page.request.get('/tokens');
  expect(html.headers()['cache-control']).toBe('no-store');
  const [script] = (await html.text()).match(/\/pkg\/[^"]+\.js/);
  expect((await page.request.get(script)).headers()['cache-control']).toContain('immutable');
});
