// What a row says about its token, and the one thing to do.

import { expect, test } from '../fixtures.mjs';

const day = 24 * 60 * 60 * 1000;
const inDays = (days) => new Date(Date.now() + days * day).toISOString().replace(/\.\d+/, '');

const checks = (person, name) => person.checks(name);

test('a token that ends within a fortnight asks to be replaced', async ({ person, forge }) => {
  await person.adds('lagos', await forge.token({ expires_at: inDays(10) }));
  await expect(person.row('lagos')).toContainText('Expires soon');
  await expect(person.row('lagos')).toContainText(/Ends in (9|10) days\. Replace it before then\./);
  await person.adds('lima', await forge.token({ expires_at: inDays(20), expiry_shape: 'offset' }));
  await expect(person.row('lima')).toContainText('Works');
  await expect(person.row('lima')).toContainText(/in (19|20) days/);
  await person.page.getByRole('link', { name: '1 needs you' }).click();
  await expect(person.row('lagos')).toBeVisible();
  await expect(person.row('lima')).toBeHidden();
});

test('a token whose end has come is known without asking', async ({ person, forge }) => {
  const end = new Date(Date.now() + 6000).toISOString().replace(/\.\d+/, '');
  await person.adds('lagos', await forge.token({ expires_at: end }));
  await expect(person.row('lagos')).toContainText('Expires soon');
  await forge.forgetRequests();
  await expect(async () => {
    await person.list();
    expect(await person.row('lagos').textContent()).toContain('Expired');
  }).toPass({ intervals: [500] });
  await expect(person.row('lagos')).toContainText('Replace it with a new one.');
  expect(await forge.requests()).toEqual([]);
});

test('a token that ended already is refused', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = await forge.token({ expires_at: inDays(-1) });
  await person.list();
  const form = await person.opens('lagos');
  await person.pastes(form, token.token);
  await expect(form.getByRole('alert').filter({ hasText: /GitHub does not know this token|This token ended on/ })).toBeVisible();
  await person.list();
  await expect(person.row('lagos')).toContainText('No token');
});

test('one refusal is not yet a verdict', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await forge.revoke(token);
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('Checking');
  await expect(person.row('lagos')).toContainText('Providers have bad moments, so the token stays in use.');
  await expect(person.row('lagos')).not.toContainText('Not accepted any more');
  await expect(person.row('lagos')).toContainText('octocat');
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('Checking');

  await forge.change(token, { revoked: false });
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('Works');
});

test('a token that is refused is not shown to the host without end', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await forge.revoke(token);
  await forge.forgetRequests();
  for (let time = 0; time < 9; time += 1) await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('Checking');
  // The first question found out; six a minute may follow.
  expect(await forge.requests()).toHaveLength(7);
});

for (const [what, fault, said] of [
  ['fails', { fault: 'status', status: 502 }, 'GitHub unreachable'],
  ['answers with a page', { fault: 'html' }, 'GitHub unreachable'],
  ['hangs up', { fault: 'drop' }, 'GitHub unreachable'],
  ['has no requests left', { fault: 'rate_limit', retry_after_seconds: 3 }, 'GitHub asks us to wait'],
]) {
  test(`a host that ${what} leaves the token in use`, async ({ person, forge }) => {
    await person.adds('lagos', await forge.token());
    await forge.fault({ on: 'user', ...fault });
    await checks(person, 'lagos');
    await expect(person.row('lagos')).toContainText(said);
    await expect(person.row('lagos')).toContainText('The token stays in use');
    await expect(person.row('lagos')).not.toContainText(/Revoked|Not accepted|Checking /);
    await expect(person.page.getByRole('link', { name: '0 need you' })).toBeVisible();
    await expect(person.page.getByRole('link', { name: '1 in doubt' })).toBeVisible();
    await forge.noFaults();
    // A host that said when to come back is not asked before.
    await expect(async () => {
      await checks(person, 'lagos');
      expect(await person.row('lagos').textContent()).toContain('Works');
    }).toPass({ intervals: [500] });
    await expect(person.page.getByRole('link', { name: 'in doubt' })).toBeHidden();
  });
}

test('a host that said when to come back is not asked before', async ({ person, forge }) => {
  await person.adds('lagos', await forge.token());
  await forge.fault({ on: 'user', fault: 'rate_limit', retry_after_seconds: 1800 });
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('GitHub asks us to wait');
  await expect(person.row('lagos')).toContainText(/It takes questions again in (29|30) minutes\./);
  await forge.noFaults();
  await forge.forgetRequests();
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('GitHub asks us to wait');
  expect(await forge.requests()).toEqual([]);
  await person.page.getByRole('link', { name: '1 in doubt' }).click();
  await expect(person.row('lagos')).toBeVisible();
  await expect(person.row('lima')).toBeHidden();
});

test('a token whose scopes were taken away says which', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await forge.change(token, { scopes: ['gist'] });
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('Scope missing');
  await expect(person.row('lagos')).toContainText("Lacks repo, so this runtime can't do its work.");
});

test('a person who may not push any more is told where', async ({ person, forge }) => {
  const token = await forge.token();
  await person.list();
  const form = await person.opens('berlin');
  await person.unfolds(form);
  await person.pastes(form, token.token);
  await person.hasAdded('berlin');
  await forge.access('octocat', 'acme/infra', 'read');
  await checks(person, 'berlin');
  await expect(person.row('berlin')).toContainText("Can't push");
  await expect(person.row('berlin')).toContainText('May read acme/infra but not push.');
  await forge.access('octocat', 'acme/infra', 'none');
  await checks(person, 'berlin');
  await expect(person.row('berlin')).toContainText("Can't see the repository");
  await forge.access('octocat', 'acme/infra', 'push');
  await checks(person, 'berlin');
  await expect(person.row('berlin')).toContainText('Works');
});

test('a token that was given to another account at the host is not taken for the old one', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await forge.change(token, { user: 'hubot' });
  await checks(person, 'lagos');
  await expect(person.row('lagos')).toContainText('hubot');
});

test('a token of Enterprise Server does not say when it ends', async ({ person, ghes }) => {
  await person.adds('depot', await ghes.token({ expires_at: null }));
  await expect(person.row('depot')).toContainText(/Never|Unknown/);
});
