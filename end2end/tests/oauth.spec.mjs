// Access through the Git host's own page (OAuth2).

import { expect, test, usual } from '../fixtures.mjs';

const notYours = /That authorization was used already, or was begun in another browser or by somebody else/;

/** From the list to the host's page that asks for consent. */
async function goesToTheHost(person, forge, name = 'berlin') {
  await person.list();
  const form = await person.opens(name);
  await form.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await person.signsInAt(forge);
  await expect(person.page.getByRole('heading', { name: /^Authorize / })).toBeVisible();
}

const agrees = (person) => person.page.getByRole('button', { name: 'Authorize' }).click();

/** Agrees, but the browser does not follow; the address that it would have gone to. */
async function agreesWithoutComingBack(person, forge) {
  const hidden = await person.page.locator('form[action="/login/oauth/authorize"] input[type="hidden"]').all();
  const form = { decision: 'authorize', grant: 'repo' };
  for (const input of hidden) form[await input.getAttribute('name')] = await input.inputValue();
  const answer = await person.page.request.post(`${forge.url}/login/oauth/authorize`, { form, maxRedirects: 0 });
  return answer.headers().location;
}

const exchanges = async (forge) => (await forge.requests()).filter(({ path }) => path.endsWith('access_token'));

test('a person lets a runtime in at the host', async ({ person, forge }) => {
  await goesToTheHost(person, forge);
  await expect(person.page.getByLabel('repo', { exact: true })).toBeChecked();
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
  await expect(person.row('berlin')).toContainText('Works');
  await expect(person.row('berlin')).toContainText('OAuth app token');
  await expect(person.row('oslo')).toContainText('No token');
  await expect(person.page).toHaveURL('/tokens?did=added&runtime=acme.berlin#acme.berlin');
  expect(await exchanges(forge)).toHaveLength(1);
});

test('a person lets several runtimes in with one consent', async ({ person, forge }) => {
  await person.list();
  const form = await person.opens('berlin');
  await form.getByRole('group', { name: 'Authorize these in the same step' }).getByLabel('oslo').check();
  await form.getByRole('group', { name: 'Authorize these in the same step' }).getByLabel('archive').check();
  await form.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await person.signsInAt(forge);
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
  await expect(person.row('oslo')).toContainText('octocat');
  await expect(person.row('archive')).toContainText('No token');
  await expect(person.row('lagos')).toContainText('No token');
  expect(await exchanges(forge)).toHaveLength(1);
});

const tooLittle = /The provider granted less than this runtime needs, so nothing has changed/;

test('whoever grants less than is needed is told what lacks', async ({ person, forge }) => {
  await goesToTheHost(person, forge);
  await person.page.getByLabel('repo', { exact: true }).uncheck();
  await agrees(person);
  await expect(person.row('berlin')).toContainText('Scope missing');
  await expect(person.row('berlin')).toContainText('Lacks repo');
  await expect(person.row('berlin')).not.toContainText('Works');
  await expect(person.said).toBeHidden();
});

test('a consent to too little never replaces a token that works', async ({ person, forge }) => {
  const token = await forge.token();
  await person.list();
  const form = await person.opens('berlin');
  await person.unfolds(form);
  await person.pastes(form, token.token);
  await person.hasAdded('berlin');
  const replace = await person.opens('berlin', { replace: true });
  await replace.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await person.signsInAt(forge);
  await person.page.getByLabel('repo', { exact: true }).uncheck();
  await agrees(person);
  await expect(person.alert(tooLittle)).toBeVisible();
  await expect(person.row('berlin')).toContainText('Works');
  await expect(person.row('berlin')).toContainText('Personal access token (classic)');
});

test('a runtime that is no longer set up for OAuth2 says so', async ({ person, forge, gitward }) => {
  await person.list();
  const form = await person.opens('berlin');
  const accounts = { 'Acme Logistics': usual.accounts['Acme Logistics'].map((one) => ({ ...one, oauth: false })) };
  await gitward.restart({ ...usual, accounts });
  await form.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await expect(person.alert('OAuth2 is not set up for this runtime. Paste a token instead.')).toBeVisible();
  await expect(person.page).toHaveURL((url) => url.searchParams.get('problem') === 'not-set-up');
  expect(await forge.requests()).toEqual([]);
});

test('whoever says no at the host keeps everything as it was', async ({ person, forge }) => {
  await goesToTheHost(person, forge);
  await person.page.getByRole('button', { name: 'Cancel' }).click();
  await expect(person.alert('Access was not granted, so nothing has changed.')).toBeVisible();
  await expect(person.row('berlin')).toContainText('Access denied');
  await expect(person.link('berlin', 'Add Token')).toBeVisible();
  expect(await exchanges(forge)).toEqual([]);

  const form = await person.opens('berlin');
  await form.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
});

test('whoever leaves the host alone finds the runtime waiting', async ({ person, forge }) => {
  await goesToTheHost(person, forge);
  await person.list();
  await expect(person.row('berlin')).toContainText('Waiting for you');
  await expect(person.row('berlin')).toContainText('have not come back yet');
});

test('an answer that comes twice counts once', async ({ person, forge }) => {
  await goesToTheHost(person, forge);
  const sent = person.page.waitForRequest('**/callback/**');
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
  await person.sees((await sent).url());
  await expect(person.alert(notYours)).toBeVisible();
  await expect(person.row('berlin')).toContainText('Works');
  expect(await exchanges(forge)).toHaveLength(1);
});

test('an answer that nobody asked for is not believed', async ({ person, forge }) => {
  for (const address of ['/callback/main?code=abc&state=made-up', '/callback/main?code=abc', '/callback/main', '/callback/elsewhere?code=a&state=b']) {
    await person.sees(address);
    await expect(person.alert(notYours)).toBeVisible();
  }
  await expect(person.row('berlin')).toContainText('No token');
  expect(await forge.requests()).toEqual([]);
});

test.describe('two people', () => {
  test.use({ declaration: { members: ['mara', 'theo'], accounts: { 'Acme Logistics': [{ name: 'berlin', oauth: true, repository: 'acme/infra' }] } } });

  for (const [whose, name] of [['of the same person', 'mara'], ['of another person', 'theo'], ['of a stranger', null]]) {
    test(`an answer that arrives in another browser ${whose} is not believed`, async ({ person, forge, gitward, browserOf }) => {
      await goesToTheHost(person, forge);
      const address = await agreesWithoutComingBack(person, forge);
      const other = await browserOf(null);
      if (name) {
        if (name === 'theo') await gitward.person('theo');
        await other.sees('/sign-in');
        await other.signsIn(name);
        await expect(other.row('berlin')).toBeVisible();
      }
      await other.page.goto(address);
      if (!name) await other.signsIn('mara');
      await expect(other.alert(notYours)).toBeVisible();
      await expect(other.row('berlin')).not.toContainText('octocat');
      expect(await exchanges(forge)).toEqual([]);
      await person.list();
      await expect(person.row('berlin')).not.toContainText('octocat');
    });
  }
});

test('an answer that names another issuer is not believed', async ({ person, forge }) => {
  await forge.settings({ iss: 'https://evil.example/login/oauth' });
  await goesToTheHost(person, forge);
  await agrees(person);
  await expect(person.alert('The answer came from another place than the one you were sent to')).toBeVisible();
  await expect(person.row('berlin')).not.toContainText('octocat');
  expect(await exchanges(forge)).toEqual([]);
});

test('an answer that names its issuer is believed', async ({ person, forge }) => {
  await forge.settings({ iss: `${forge.url}/login/oauth` });
  await goesToTheHost(person, forge);
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
});

test('a token that some of the host\'s machines do not know yet is tried again', async ({ person, forge }) => {
  await forge.settings({ fresh_token_401_ms: 300 });
  await goesToTheHost(person, forge);
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
  await expect(person.row('berlin')).toContainText('Works');
});

for (const [what, trouble, sentence] of [
  ['takes its answer back', { fault: { on: 'token', fault: 'oauth_error', error: 'bad_verification_code' } }, 'The provider took its answer back.'],
  ['does not accept Gitward', { fault: { on: 'token', fault: 'oauth_error', error: 'incorrect_client_credentials' } }, "The provider does not accept Gitward's own set-up."],
  ['fails at the exchange', { fault: { on: 'token', fault: 'status', status: 502 } }, 'The provider could not be reached, so nothing has changed.'],
  ['answers the exchange with a page', { fault: { on: 'token', fault: 'html' } }, 'The provider could not be reached, so nothing has changed.'],
  ['hangs up after the exchange', { fault: { on: 'token', fault: 'drop_reply' } }, 'The provider could not be reached, so nothing has changed.'],
  ['fails when asked whose token it is', { fault: { on: 'user', fault: 'status', status: 500 } }, 'The provider could not be reached, so nothing has changed.'],
]) {
  test(`a host that ${what} changes nothing`, async ({ person, forge }) => {
    await goesToTheHost(person, forge);
    await forge.fault(trouble.fault);
    await agrees(person);
    await expect(person.alert(sentence)).toBeVisible();
    await expect(person.row('berlin')).not.toContainText('octocat');
    await expect(person.link('berlin', 'Add Token')).toBeVisible();
  });
}

test('a host that suspended Gitward sends people back with a reason', async ({ person, forge }) => {
  await forge.settings({ app_suspended: true });
  await person.list();
  const form = await person.opens('berlin');
  await form.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await expect(person.alert("The provider does not accept Gitward's own set-up.")).toBeVisible();
  await expect(person.row('berlin')).not.toContainText('octocat');
});

test('a consent of another account waits for a decision', async ({ person, forge }) => {
  await forge.access('hubot', 'acme/infra', 'push');
  const token = await forge.token();
  await person.list();
  const form = await person.opens('berlin');
  await person.unfolds(form);
  await person.pastes(form, token.token);
  await person.hasAdded('berlin');
  const replace = await person.opens('berlin', { replace: true });
  await replace.getByRole('button', { name: 'Authorize Access to GitHub' }).click();
  await person.signsInAt(forge, 'hubot');
  await agrees(person);
  await expect(person.page).toHaveURL('/tokens/acme.berlin');
  await expect(person.page.getByText('This token belongs to hubot, the one before to octocat.')).toBeVisible();
  await person.page.getByRole('button', { name: 'Use hubot' }).first().click();
  await expect(person.row('berlin')).toContainText('hubot');
  await expect(person.row('berlin')).not.toContainText('octocat');
});
