// Everything with the keyboard alone: the focus can be seen, goes where it should, and is never caught.

import { expect, field, hydrated, submit, test } from '../fixtures.mjs';
import { focus, tabsTo } from '../fixtures/keyboard.mjs';

test.beforeEach(async ({ person }) => {
  await person.list();
  if (person.script) await hydrated(person.page);
});

test('the first stop leads past the head of the page', async ({ person }) => {
  const { page } = person;
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeInViewport();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('navigation', { name: 'Which runtimes' }).getByRole('link').first()).toBeFocused();
});

test('a person adds, replaces, mutes and deletes by keyboard', async ({ person, forge }) => {
  const { page, script } = person;
  const [first, second] = [await forge.token(), await forge.token()];

  await tabsTo(page, person.link('lagos', 'Add Token'));
  await page.keyboard.press('Enter');
  let form = person.form('lagos');
  await expect(field(form)).toBeVisible();
  if (script) await expect(field(form)).toBeFocused();
  await tabsTo(page, field(form));
  await page.keyboard.insertText(first.token);
  await page.keyboard.press('Enter');
  await person.hasAdded('lagos');
  if (script) await expect(person.link('lagos', 'Replace Token')).toBeFocused();

  await tabsTo(page, person.link('lagos', 'Replace Token'));
  await page.keyboard.press('Enter');
  form = person.form('lagos');
  await tabsTo(page, field(form));
  await page.keyboard.insertText(second.token);
  await tabsTo(page, submit(form, true));
  await page.keyboard.press('Enter');
  await person.hasAdded('lagos');
  expect((await forge.requests()).at(-1).token_id).toBe(second.id);
  if (script) await expect(person.link('lagos', 'Replace Token')).toBeFocused();

  const more = person.row('lagos').getByRole('button', { name: 'More actions for lagos' });
  await tabsTo(page, more);
  await page.keyboard.press('Enter');
  const mute = person.row('lagos').getByRole('switch', { name: 'Hide notifications' });
  await tabsTo(page, mute);
  await page.keyboard.press('Escape');
  await expect(mute).toBeHidden();
  await expect(more).toBeFocused();
  await page.keyboard.press('Enter');
  await tabsTo(page, mute);
  await page.keyboard.press('Space');
  await expect(person.said).toContainText('Notifications about this runtime are hidden.');
  if (script) await expect(more).toBeFocused();

  await tabsTo(page, person.link('lagos', 'Delete Token'), script ? 'Shift+Tab' : 'Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Delete the token of lagos?' })).toBeVisible();
  await tabsTo(page, page.getByRole('button', { name: 'Delete Token' }).last());
  await page.keyboard.press('Enter');
  await expect(person.row('lagos')).toContainText('No token');
  if (script) await expect(person.link('lagos', 'Add Token')).toBeFocused();
});

test('the focus is where a deletion leads, also where other rows arrive just then', async ({ person, gitward, forge, script }) => {
  test.skip(!script, 'without script nothing arrives by itself');
  const { page } = person;
  await person.adds('lagos', await forge.token());
  await hydrated(page);
  const looks = (request) => request.url().endsWith('/api/token/table') && request.headers()['x-gitward-looking'];
  const lookAnswered = page.waitForResponse((response) => looks(response.request()));
  let deleted;
  const deletion = new Promise((resolve) => (deleted = resolve));
  // First the rows that the page asked for by itself, held up until the form has its answer, then those that follow from it.
  await page.route('**/api/token/table', async (route) => {
    if (looks(route.request())) await deletion;
    else {
      deleted();
      await lookAnswered;
    }
    await route.continue();
  });
  const lookAsked = page.waitForRequest(looks);
  await gitward.gives('mara', 'lima', (await forge.token()).token);
  await lookAsked;
  await person.link('lagos', 'Delete Token').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Delete the token of lagos?' })).toBeVisible();
  await tabsTo(page, page.getByRole('button', { name: 'Delete Token' }).last());
  await page.keyboard.press('Enter');
  await expect(person.row('lagos')).toContainText('No token');
  await expect(person.row('lima')).toContainText('Works');
  await expect(person.link('lagos', 'Add Token')).toBeFocused();
});

test('Escape closes a dialog, and the focus is where it came from', async ({ person, forge, script }) => {
  test.skip(!script, 'without script there are pages instead of dialogs');
  const { page } = person;
  await person.adds('lagos', await forge.token());
  await hydrated(page);
  for (const [name, text] of [['lima', 'Add Token'], ['berlin', 'Add Token'], ['lagos', 'Replace Token'], ['lagos', 'Delete Token']]) {
    await person.link(name, text).focus();
    await page.keyboard.press('Enter');
    await expect(person.dialog).toBeVisible();
    await expect.poll(async () => (await focus(page)).inDialog).toBe(true);
    await page.keyboard.press('Escape');
    await expect(person.dialog).toBeHidden();
    await expect(person.link(name, text)).toBeFocused();
  }
});

test('a dialog keeps the focus, but does not catch it', async ({ person, script }) => {
  test.skip(!script, 'without script there are pages instead of dialogs');
  const { page } = person;
  await person.link('berlin', 'Add Token').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'Authorize Access to GitHub' })).toBeFocused();
  const stops = new Set();
  for (let stop = 0; stop < 30; stop += 1) {
    await page.keyboard.press('Tab');
    const { nowhere, what, inDialog } = await focus(page);
    expect(nowhere || inDialog, `${what} is in the dialog`).toBe(true);
    stops.add(what);
  }
  expect(stops.size).toBeGreaterThan(4);
  await tabsTo(page, person.dialog.getByRole('button', { name: 'Close' }));
  await page.keyboard.press('Enter');
  await expect(person.dialog).toBeHidden();
  await expect(person.link('berlin', 'Add Token')).toBeFocused();
});

test('a refusal leaves the focus where the token can be mended', async ({ person, forge, guard, script }) => {
  test.skip(!script, 'without script a new page begins at its top');
  guard.expects(422, '/api/token/add');
  const { page } = person;
  const token = await forge.token({ scopes: [] });
  await person.link('lagos', 'Add Token').focus();
  await page.keyboard.press('Enter');
  await expect(field(person.form('lagos'))).toBeFocused();
  await page.keyboard.insertText(token.token);
  await page.keyboard.press('Enter');
  await expect(person.alert('it lacks repo')).toBeVisible();
  await expect(field(person.form('lagos'))).toBeFocused();
  await expect(field(person.form('lagos'))).toHaveAccessibleDescription(/it lacks repo/);
});
