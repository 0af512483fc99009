// Runtimes fetch the tokens: admins make keys for them, the page says what each of them has, and what is deleted is
// refused to them at once.

import { expect, field, hydrated, password, submit, test, usual } from '../fixtures.mjs';
import { tabsTo } from '../fixtures/keyboard.mjs';
import { looksGood } from '../fixtures/looks.mjs';

/** Mara is an admin of one account, lena of another; theo is a member. */
const several = {
  members: { 'Acme Logistics': ['mara', { user: 'theo', role: 'member' }], 'Blue Harbor': ['lena'] },
  accounts: { ...usual.accounts, 'Blue Harbor': [{ name: 'crane' }] },
};

const keysOfLagos = '/admin/runtimes/acme.lagos';
const publicId = (key) => key.split('_')[1];
const secretOf = (key) => key.split('_')[2];

const keyRows = (person) => person.page.getByRole('main').getByRole('listitem');
const keyRow = (person, key) => keyRows(person).filter({ hasText: `gwr_${publicId(key)}_…` });
const theNewKey = (person) =>
  person.page.getByRole('status').filter({ has: person.page.getByRole('heading', { name: 'The new key' }) });

/** Revokes a key that the page shows; whoever does that is asked first. */
async function revokes({ page }, key) {
  await page.getByRole('button', { name: `Revoke key ${publicId(key)}` }).click();
  await expect(page.getByRole('heading', { name: 'Revoke this key?' })).toBeVisible();
  await expect(page.getByRole('main')).toContainText(`gwr_${publicId(key)}_…`);
  await page.getByRole('button', { name: 'Revoke key', exact: true }).click();
}

/** Reads the key that has just been made; from then on it must not be seen again. */
async function readsKey(person, guard) {
  await expect(theNewKey(person)).toContainText('Copy it now: it is shown this one time.');
  const key = await theNewKey(person).locator('code').textContent();
  expect(key).toMatch(/^gwr_[0-9a-f]{16}_[0-9a-f]{64}$/);
  guard.shows(secretOf(key));
  return key;
}

/** Makes the first or the next key, on a page that shows none. */
async function makesKey(person, guard, button) {
  await person.sees(keysOfLagos);
  await expect(theNewKey(person)).toBeHidden();
  await person.page.getByRole('button', { name: button }).click();
  return readsKey(person, guard);
}

test.describe('keys', () => {
  test.use({ declaration: several });

  test('an admin makes and rotates keys: each is shown once, and the latest two open', async ({ person, guard, forge, gitward, runtimeOf }) => {
    guard.expects(409, keysOfLagos);
    const { page } = person;
    const { token } = await forge.token();
    await gitward.gives('mara', 'lagos', token);
    const answers = (...keys) => Promise.all(keys.map(async (key) => {
      const { status, code, git } = await (await runtimeOf('lagos', key)).fetches();
      return git?.password === token ? status : code;
    }));

    await person.sees('/tokens/acme.lagos');
    await page.getByRole('link', { name: 'Make, rotate and revoke keys' }).click();
    await expect(page).toHaveURL(keysOfLagos);
    await expect(page.getByRole('heading', { name: 'acme.lagos: runtime keys' })).toBeVisible();
    await expect(page.getByText('There is no valid key: this runtime can fetch nothing.')).toBeVisible();
    await expect(keyRows(person)).toHaveCount(0);
    await page.getByRole('button', { name: 'Create key' }).click();
    const first = await readsKey(person, guard);
    await expect(keyRow(person, first)).toContainText('valid · made just now · never used');

    // The browser sends the form again. No second key comes of it, and the first is not told again.
    await page.reload();
    await expect(person.alert('The keys have changed meanwhile, so nothing was done.')).toBeVisible();
    expect(await page.content()).not.toContain(secretOf(first));
    await person.sees(keysOfLagos);
    expect(await page.content()).not.toContain(secretOf(first));
    await expect(keyRows(person)).toHaveCount(1);
    await expect(keyRow(person, first)).toContainText('never used');
    await expect(page.getByRole('button', { name: 'Create key' })).toBeHidden();
    expect(await answers(first)).toEqual([200]);

    const second = await makesKey(person, guard, 'Rotate key');
    await expect(keyRow(person, first)).toContainText('valid');
    await expect(keyRow(person, second)).toContainText('valid · made just now · never used');
    expect(await answers(first, second)).toEqual([200, 200]);

    const third = await makesKey(person, guard, 'Rotate key');
    await expect(keyRow(person, first)).toContainText('revoked just now');
    await expect(keyRow(person, second)).toContainText('valid');
    await expect(keyRow(person, third)).toContainText('valid · made just now · never used');
    expect(await answers(first, second, third)).toEqual(['key_revoked', 200, 200]);

    // When a key was used is written down within a second or so.
    await expect(async () => {
      await person.sees(keysOfLagos);
      for (const key of [first, second, third]) {
        await expect(keyRow(person, key)).toContainText('last used just now', { timeout: 300 });
      }
    }).toPass();
    await expect(keyRows(person)).toHaveCount(3);
  });

  test('a key that an admin revokes opens nothing from then on, and stays revoked', async ({ person, guard, forge, gitward, runtimeOf }) => {
    const { page } = person;
    await gitward.gives('mara', 'lagos', (await forge.token()).token);
    const answers = (...keys) => Promise.all(keys.map(async (key) => {
      const { status, code } = await (await runtimeOf('lagos', key)).fetches();
      return code ?? status;
    }));
    const first = await makesKey(person, guard, 'Create key');
    const second = await makesKey(person, guard, 'Rotate key');
    const revokesAndHears = async (key) => {
      await revokes(person, key);
      await expect(person.said).toHaveText(`Revoked ${publicId(key)}: it opens nothing any more.`);
    };
    expect(await answers(first, second)).toEqual([200, 200]);

    // Whoever thinks better of it has changed nothing.
    await page.getByRole('button', { name: `Revoke key ${publicId(second)}` }).click();
    await page.getByRole('link', { name: 'Cancel' }).click();
    await expect(keyRow(person, second)).toContainText('valid');
    expect(await answers(second)).toEqual([200]);

    await revokesAndHears(second);
    await expect(keyRow(person, second)).toContainText('revoked just now');
    await expect(keyRow(person, second).getByRole('button')).toBeHidden();
    await expect(keyRow(person, first)).toContainText('valid');
    expect(await answers(first, second)).toEqual([200, 'key_revoked']);
    for (const path of ['/users', '/changes']) {
      expect(await (await runtimeOf('lagos', second)).asks(path)).toMatchObject({ status: 401, code: 'key_revoked' });
    }

    await revokesAndHears(first);
    await expect(page.getByText('There is no valid key: this runtime can fetch nothing.')).toBeVisible();
    expect(await answers(first, second)).toEqual(['key_revoked', 'key_revoked']);

    const third = await makesKey(person, guard, 'Create key');
    await expect(keyRows(person)).toHaveCount(3);
    expect(await answers(first, second, third)).toEqual(['key_revoked', 'key_revoked', 200]);
  });

  test('what one tab has changed another does not change again', async ({ person, guard, browserOf }) => {
    guard.expects(409, keysOfLagos);
    const first = await makesKey(person, guard, 'Create key');
    const other = await browserOf('mara');
    const moved = other.alert('The keys have changed meanwhile, so nothing was done. Look at them again.');
    await other.sees(keysOfLagos);
    const second = await makesKey(person, guard, 'Rotate key');
    await other.page.getByRole('button', { name: 'Rotate key' }).click();
    await expect(moved).toBeVisible();
    await expect(theNewKey(other)).toBeHidden();
    await expect(keyRows(other)).toHaveCount(2);
    await expect(keyRow(other, first)).toContainText('valid');

    await other.sees(keysOfLagos);
    await revokes(person, first);
    await expect(keyRow(person, first)).toContainText('revoked');
    await other.page.getByRole('button', { name: `Revoke key ${publicId(first)}` }).click();
    await expect(moved).toBeVisible();
    await expect(keyRow(other, second)).toContainText('valid');
  });

  for (const [name, is] of [['theo', 'a member who is no admin'], ['lena', 'an admin of another account']]) {
    test(`${is} neither sees keys nor changes them`, async ({ person, guard, forge, gitward, runtimeOf, browserOf }) => {
      guard.expects(404, '/admin/runtimes/', '/tokens/acme.lagos', '/api/');
      await gitward.gives('mara', 'lagos', (await forge.token()).token);
      const lagos = await runtimeOf('lagos');
      const other = await browserOf(name);
      const { page } = other;
      await other.sees('/tokens/acme.lagos');
      await expect(page.getByRole('heading', { name: name === 'theo' ? 'What happened' : 'Not here' })).toBeVisible();
      await expect(page.getByText('Runtime keys')).toBeHidden();
      await expect(page.locator('a[href^="/admin"]')).toHaveCount(0);

      // It says the same of a runtime that there is and of one that there isn't.
      const said = [];
      for (const place of [keysOfLagos, '/admin/runtimes/acme.nowhere']) {
        const answer = await page.goto(place);
        expect(answer.status()).toBe(404);
        await expect(page.getByText('There is no such runtime, or you are no admin of its account.')).toBeVisible();
        said.push(await page.content());
      }
      expect(said[0]).toBe(said[1]);
      expect(said[0]).not.toContain(lagos.publicId);

      for (const form of [{ what: 'create' }, { what: 'rotate', key: lagos.publicId }, { what: 'revoke', key: lagos.publicId }]) {
        const answer = await page.request.post(keysOfLagos, { form, headers: { origin: gitward.url } });
        expect(answer.status(), form.what).toBe(404);
        expect(await answer.text()).not.toContain('gwr_');
      }
      expect(await lagos.fetches()).toMatchObject({ status: 200 });
      await person.sees(keysOfLagos);
      await expect(keyRows(person)).toHaveCount(1);
      await expect(keyRow(person, lagos.key)).toContainText('valid');
    });
  }

  test('a stranger who asks for the keys signs in and is there', async ({ browserOf, runtimeOf }) => {
    const lagos = await runtimeOf('lagos');
    const stranger = await browserOf(null);
    await stranger.sees(keysOfLagos);
    await expect(stranger.page).toHaveURL(`/sign-in?then=${keysOfLagos}`);
    expect(await stranger.page.content()).not.toContain(lagos.publicId);
    await stranger.signsIn('mara', password);
    await expect(stranger.page).toHaveURL(keysOfLagos);
    await expect(keyRow(stranger, lagos.key)).toContainText('valid');
  });

  test('an admin makes, rotates and revokes keys by keyboard', async ({ person, guard }) => {
    const { page } = person;
    await person.sees('/tokens/acme.lagos');
    if (person.script) await hydrated(page);
    await tabsTo(page, page.getByRole('link', { name: 'Make, rotate and revoke keys' }));
    await page.keyboard.press('Enter');
    await expect(page.getByRole('heading', { name: 'acme.lagos: runtime keys' })).toBeVisible();
    await page.keyboard.press('Tab');
    await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
    await page.keyboard.press('Enter');
    await tabsTo(page, page.getByRole('button', { name: 'Create key' }));
    await page.keyboard.press('Enter');
    const first = await readsKey(person, guard);
    await tabsTo(page, page.getByRole('button', { name: 'Rotate key' }));
    await page.keyboard.press('Space');
    await expect(keyRow(person, first)).toBeVisible();
    await expect(keyRows(person)).toHaveCount(2);
    const second = await readsKey(person, guard);
    expect(second).not.toBe(first);
    await tabsTo(page, page.getByRole('button', { name: `Revoke key ${publicId(first)}` }));
    await page.keyboard.press('Enter');
    await tabsTo(page, page.getByRole('button', { name: 'Revoke key', exact: true }));
    await page.keyboard.press('Enter');
    await expect(person.said).toHaveText(`Revoked ${publicId(first)}: it opens nothing any more.`);
    await expect(keyRow(person, second)).toContainText('valid');
    await tabsTo(page, page.getByRole('link', { name: 'How a runtime uses it' }));
    await page.keyboard.press('Enter');
    await expect(page.getByRole('heading', { name: 'Get a user\'s credential for a Git URL' })).toBeVisible();
  });

  test('the page of keys looks good in every state', async ({ person, guard, runtimeOf, forge, gitward, browserOf }, info) => {
    test.slow();
    guard.expects(404, '/admin/runtimes/');
    guard.expects(409, keysOfLagos);
    const { page } = person;
    await gitward.gives('mara', 'lagos', (await forge.token()).token);
    await person.sees(keysOfLagos);
    await looksGood(page, 'keys none', info);
    const first = await makesKey(person, guard, 'Create key');
    await looksGood(page, 'keys new', info);
    await (await runtimeOf('lagos', first)).fetches();
    await makesKey(person, guard, 'Rotate key');
    const third = await makesKey(person, guard, 'Rotate key');
    await looksGood(page, 'keys rotated', info);
    await page.reload();
    await expect(person.alert('so nothing was done')).toBeVisible();
    await looksGood(page, 'keys changed meanwhile', info);
    await page.getByRole('button', { name: `Revoke key ${publicId(third)}` }).click();
    await expect(page.getByRole('heading', { name: 'Revoke this key?' })).toBeVisible();
    await looksGood(page, 'keys asked', info);
    await page.getByRole('button', { name: 'Revoke key', exact: true }).click();
    await expect(person.said).toContainText('it opens nothing any more');
    await looksGood(page, 'keys revoked', info);
    await page.reload();
    await expect(person.said).toContainText('it opens nothing any more');
    const theo = await browserOf('theo');
    await theo.sees(keysOfLagos);
    await looksGood(theo.page, 'keys not for you', info);
    await person.sees('/runtime/v1/docs');
    await looksGood(page, 'runtime api', info);
  });
});

test.describe('what runtimes have', () => {
  test.use({ declaration: several });

  test('the page says when the runtime fetched, in tabs that are open as well', async ({ person, context, script, forge, gitward, runtimeOf, browserOf }) => {
    const token = await forge.token();
    await person.adds('lagos', token);
    await gitward.gives('mara', 'lima', (await forge.token()).token);
    await gitward.gives('theo', 'lagos', (await forge.token({ user: 'hubot' })).token);
    const lagos = await runtimeOf('lagos');
    const theo = await browserOf('theo');

    // What it does not get it has not fetched.
    expect(await lagos.fetches({ git_url: 'https://elsewhere.example/acme/infra.git' })).toMatchObject({ status: 403, code: 'other_host' });
    expect(await lagos.fetches({ user: 'lena' })).toMatchObject({ status: 404, code: 'unknown_user' });
    const detail = await context.newPage();
    await detail.goto('/tokens/acme.lagos');
    for (const one of [person, theo]) await one.list();
    for (const where of [person.row('lagos'), person.row('lima'), theo.row('lagos'), detail.getByRole('main')]) {
      await expect(where).toContainText('Never fetched by the runtime');
    }
    const loads = [];
    if (script) {
      for (const page of [person.page, theo.page, detail]) {
        await hydrated(page);
        page.on('framenavigated', () => loads.push(page.url()));
      }
    }

    const answer = await lagos.fetches();
    expect(answer).toMatchObject({ status: 200, login: 'octocat', health: 'valid', git: { password: token.token } });
    if (!script) for (const page of [person.page, detail]) await page.reload();
    for (const where of [person.row('lagos'), detail.getByRole('main')]) {
      await expect(where).toContainText('Last fetched just now');
      await expect(where).not.toContainText('Never fetched');
    }
    expect(loads, 'no page was loaded for it').toEqual([]);
    await expect(theo.row('lagos')).toContainText('Never fetched');

    expect(await lagos.fetches({ user: 'theo' })).toMatchObject({ status: 200, login: 'hubot' });
    if (!script) await theo.page.reload();
    await expect(theo.row('lagos')).toContainText('Last fetched just now');
    expect(loads).toEqual([]);
    // Of another runtime, and of a token that the runtime held already, nothing else is said.
    expect(await lagos.fetches({ version: answer.version })).toEqual({ status: 204, kind: null });
    await person.list();
    await expect(person.row('lima')).toContainText('Never fetched by the runtime');
    await expect(person.row('lagos')).toContainText('Last fetched just now');
  });

  test('after a replacement the runtime holds the previous token, until it has fetched the new one and does not say otherwise', async ({ person, script, forge, runtimeOf }) => {
    const still = 'The runtime still holds the previous token, fetched just now';
    const [old, fresh] = [await forge.token(), await forge.token()];
    await person.adds('lagos', old);
    const lagos = await runtimeOf('lagos');
    const { version: before } = await lagos.fetches();
    expect(await lagos.reports('used', before)).toMatchObject({ status: 200, version: before });
    await person.list();
    await expect(person.row('lagos')).toContainText('Last fetched just now');

    await person.adds('lagos', fresh, { replace: true });
    await expect(person.row('lagos')).toContainText(still);
    const { version, git } = await lagos.fetches({ version: before });
    expect(git.password).toBe(fresh.token);
    expect(version).not.toBe(before);
    // What was heard last counts: that it has fetched the new one, until it says that it uses the old one all the same.
    await person.list();
    await expect(person.row('lagos')).not.toContainText('previous');
    expect(await lagos.reports('used', before)).toMatchObject({ status: 200, version });
    await person.list();
    await expect(person.row('lagos')).toContainText(still);

    if (script) await hydrated(person.page);
    expect(await lagos.reports('used', version)).toMatchObject({ status: 200, version });
    if (!script) await person.list();
    await expect(person.row('lagos')).toContainText('Last fetched just now');
    await expect(person.row('lagos')).not.toContainText('previous');
  });

  test('a runtime that says nothing holds what it fetched last', async ({ person, forge, runtimeOf }) => {
    await person.adds('lagos', await forge.token());
    const lagos = await runtimeOf('lagos');
    const { version } = await lagos.fetches();
    await person.adds('lagos', await forge.token(), { replace: true });
    await expect(person.row('lagos')).toContainText('The runtime still holds the previous token, fetched just now');
    expect((await lagos.fetches({ version })).status).toBe(200);
    await person.list();
    await expect(person.row('lagos')).toContainText('Last fetched just now');
    await expect(person.row('lagos')).not.toContainText('previous');
  });

  test('a replaced token is revoked only when the runtime uses the new one', async ({ person, forge, runtimeOf }) => {
    const works = async () => (await forge.tokens()).map((token) => token.works);
    const notice = person.page.locator('[data-revocation]');
    const [old, fresh] = [await forge.token(), await forge.token()];
    await person.adds('lagos', old);
    const lagos = await runtimeOf('lagos');
    await lagos.fetches();
    // What was fetched is gathered for a second before it is written down; who asks for the users has it written now.
    expect((await lagos.asks('/users')).users[0].fetched_at).not.toBeNull();
    const form = await person.opens('lagos', { replace: true });
    await form.getByRole('checkbox', { name: 'Also revoke the old token at GitHub' }).last().check();
    await field(form).fill(fresh.token);
    await submit(form, true).click();
    await person.hasAdded('lagos');
    await expect(notice).toContainText(/lagos still holds it\. Gitward revokes it at GitHub when the new one is in use there, at the latest on \d/);
    expect(await works()).toEqual([true, true]);

    const { version } = await lagos.fetches();
    await person.list();
    await expect(notice).toContainText('lagos still holds it.');
    expect(await works()).toEqual([true, true]);

    await lagos.reports('used', version);
    await expect(async () => {
      await person.list();
      await expect(notice).toContainText('Handed to GitHub, which revokes it', { timeout: 500 });
    }).toPass({ timeout: 40_000 });
    expect(await works()).toEqual([false, true]);
    expect(await lagos.fetches({ version })).toMatchObject({ status: 204 });
  });

  test('a token that is deleted on the page is refused to the runtime, and who waits for changes is told', async ({ person, forge, gitward, runtimeOf }) => {
    await person.adds('lagos', await forge.token());
    await gitward.gives('mara', 'lima', (await forge.token()).token);
    await gitward.gives('theo', 'lagos', (await forge.token({ user: 'hubot' })).token);
    const [lagos, lima] = [await runtimeOf('lagos'), await runtimeOf('lima')];
    const { version } = await lagos.fetches();
    const ofTheo = await lagos.fetches({ user: 'theo' });
    expect([version === undefined, ofTheo.status]).toEqual([false, 200]);
    const before = await lagos.changes();
    expect(before.users).toEqual([{ user: 'mara', version }, { user: 'theo', version: ofTheo.version }]);

    let heard;
    const waiting = lagos.changes({ after: before.cursor, wait: 30 }).then((answer) => (heard = answer));
    await person.list();
    await person.link('lagos', 'Delete Token').click();
    await expect(person.page.getByRole('heading', { name: 'Delete the token of lagos?' })).toBeVisible();
    expect(heard, 'nothing has happened yet').toBeUndefined();
    await person.page.getByRole('button', { name: 'Delete Token' }).last().click();

    const after = await waiting;
    expect(after).toMatchObject({ status: 200, users: [{ user: 'mara', version: null }, { user: 'theo', version: ofTheo.version }] });
    expect(await lagos.fetches()).toMatchObject({ status: 404, code: 'no_token', kind: 'application/problem+json' });
    expect(await lagos.fetches({ version })).toMatchObject({ status: 404, code: 'no_token' });
    await expect(person.said).toContainText(/is deleted/);
    await expect(person.row('lagos')).toContainText('No token');
    await expect(person.row('lagos')).not.toContainText('etched');
    expect((await lagos.changes({ after: after.cursor, wait: 0 })).status).toBe(204);

    // Another person's token for this runtime, and theirs for another one, are none of it.
    expect(await lagos.fetches({ user: 'theo', version: ofTheo.version })).toMatchObject({ status: 204 });
    expect(await lima.fetches()).toMatchObject({ status: 200, login: 'octocat' });
  });

  test('a runtime that says a token was rejected has the provider asked, and is not simply believed', async ({ person, forge, runtimeOf }) => {
    const token = await forge.token();
    await person.adds('lagos', token);
    const lagos = await runtimeOf('lagos');
    const { version } = await lagos.fetches();
    await forge.forgetRequests();
    const asked = async () => (await forge.requests()).filter(({ path, token_id }) => path === '/user' && token_id === token.id).length;
    expect(await lagos.reports('rejected', version)).toMatchObject({ status: 200, version });
    await expect.poll(asked).toBe(1);
    await person.list();
    await expect(person.row('lagos')).toContainText('Works');
    expect(await lagos.fetches({ version })).toMatchObject({ status: 204 });

    await forge.revoke(token);
    await lagos.reports('rejected', version);
    await expect.poll(asked).toBe(2);
    await expect(async () => {
      await person.list();
      await expect(person.row('lagos')).toContainText('Checking', { timeout: 300 });
    }).toPass();
  });
});
