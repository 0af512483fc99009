// A token is pasted; the provider is asked before anything is kept.

import { expect, field, runtimeId, submit, test, usual } from '../fixtures.mjs';

const asked = async (forge) => (await forge.requests()).map(({ method, path, token_id }) => [method, path, token_id]);

/** The page says no, keeps what it may keep, and the list is as before. */
async function isRefused(person, form, { heading, name, typed, wrong = true }) {
  await expect(form.getByRole('alert').filter({ hasText: heading })).toBeVisible();
  await expect(form.getByRole('heading', { name: `${name} Git provider access` })).toBeVisible();
  await expect(field(form)).toHaveValue(person.script ? typed : '');
  if (wrong) await expect(field(form)).toHaveAttribute('aria-invalid', 'true');
  else await expect(field(form)).not.toHaveAttribute('aria-invalid', 'true');
}

/** Without script the token has to be pasted again; with it, it is still there. */
async function triesAgain(person, form, token) {
  if (!person.script) await field(form).fill(token);
  await submit(form).click();
}

async function hasNone(person, name) {
  await person.list();
  await expect(person.row(name)).toContainText('No token');
}

test('a person adds a token by pasting it', async ({ person, forge }) => {
  const token = await forge.token();
  await person.list();
  await expect(person.row('lagos')).toContainText('No token');
  const form = await person.opens('lagos');
  await expect(form.getByText('Scopes it needs')).toBeVisible();
  await person.pastes(form, token.token);
  await person.hasAdded('lagos');
  await expect(person.row('lagos')).toContainText('Works');
  await expect(person.row('lagos')).toContainText('Personal access token (classic)');
  await expect(person.row('lagos')).toContainText('Never');
  await expect(person.row('lima')).toContainText('No token');
  expect(await asked(forge)).toEqual([['GET', '/user', token.id]]);
});

test('a person adds a token on the page of a runtime', async ({ person, forge }) => {
  const token = await forge.token();
  await person.sees('/tokens/acme.lagos');
  const form = person.page.getByRole('main');
  await person.pastes(form, token.token);
  await person.hasAdded('lagos', { through: 'page' });
  await person.row('lagos').getByRole('button', { name: 'More actions for lagos' }).click();
  await person.row('lagos').getByRole('link', { name: 'Details' }).click();
  await expect(person.page.getByRole('heading', { name: 'Details' })).toBeVisible();
  await expect(person.page.getByRole('main')).toContainText('GET /user answered 200');
});

test('a person adds a token of Enterprise Server, which must be able to push', async ({ person, forge, ghes }) => {
  const token = await ghes.token();
  await person.adds('depot', token);
  await expect(person.row('depot')).toContainText('Works');
  expect((await asked(ghes))[0]).toEqual(['GET', '/api/v3/user', token.id]);
  expect((await asked(ghes))[1]).toEqual(['GET', '/acme/infra.git/info/refs', token.id]);
  expect(await asked(forge)).toEqual([]);
});

test('a token without a scope is refused, and the link to the host makes one that works', async ({ person, forge, guard, secrets }) => {
  guard.expects(422, '/api/token/add');
  const weak = await forge.token({ scopes: ['read:org', 'gist'] });
  await person.list();
  const form = await person.opens('lagos');
  await form.getByRole('group', { name: 'Use it for these as well' }).getByLabel('lima').check();
  await person.pastes(form, weak.token);
  await isRefused(person, form, { heading: 'GitHub accepted the token of octocat, but it lacks repo', name: 'lagos', typed: weak.token });
  const reason = form.getByRole('alert').filter({ hasText: 'GitHub accepted' });
  await expect(reason).toContainText('Make one with repo at');
  await expect(reason).toContainText('It has gist and read:org.');
  await expect(form.getByRole('listitem')).toContainText(['missing: repo']);
  await expect(form.getByLabel('lima')).toBeChecked();
  await expect(form.getByLabel('vault')).not.toBeChecked();

  const link = reason.getByRole('link', { name: "GitHub's token page (opens in a new tab)" });
  await expect(link).toHaveAttribute('href', /[?&]scopes=repo(&|$)/);
  await expect(link).toHaveAttribute('rel', /noopener/);
  const [host] = await Promise.all([person.page.context().waitForEvent('page'), link.click()]);
  await host.getByLabel('User name').fill('octocat');
  await host.getByLabel('Password').fill('octocat');
  await host.getByRole('button', { name: 'Sign in' }).click();
  await expect(host.getByLabel('Note')).toHaveValue('Gitward: lagos');
  await expect(host.getByLabel('repo', { exact: true })).toBeChecked();
  await expect(host.getByLabel('gist', { exact: true })).not.toBeChecked();
  await host.getByRole('button', { name: 'Generate token' }).click();
  const made = await host.getByLabel('New token').inputValue();
  secrets.push(made);
  await host.close();

  await field(form).fill(made);
  await submit(form).click();
  await person.hasAdded('lagos');
  await expect(person.row('lagos')).toContainText('Works');
  await expect(person.row('lima')).toContainText('Works');
  await expect(person.row('vault')).toContainText('No token');
});

test('a token that may not push is refused', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = await forge.token();
  await person.list();
  const form = await person.opens('archive');
  await expect(form.getByText('It must be allowed to push to acme/readonly.')).toBeVisible();
  await person.pastes(form, token.token);
  await isRefused(person, form, { heading: 'The token of octocat may not push to acme/readonly.', name: 'archive', typed: token.token });
  await hasNone(person, 'archive');
});

test('a token that does not see the repository is refused', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = await forge.token();
  await person.list();
  const form = await person.opens('vault');
  await person.pastes(form, token.token);
  await isRefused(person, form, { heading: 'The token of octocat does not see acme/secret-ops.', name: 'vault', typed: token.token });
  await hasNone(person, 'vault');
});

test('a token that needs single sign-on is kept, and the row leads there', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('dock', token);
  await expect(person.row('dock')).toContainText('Needs single sign-on');
  const link = person.row('dock').getByRole('link', { name: 'Let it in at GitHub (opens in a new tab)' });
  const [host] = await Promise.all([person.page.context().waitForEvent('page'), link.click()]);
  await host.getByLabel('User name').fill('octocat');
  await host.getByLabel('Password').fill('octocat');
  await host.getByRole('button', { name: 'Sign in' }).click();
  await host.getByRole('button', { name: 'Authorize token' }).click();
  await expect(host.getByRole('status')).toContainText('may now enter');
  await host.close();
  await person.row('dock').getByRole('button', { name: 'check again' }).click();
  await expect(person.row('dock')).toContainText('Works');
  await expect(person.row('dock')).not.toContainText('single sign-on');
});

test('a fine-grained token works, though its scopes are not shown', async ({ person, forge }) => {
  const token = await forge.token({ kind: 'fine_grained', permissions: { contents: 'write' }, repositories: ['acme/infra'] });
  await person.adds('lagos', token);
  await expect(person.row('lagos')).toContainText('Works');
  await expect(person.row('lagos')).toContainText('GitHub does not show the scopes of this kind of token.');
  await expect(person.row('lagos')).not.toContainText('missing');
});

test('a fine-grained token that may only read is refused where the runtime pushes', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = await forge.token({ kind: 'fine_grained', permissions: { contents: 'read' }, repositories: ['acme/infra'] });
  await person.list();
  const form = await person.opens('berlin');
  await person.unfolds(form);
  await person.pastes(form, token.token);
  await isRefused(person, form, { heading: 'The token of octocat may not push to acme/infra.', name: 'berlin', typed: token.token });
  await hasNone(person, 'berlin');
});

test('a token that the host does not know is refused', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = await forge.token();
  await forge.revoke(token);
  await person.list();
  const form = await person.opens('lagos');
  await person.pastes(form, token.token);
  await isRefused(person, form, { heading: 'GitHub does not know this token.', name: 'lagos', typed: token.token });
  await hasNone(person, 'lagos');
});

test('a token of an app is refused before anybody is asked', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = `ghs_${'A'.repeat(36)}`;
  await person.list();
  const form = await person.opens('lagos');
  await person.pastes(form, token);
  await isRefused(person, form, { heading: 'This token does not stand for a person.', name: 'lagos', typed: token });
  expect(await asked(forge)).toEqual([]);
});

for (const [what, fault, heading] of [
  ['fails', { fault: 'status', status: 500 }, 'GitHub did not answer.'],
  ['is being restarted', { fault: 'status', status: 503 }, 'GitHub did not answer.'],
  ['answers with a page', { fault: 'html' }, 'GitHub did not answer.'],
  ['breaks off', { fault: 'garbage_json' }, 'GitHub did not answer.'],
  ['hangs up', { fault: 'drop' }, 'GitHub did not answer.'],
  ['answers without end', { fault: 'endless' }, 'GitHub did not answer.'],
  ['leads elsewhere', { fault: 'redirect' }, 'GitHub did not answer.'],
  ['has no requests left', { fault: 'rate_limit' }, 'GitHub asks us to wait.'],
  ['is asked too often', { fault: 'secondary_rate_limit' }, 'GitHub asks us to wait.'],
]) {
  test(`a host that ${what} says nothing about a token, and nothing is lost`, async ({ person, forge, guard }) => {
    guard.expects(422, '/api/token/add');
    const token = await forge.token();
    await forge.fault({ on: 'user', ...fault });
    await person.list();
    const form = await person.opens('lagos');
    await form.getByLabel('lima').check();
    await person.pastes(form, token.token);
    await isRefused(person, form, { heading, name: 'lagos', typed: token.token, wrong: false });
    await expect(form.getByRole('alert').filter({ hasText: heading })).toContainText('may well be right');
    await expect(form.getByLabel('lima')).toBeChecked();
    expect((await forge.requests()).some(({ path }) => path.includes('elsewhere'))).toBe(false);

    await forge.noFaults();
    await triesAgain(person, form, token.token);
    await person.hasAdded('lagos');
    await expect(person.row('lima')).toContainText('Works');
  });
}

test('a host that takes its time is waited for', async ({ person, forge }) => {
  const token = await forge.token();
  await forge.fault({ on: 'user', fault: 'delay', delay_ms: 1500 });
  await person.list();
  const form = await person.opens('lagos');
  await field(form).fill(token.token);
  await submit(form).click({ noWaitAfter: true });
  // Without script the browser itself shows that it waits.
  if (person.script) {
    const busy = form.getByRole('button', { name: 'Asking GitHub…' });
    await expect(busy).toHaveAttribute('aria-busy', 'true');
    await busy.click();
  }
  await person.hasAdded('lagos');
  expect(await asked(forge)).toHaveLength(1);
});

test('a token of another host is shown to nobody before the person insists', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const token = `glpat-${'A'.repeat(20)}`;
  await person.list();
  const form = await person.opens('lagos');
  await field(form).pressSequentially(token);
  const warning = form.getByRole('status').filter({ hasText: 'This begins like a token of GitLab. Here one of GitHub is needed.' });
  // Without script nothing happens while somebody types.
  if (person.script) await expect(warning).toBeVisible();
  await submit(form).click();
  await isRefused(person, form, { heading: 'This looks like a token of GitLab, not of GitHub.', name: 'lagos', typed: token });
  await expect(form.getByRole('alert').filter({ hasText: 'GitLab' })).toContainText('Nothing was sent yet.');
  expect(await asked(forge)).toEqual([]);

  if (!person.script) await field(form).fill(token);
  await form.getByLabel('It is the right one: ask GitHub all the same').check();
  await submit(form).click();
  await expect(form.getByRole('alert').filter({ hasText: 'GitHub does not know this token.' })).toBeVisible();
  expect(await asked(forge)).toEqual([['GET', '/user', null]]);
});

test('a warning about another host goes when the token does', async ({ person, script }) => {
  test.skip(!script, 'without script nothing happens while somebody types');
  await person.list();
  const form = await person.opens('lagos');
  const warning = form.getByText('This begins like a token of GitLab.').first();
  await field(form).fill('glpat-x');
  await expect(warning).toBeVisible();
  await field(form).fill('ghp_x');
  await expect(warning).toBeHidden();
  await expect(form.getByLabel('It is the right one')).toBeHidden();
});

test('blanks and line breaks around a token do no harm', async ({ person, forge }) => {
  const token = await forge.token();
  await person.list();
  const form = await person.opens('lagos');
  await person.pastes(form, `  ${token.token} \n`);
  await person.hasAdded('lagos');
});

for (const [what, token, status, sentence] of [
  ['with an invisible character inside', `ghp_${'A'.repeat(10)}\u200b${'A'.repeat(10)}`, 422, 'There are line breaks or invisible characters inside. Copy the token alone and paste it again.'],
  ['with a control character inside', `ghp_${'A'.repeat(10)}\u0007${'A'.repeat(10)}`, 422, 'There are line breaks or invisible characters inside. Copy the token alone and paste it again.'],
  ['of blanks alone', '   ', 422, 'Paste a token first.'],
  ['as long as a book', 'A'.repeat(1024 * 1024), 413, 'That is too long to be a token. Copy the token alone and paste it again.'],
]) {
  test(`a token ${what} is refused before anybody is asked`, async ({ person, forge, guard }) => {
    guard.expects(status, '/api/token/add');
    await person.list();
    const form = await person.opens('lagos');
    await person.pastes(form, token);
    await expect(form.getByRole('alert').filter({ hasText: sentence })).toBeVisible();
    await expect(field(form)).toHaveValue(person.script ? token : '');
    await expect(field(form)).toHaveAttribute('aria-invalid', 'true');
    await expect(field(form)).toHaveAccessibleDescription(new RegExp(sentence.slice(0, 20)));
    await field(form).fill('another');
    if (person.script) await expect(field(form)).not.toHaveAttribute('aria-invalid');
    await hasNone(person, 'lagos');
    expect(await asked(forge)).toEqual([]);
  });
}

test('an empty field is not sent', async ({ person, forge }) => {
  await person.list();
  const form = await person.opens('lagos');
  const sent = [];
  // What the page asks by itself is not the form.
  const byItself = (request) => '/api/token/table' === new URL(request.url()).pathname;
  person.page.on('request', (request) => request.method() === 'POST' && !byItself(request) && sent.push(request.url()));
  await submit(form).click();
  await expect(field(form)).toBeFocused();
  await expect(form.getByRole('heading', { name: 'lagos Git provider access' })).toBeVisible();
  expect(sent).toEqual([]);
  expect(await asked(forge)).toEqual([]);
});

test('a pasted token can be looked at', async ({ person, script }) => {
  await person.list();
  const form = await person.opens('lagos');
  await expect(field(form)).toHaveAttribute('type', 'password');
  const show = form.getByRole('button', { name: 'Show the token' });
  // A button that could do nothing is not there.
  if (!script) return expect(show).toBeHidden();
  await show.click();
  await expect(field(form)).toHaveAttribute('type', 'text');
  await expect(show).toHaveAttribute('aria-pressed', 'true');
  await show.click();
  await expect(field(form)).toHaveAttribute('type', 'password');
});

test('whoever is signed out in the middle signs in and finds the same form', async ({ person, forge, guard }) => {
  guard.expects(401, '/events', '/api/');
  const token = await forge.token();
  await person.list();
  const form = await person.opens('lagos');
  await person.page.context().clearCookies();
  await person.pastes(form, token.token);
  await expect(person.page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  expect(await asked(forge)).toEqual([]);
  await person.signsIn();
  await expect(person.page.getByRole('heading', { name: 'lagos Git provider access', level: 1 })).toBeVisible();
  await expect(person.page).toHaveURL((url) => url.pathname === '/tokens/acme.lagos');
  // The dialog has no address, so this is its page.
  const again = person.page.getByRole('main');
  await expect(field(again)).toHaveValue('');
  await expect(person.alert('Please sign in again')).toBeHidden();
  await person.pastes(again, token.token);
  await expect(person.row('lagos')).toContainText('octocat');
});

test('whoever is signed out before deleting signs in and is asked again', async ({ person, forge, guard }) => {
  guard.expects(401, '/events', '/api/');
  await person.adds('lagos', await forge.token());
  await person.link('lagos', 'Delete Token').click();
  await expect(person.page.getByRole('heading', { name: 'Delete the token of lagos?' })).toBeVisible();
  await person.page.context().clearCookies();
  await person.page.getByRole('button', { name: 'Delete Token' }).last().click();
  await expect(person.page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  await person.signsIn();
  await expect(person.page.getByRole('heading', { name: 'Delete the token of lagos?', level: 1 })).toBeVisible();
  await expect(person.alert('Please sign in again')).toBeHidden();
  await person.page.getByRole('button', { name: 'Delete Token' }).click();
  await expect(person.row('lagos')).toContainText('No token');
});

test('a runtime that vanished while its form was open is not given a token', async ({ person, forge, gitward, guard }) => {
  guard.expects(404, '/api/', '/tokens/acme.lagos');
  const token = await forge.token();
  await person.list();
  const form = await person.opens('lagos');
  const [first, ...others] = Object.entries(usual.accounts);
  const left = first[1].filter(({ name }) => name !== 'lagos');
  await gitward.restart({ ...usual, accounts: Object.fromEntries([[first[0], left], ...others]) });
  await person.pastes(form, token.token);
  await expect(person.alert("This runtime isn't there any more, or isn't one of yours. Go back to the list.")).toBeVisible();
  await expect(person.page.getByText("This runtime isn't there any more")).toHaveCount(1);
  expect(await asked(forge)).toEqual([]);
  await person.list();
  await expect(person.row('lagos')).toBeHidden();
  await expect(person.row('lima')).toBeVisible();
});

test('the form works while no script arrives', async ({ browser, gitward, guard, forge, script }) => {
  test.skip(!script, 'without script none is asked for');
  const token = await forge.token();
  const context = await browser.newContext({ baseURL: gitward.url });
  const [name, value] = gitward.sessions.mara.split('=');
  await context.addCookies([{ name, value, url: gitward.url }]);
  await context.route(/\/pkg\/.*\.(js|wasm)$/, (route) => route.abort('aborted'));
  const page = await context.newPage();
  await page.goto('/tokens');
  await page.getByRole('link', { name: 'Add Token lagos' }).click();
  await expect(page).toHaveURL('/tokens/acme.lagos');
  await page.getByLabel('Git Personal Access Token', { exact: true }).fill(token.token);
  await page.getByRole('button', { name: 'Add Token' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'The token passed and is in use.' })).toBeVisible();
  await expect(page.getByRole('row', { name: /lagos/ })).toContainText('Works');
  await expect(page.locator('html')).not.toHaveAttribute('data-hydrated');
  await context.close();
});

test.describe("other people's runtimes", () => {
  test.use({ signedInAs: 'theo' });

  test('are not there', async ({ person, forge, gitward, guard }) => {
    const token = await forge.token();
    const place = `/tokens/${runtimeId('lagos')}`;
    guard.expects(404, place, '/api/part');
    await person.list();
    await expect(person.page.getByRole('heading', { name: 'No runtimes yet' })).toBeVisible();
    for (const address of [place, `${place}/delete`, '/tokens/acme.nothing-like-it']) {
      guard.expects(404, address);
      const answer = await person.page.goto(address);
      expect(answer.status()).toBe(404);
      await expect(person.page.getByRole('heading', { name: 'Not here' })).toBeVisible();
    }
    for (const [action, form] of [
      ['add', { token: token.token }],
      ['delete', {}],
      ['check', {}],
      ['reuse', { credential: 'x' }],
      ['settle-account', { take: 'true' }],
    ]) {
      const answer = await person.page.request.post(`/api/token/${action}`, {
        form: { runtime: runtimeId('lagos'), ...form },
        headers: { origin: gitward.url, accept: 'application/json' },
      });
      expect([404, 409], action).toContain(answer.status());
      expect(await answer.text()).not.toContain('lagos');
    }
    expect(await asked(forge)).toEqual([]);
  });
});
