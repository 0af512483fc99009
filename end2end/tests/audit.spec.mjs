// What was done: people read their own log, admins that of their account, and take it home as a file.

import { readFileSync } from 'node:fs';
import { expect, hydrated, password, test, usual } from '../fixtures.mjs';
import { tabsTo } from '../fixtures/keyboard.mjs';
import { looksGood } from '../fixtures/looks.mjs';

/** Mara is an admin of one account, lena of another; theo is a member. */
const several = {
  members: { 'Acme Logistics': ['mara', { user: 'theo', role: 'member' }], 'Blue Harbor': ['lena'] },
  accounts: { ...usual.accounts, 'Blue Harbor': [{ name: 'crane' }] },
};

const ofAcme = '/admin/accounts/acme/audit';
const nothing = 'Nothing was recorded that fits.';

const entries = (person) => person.page.getByRole('main').getByRole('listitem');
const entry = (person, text) => entries(person).filter({ hasText: text });

/** Who did what, the latest first. */
const told = (person) => entries(person).locator('.audit-what').allTextContents();

/** The numbers of the records on the page. */
const numbers = async (person) =>
  (await entries(person).locator('small').allTextContents()).map((text) => Number(text.match(/^#(\d+) /)[1]));

/** Fills in the form and sends it; what is left out is emptied. */
async function filters(person, { what = 'Everything', runtime = '', user = null, from = '', to = '', refused = false } = {}) {
  const { page } = person;
  await page.getByRole('combobox', { name: /^What/ }).selectOption({ label: what });
  await page.getByRole('textbox', { name: 'Runtime' }).fill(runtime);
  if (user !== null) await page.getByRole('textbox', { name: 'User' }).fill(user);
  await page.getByLabel('From', { exact: true }).fill(from);
  await page.getByLabel('To', { exact: true }).fill(to);
  await page.getByRole('checkbox', { name: 'Only what was refused' }).setChecked(refused);
  const loaded = page.waitForEvent('load');
  await page.getByRole('button', { name: 'Show' }).click();
  await loaded;
}

/** What a button downloads. */
async function downloads(person, as) {
  const download = person.page.waitForEvent('download');
  await person.page.getByRole('button', { name: `Download as ${as}` }).click();
  const file = await download;
  return { name: file.suggestedFilename(), text: readFileSync(await file.path(), 'utf8') };
}

const fromJsonLines = (text) => {
  expect(text.endsWith('\n')).toBe(true);
  return text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
};

/** RFC 4180, with a head, and every field of a record in quotes. */
const fromCsv = (text) => {
  const [head] = text.split('\r\n', 1);
  const names = head.split(',');
  const records = [];
  let record = [];
  let at = head.length + 2;
  for (const match of text.slice(at).matchAll(/"((?:[^"]|"")*)"(,|\r\n)/gy)) {
    record.push(match[1].replaceAll('""', '"'));
    at += match[0].length;
    if (match[2] === ',') continue;
    expect(record.length).toBe(names.length);
    records.push(Object.fromEntries(names.map((name, number) => [name, record[number]])));
    record = [];
  }
  expect(at, 'all of it was read').toBe(text.length);
  return records;
};

/** A record as CSV has it: free text that a spreadsheet would take for a formula begins with an apostrophe. */
const asTexts = (record) => Object.fromEntries(Object.entries(record).map(([name, value]) => {
  const free = ['actor_name', 'user_name', 'detail', 'request'].includes(name);
  const text = String(value ?? '');
  return [name, free ? text.replace(/^(?=\s*[=+\-@])/, "'") : text];
}));

/** No secret is in it, in none of the ways that a header or a form would have it. */
function hasNone(text, secrets) {
  for (const secret of secrets) {
    const ways = [secret, encodeURIComponent(secret), btoa(secret).replace(/=+$/, ''), Buffer.from(secret).toString('hex')];
    for (const way of ways) expect(text).not.toContain(way);
  }
}

const day = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

test.describe('of one\'s own', () => {
  test.use({ signedInAs: null });

  test('people find who signed in, what they gave and who fetched it', async ({ person, guard, secrets, forge, runtimeOf }) => {
    guard.expects(401, '/api/person/sign-in');
    const wrong = 'not the right one';
    secrets.push(wrong);
    const { page } = person;
    await person.sees('/audit');
    await expect(page).toHaveURL('/sign-in?then=/audit');
    await person.signsIn('mara', wrong);
    await expect(person.alert("don't match")).toBeVisible();
    await person.signsIn('mara', password);
    await expect(page.getByRole('heading', { name: 'Your audit log' })).toBeVisible();
    const before = (await numbers(person))[0];
    expect((await told(person)).slice(0, 2)).toEqual(['mara signed in', 'Somebody could not sign in']);
    await expect(entry(person, 'Somebody could not sign in')).toContainText('wrong name or password');

    const token = await forge.token();
    await person.adds('lagos', token);
    const [lagos, lima] = [await runtimeOf('lagos'), await runtimeOf('lima')];
    expect((await lagos.fetches()).git.password).toBe(token.token);
    expect((await lima.fetches()).code).toBe('no_token');
    await page.getByRole('button', { name: 'Menu of mara' }).click();
    await page.getByRole('link', { name: 'Audit log' }).click();
    await expect(page.getByRole('heading', { name: 'Your audit log' })).toBeVisible();

    const since = (await numbers(person)).findIndex((number) => number === before);
    expect((await told(person)).slice(0, since)).toEqual([
      `Runtime key ${lima.publicId} was refused a token`,
      `Runtime key ${lagos.publicId} fetched a token`,
      'mara added a token',
    ]);
    await expect(entry(person, 'was refused a token')).toContainText('runtime acme.lima · no token');
    await expect(entry(person, 'was refused a token')).toHaveAttribute('data-outcome', 'refused');
    await expect(entry(person, 'fetched a token')).toContainText(/ · token of mara for acme\.lagos · from 127\.0\.0\.1$/);
    await expect(entry(person, 'mara added a token')).toContainText(/ · token of mara for acme\.lagos · .* · from 127\.0\.0\.1$/);
    // It is the operator who made the keys; that is for the account's admins.
    await expect(entry(person, 'made a runtime key')).toHaveCount(0);
    hasNone(await page.content(), [token.token, password, wrong, lagos.key.split('_')[2], lima.key.split('_')[2]]);
  });
});

test('the filter shows what was asked for and nothing else', async ({ person, gitward, forge, runtimeOf }) => {
  const { page } = person;
  await gitward.gives('mara', 'lagos', (await forge.token()).token);
  await gitward.gives('mara', 'vault', (await forge.token({ user: 'hubot' })).token);
  const [lagos, lima] = [await runtimeOf('lagos'), await runtimeOf('lima')];
  await lagos.fetches();
  await lagos.reports('used');
  await lima.fetches();
  const fetched = `Runtime key ${lagos.publicId} fetched a token`;
  const reported = `Runtime key ${lagos.publicId} reported what became of a token`;
  const refused = `Runtime key ${lima.publicId} was refused a token`;

  await person.sees('/audit');
  const all = await told(person);
  expect(all.slice(0, 3)).toEqual([refused, reported, fetched]);
  expect(all.filter((what) => what === 'mara added a token')).toHaveLength(2);

  await filters(person, { what: 'Secrets that left' });
  await expect(page.getByRole('combobox', { name: /^What/ })).toHaveValue('secret');
  expect(await told(person)).toEqual([refused, reported, fetched]);
  await filters(person, { what: 'Secrets that left', refused: true });
  await expect(page.getByRole('checkbox', { name: 'Only what was refused' })).toBeChecked();
  expect(await told(person)).toEqual([refused]);
  await filters(person, { what: 'Secrets that left', runtime: 'acme.lagos' });
  await expect(page.getByRole('textbox', { name: 'Runtime' })).toHaveValue('acme.lagos');
  expect(await told(person)).toEqual([reported, fetched]);
  await filters(person, { what: 'Tokens given, renewed and taken', runtime: 'acme.vault' });
  expect(await told(person)).toEqual(['mara added a token']);
  await filters(person, { what: 'Signing in and out', runtime: 'acme.lagos' });
  await expect(page.getByText(nothing)).toBeVisible();
  await expect(entries(person)).toHaveCount(0);

  // Days are whole days, the last one included; the test may run over midnight.
  await filters(person, { from: day(-1), to: day(1) });
  expect(await told(person)).toEqual(all);
  for (const span of [{ from: day(2) }, { to: day(-2) }, { from: day(-9), to: day(-2) }]) {
    await filters(person, span);
    await expect(page.getByText(nothing)).toBeVisible();
    await expect(entries(person)).toHaveCount(0);
  }

  // What makes no sense counts as left out, and is no way into the page.
  const odd = '"><b>zebra</b>';
  await person.sees(`/audit?since=yesterday&until=2026-13-99&before=x&runtime=&what=&refused=`);
  expect(await told(person)).toEqual(all);
  await person.sees(`/audit?runtime=${encodeURIComponent(odd)}`);
  await expect(page.getByText(nothing)).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Runtime' })).toHaveValue(odd);
  await expect(page.getByRole('main').locator('b')).toHaveCount(0);
});

test('both files hold the same records as the page, and no secret', async ({ person, gitward, forge, runtimeOf }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  const lagos = await runtimeOf('lagos');
  await lagos.fetches();
  await person.sees('/audit');
  const shown = await numbers(person);
  expect(shown.length).toBeGreaterThan(2);

  const lines = await downloads(person, 'JSON Lines');
  const csv = await downloads(person, 'CSV');
  expect([lines.name, csv.name]).toEqual(['gitward-audit.jsonl', 'gitward-audit.csv']);
  const records = fromJsonLines(lines.text);
  expect(records.map(({ sequence }) => sequence)).toEqual(shown);
  expect(records[0]).toMatchObject({
    actor: 'runtime-key', actor_id: lagos.publicId, action: 'secret.released', outcome: 'done',
    account: 'acme', runtime: 'acme.lagos', user_name: 'mara', address: '127.0.0.1',
  });
  expect(records.every(({ hash }) => /^[0-9a-f]{64}$/.test(hash))).toBe(true);
  expect(fromCsv(csv.text)).toEqual(records.map(asTexts));
  for (const text of [lines.text, csv.text]) {
    hasNone(text, [token.token, password, lagos.key.split('_')[2], gitward.sessions.mara.split('=')[1]]);
  }

  await filters(person, { what: 'Secrets that left' });
  const released = fromJsonLines((await downloads(person, 'JSON Lines')).text);
  expect(released).toEqual([records[0]]);
  expect(fromCsv((await downloads(person, 'CSV')).text)).toEqual(released.map(asTexts));

  // Of nothing, a file holds nothing, and a table its head.
  await filters(person, { runtime: 'acme.nowhere' });
  expect((await downloads(person, 'JSON Lines')).text).toBe('');
  const head = (await downloads(person, 'CSV')).text;
  expect(fromCsv(head)).toEqual([]);
  expect(head.split(',').slice(0, 3)).toEqual(['sequence', 'at', 'actor']);
});

test('a long log comes fifty a page, and whole as a file', async ({ person, runtimeOf }) => {
  test.slow();
  const { page } = person;
  const lagos = await runtimeOf('lagos');
  // More than are read at once for a file.
  for (let asked = 0; asked < 520; asked += 40) {
    const answers = await Promise.all(Array.from({ length: 40 }, () => lagos.fetches()));
    expect(answers.every(({ code }) => code === 'no_token')).toBe(true);
  }
  await person.sees('/audit');
  await filters(person, { what: 'Secrets that left' });
  const older = page.getByRole('link', { name: 'Older' });
  const newest = page.getByRole('link', { name: 'To the newest' });
  const shown = [];
  while (shown.length < 520) {
    const here = await numbers(person);
    expect(here).toHaveLength(Math.min(50, 520 - shown.length));
    await expect(newest).toBeVisible({ visible: shown.length > 0 });
    shown.push(...here);
    if (shown.length === 520) break;
    await older.click();
    await expect(entry(person, `#${here.at(-1)} `)).toHaveCount(0);
  }
  await expect(older).toBeHidden();
  expect(new Set(shown).size).toBe(520);
  expect(shown).toEqual(shown.toSorted((one, other) => other - one));
  await newest.click();
  await expect(newest).toBeHidden();
  expect(await numbers(person)).toEqual(shown.slice(0, 50));

  const records = fromJsonLines((await downloads(person, 'JSON Lines')).text);
  expect(records.map(({ sequence }) => sequence)).toEqual(shown);
  expect(fromCsv((await downloads(person, 'CSV')).text)).toEqual(records.map(asTexts));
});

test.describe('of several accounts', () => {
  test.use({ declaration: several });

  test('another user sees none of it', async ({ gitward, forge, runtimeOf, browserOf }) => {
    await gitward.gives('mara', 'lagos', (await forge.token()).token);
    await gitward.gives('theo', 'lima', (await forge.token({ user: 'hubot' })).token);
    const lagos = await runtimeOf('lagos');
    expect((await lagos.fetches()).status).toBe(200);
    const theo = await browserOf('theo');
    for (const query of ['', '?user=mara', '?account=acme', '?runtime=acme.lagos', '?what=secret', '?before=999999']) {
      await theo.sees(`/audit${query}`);
      await expect(theo.page.getByRole('heading', { name: 'Your audit log' })).toBeVisible();
      for (const others of ['mara', 'fetched', lagos.publicId]) await expect(entry(theo, others)).toHaveCount(0);
    }
    await theo.sees('/audit');
    await expect(theo.page.getByRole('link', { name: 'Audit log of' })).toHaveCount(0);
    await expect(entry(theo, 'theo added a token')).toContainText('token of theo for acme.lima');
    const { text } = await downloads(theo, 'JSON Lines');
    const records = fromJsonLines(text);
    expect(records.map(({ action }) => action)).toContain('token.added');
    for (const others of ['mara', 'acme.lagos', lagos.publicId]) expect(text).not.toContain(others);
    for (const query of ['user=mara', 'account=acme', 'runtime=acme.lagos']) {
      const answer = await theo.page.request.get(`/audit/export?format=jsonl&${query}`);
      expect(answer.status()).toBe(200);
      for (const others of ['mara', 'acme.lagos', lagos.publicId]) expect(await answer.text()).not.toContain(others);
    }
  });

  test('an admin sees what was done in the account, and nothing of another one', async ({ person, guard, gitward, forge, runtimeOf }) => {
    guard.expects(404, '/admin/accounts/');
    const { page } = person;
    await gitward.gives('mara', 'lagos', (await forge.token()).token);
    const ofTheo = (await forge.token({ user: 'hubot' })).token;
    await gitward.gives('theo', 'lima', ofTheo);
    const lima = await runtimeOf('lima');
    expect((await lima.fetches({ user: 'theo' })).git.password).toBe(ofTheo);
    await gitward.person('lena');

    await person.sees('/admin/runtimes/acme.lima');
    await page.getByRole('link', { name: 'Audit log of the account' }).click();
    await expect(page.getByRole('heading', { name: 'Audit log of Acme Logistics' })).toBeVisible();
    await expect(page).toHaveURL(ofAcme);
    await page.getByRole('link', { name: 'Your audit log' }).click();
    await expect(page).toHaveURL('/audit');
    await page.getByRole('link', { name: 'Audit log of Acme Logistics' }).click();
    await expect(page).toHaveURL(ofAcme);
    for (const done of [
      `Runtime key ${lima.publicId} fetched a token`, 'The operator made a runtime key', 'theo added a token',
      'theo signed in', 'mara added a token',
    ]) await expect(entry(person, done)).not.toHaveCount(0);
    await expect(entry(person, 'lena')).toHaveCount(0);
    await expect(entry(person, 'blue')).toHaveCount(0);

    await filters(person, { what: 'Secrets that left' });
    await expect(page).toHaveURL((url) => url.pathname === ofAcme);
    expect(await told(person)).toEqual([`Runtime key ${lima.publicId} fetched a token`]);
    await filters(person, { what: 'Tokens given, renewed and taken', user: 'theo' });
    expect(await told(person)).toEqual(['theo added a token']);
    await filters(person, { what: 'Tokens given, renewed and taken', user: 'lena' });
    await expect(page.getByText(nothing)).toBeVisible();
    await filters(person, { what: 'Secrets that left', user: 'theo' });

    const lines = await downloads(person, 'JSON Lines');
    const csv = await downloads(person, 'CSV');
    expect([lines.name, csv.name]).toEqual(['gitward-audit-acme.jsonl', 'gitward-audit-acme.csv']);
    const records = fromJsonLines(lines.text);
    expect(records.map(({ action, account, runtime }) => [action, account, runtime])).toEqual([['secret.released', 'acme', 'acme.lima']]);
    expect(fromCsv(csv.text)).toEqual(records.map(asTexts));
    for (const text of [lines.text, csv.text]) hasNone(text, [ofTheo, password, lima.key.split('_')[2]]);

    const answer = await page.goto('/admin/accounts/blue/audit');
    expect(answer.status()).toBe(404);
    await expect(page.getByText('lena')).toHaveCount(0);
  });

  for (const name of ['theo', 'lena']) {
    test(`${name}, who is no admin of the account, gets neither its log nor its file`, async ({ guard, gitward, forge, browserOf }) => {
      guard.expects(404, '/admin/accounts/');
      await gitward.gives('mara', 'lagos', (await forge.token()).token);
      const other = await browserOf(name);
      const said = [];
      for (const account of ['acme', 'nowhere']) {
        const answer = await other.page.goto(`/admin/accounts/${account}/audit`);
        expect(answer.status()).toBe(404);
        await expect(other.page.getByText('The page does not exist, or it is not for you.')).toBeVisible();
        said.push(await other.page.content());
        for (const format of ['jsonl', 'csv']) {
          const file = await other.page.request.get(`/admin/accounts/${account}/audit/export?format=${format}`);
          expect([file.status(), file.headers()['content-disposition']]).toEqual([404, undefined]);
          expect(await file.text()).not.toContain('session.begun');
        }
      }
      expect(said[0]).toBe(said[1]);
      expect(said[0]).not.toContain('Acme');
    });
  }

  for (const place of ['/audit', ofAcme]) {
    test(`a stranger who asks for ${place} signs in and is there`, async ({ browserOf }) => {
      const stranger = await browserOf(null);
      await stranger.sees(place);
      await expect(stranger.page).toHaveURL(`/sign-in?then=${place}`);
      await expect(stranger.page.getByText('signed in')).toHaveCount(0);
      await stranger.signsIn('mara', password);
      await expect(stranger.page).toHaveURL(place);
      await expect(entry(stranger, 'mara signed in').first()).toBeVisible();
      for (const file of ['/audit/export?format=csv', `${ofAcme}/export?format=csv`]) {
        const answer = await fetch(new URL(file, stranger.gitward.url), { redirect: 'manual' });
        expect([answer.status, answer.headers.get('content-disposition')]).toEqual([303, null]);
      }
    });
  }
});

test('the log is filtered and taken home by keyboard', async ({ person, gitward, forge, runtimeOf }) => {
  const { page } = person;
  await gitward.gives('mara', 'lagos', (await forge.token()).token);
  const lagos = await runtimeOf('lagos');
  await lagos.fetches();
  await person.list();
  if (person.script) await hydrated(page);
  await tabsTo(page, page.getByRole('button', { name: 'Menu of mara' }));
  await page.keyboard.press('Enter');
  await tabsTo(page, page.getByRole('link', { name: 'Audit log' }));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Your audit log' })).toBeVisible();
  await tabsTo(page, page.getByRole('combobox', { name: /^What/ }));
  await page.keyboard.type('Secrets');
  await tabsTo(page, page.getByRole('textbox', { name: 'Runtime' }));
  await page.keyboard.insertText('acme.lagos');
  for (const label of ['From', 'To']) await tabsTo(page, page.getByLabel(label, { exact: true }));
  await tabsTo(page, page.getByRole('checkbox', { name: 'Only what was refused' }));
  await page.keyboard.press('Space');
  await expect(page.getByRole('checkbox', { name: 'Only what was refused' })).toBeChecked();
  await page.keyboard.press('Space');
  await tabsTo(page, page.getByRole('button', { name: 'Show' }));
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL((url) => url.searchParams.get('what') === 'secret' && !url.searchParams.has('refused'));
  await expect(entries(person)).toHaveCount(1);
  for (const [as, name] of [['JSON Lines', 'gitward-audit.jsonl'], ['CSV', 'gitward-audit.csv']]) {
    await tabsTo(page, page.getByRole('button', { name: `Download as ${as}` }));
    const [file] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
    expect(file.suggestedFilename()).toBe(name);
    expect(readFileSync(await file.path(), 'utf8')).toContain(lagos.publicId);
  }
});

test('the pages of the log look good', async ({ person, guard, gitward, forge, runtimeOf }, info) => {
  test.slow();
  guard.expects(404, '/admin/accounts/');
  const { page } = person;
  await gitward.gives('mara', 'lagos', (await forge.token()).token);
  const [lagos, lima] = [await runtimeOf('lagos'), await runtimeOf('lima')];
  await lagos.fetches();
  for (let asked = 0; asked < 52; asked += 1) await lima.fetches();
  for (const [state, place, heading] of [
    ['audit', '/audit', 'Your audit log'],
    ['audit older', '/audit?before=12', 'Your audit log'],
    ['audit nothing', '/audit?runtime=acme.nowhere', 'Your audit log'],
    ['audit of an account', ofAcme, 'Audit log of Acme Logistics'],
    ['audit not for you', '/admin/accounts/nowhere/audit', 'Nothing here'],
  ]) {
    await person.sees(place);
    await expect(page.getByRole('heading', { name: heading })).toBeVisible();
    await looksGood(page, state, info);
  }
});
