// Authorizing at OAuth2 servers that were not written here.

import { expect, hosts, test as base } from '../fixtures.mjs';
import { hasGlewlwyd, startGlewlwyd, startOidc } from '../tool/servers.mjs';

/** `start` a server, dressed as `product`, instead of the simulated host. */
const at = (start, product) => base.extend({
  /** How the server is started. */
  server: [{}, { option: true }],

  forge: async ({ server }, use) => {
    const issued = [];
    const forge = await start({ ...server, keep: (secret) => issued.push(secret) });
    const { host, origin } = new URL(forge.url);
    await use(Object.assign(forge, { product, host, origin, issued: () => issued }));
    await forge.stop();
  },

  registered: [async ({ forge, gitward }, use) => {
    await forge.allow(`${gitward.url}/callback/main`);
    await use();
  }, { auto: true }],
});

const declaration = {
  members: ['mara'],
  accounts: { 'Acme Logistics': [{ name: 'berlin', oauth: true }, { name: 'oslo', oauth: true }, { name: 'lagos' }] },
};

const test = at(startOidc, hosts.gitlab);
test.use({ declaration });

/** From the list to the server's sign-in. */
async function goesThere(person, name) {
  await person.list();
  const form = await person.opens(name);
  await form.getByRole('button', { name: 'Authorize Access to GitLab' }).click();
}

/** Signs in there, up to the question. */
async function signsIn(person, login = 'octocat') {
  await person.page.getByPlaceholder('Enter any login').fill(login);
  await person.page.getByPlaceholder('and password').fill(login);
  await person.page.getByRole('button', { name: 'Sign-in' }).click();
}

const agrees = (person) => person.page.getByRole('button', { name: 'Continue' }).click();

async function letsIn(person, name = 'berlin') {
  await goesThere(person, name);
  await signsIn(person);
  await agrees(person);
  await person.hasAdded(name, { through: 'page' });
}

test('a person lets a runtime in, with a proof key that the server insists on', async ({ person, forge }) => {
  await goesThere(person, 'berlin');
  await signsIn(person);
  await expect(person.page.getByText('write_repository', { exact: true })).toBeVisible();
  await agrees(person);
  await person.hasAdded('berlin', { through: 'page' });
  await expect(person.row('berlin')).toContainText('Works');
  await expect(person.row('berlin')).not.toContainText('not visible');
  await expect(person.row('oslo')).toContainText('No token');
  expect(forge.asked).toEqual(['authorization_code']);
});

test('whoever says no keeps everything as it was', async ({ person, forge }) => {
  await goesThere(person, 'berlin');
  await signsIn(person);
  await person.page.getByRole('link', { name: 'Cancel' }).click();
  await expect(person.alert('Access was not granted, so nothing has changed.')).toBeVisible();
  await expect(person.row('berlin')).toContainText('Access denied');
  expect(forge.asked).toEqual([]);
});

test('the account of somebody else is not taken without a question', async ({ person, forge, context }) => {
  await letsIn(person);
  // Signs out there: cookies do not care for ports.
  await context.clearCookies({ name: /^_/ });
  await person.list();
  const form = await person.opens('berlin', { replace: true });
  await form.getByRole('button', { name: 'Authorize Access to GitLab' }).click();
  await signsIn(person, 'hubot');
  await agrees(person);
  await expect(person.page.getByText('This token belongs to hubot, the one before to octocat.')).toBeVisible();
  await person.page.getByRole('button', { name: 'Keep octocat' }).first().click();
  await expect(person.row('berlin')).toContainText('octocat');
  await expect(person.row('berlin')).toContainText('Works');
  expect(forge.asked).toEqual(['authorization_code', 'authorization_code']);
});

test.describe('with tokens that live for a minute', () => {
  test.use({ server: { life: 60 } });

  test('every renewal uses the newest refresh token, and each once', async ({ person, forge }) => {
    await letsIn(person);
    for (const times of [1, 2, 3]) {
      await person.checks('berlin');
      await expect(person.row('berlin')).toContainText('Works');
      expect(forge.asked).toEqual(['authorization_code', ...Array(times).fill('refresh_token')]);
    }
    expect(forge.refreshTokens).toHaveLength(4);
  });

  test('a refresh token that somebody else used ends the grant, and a new consent mends it', async ({ person, forge }) => {
    await letsIn(person);
    expect((await forge.use(forge.refreshTokens[0])).status).toBe(200);
    await person.checks('berlin');
    await expect(person.row('berlin')).toContainText('Not accepted any more');
    expect(forge.asked).toEqual(['authorization_code', 'refresh_token', 'refresh_token: invalid_grant']);
    // What is dead is not shown to the server again.
    await person.checks('berlin');
    await expect(person.row('berlin')).toContainText('Not accepted any more');

    const form = await person.opens('berlin', { replace: true });
    await form.getByRole('button', { name: 'Authorize Access to GitLab' }).click();
    await agrees(person);
    await person.hasAdded('berlin', { through: 'page' });
    await expect(person.row('berlin')).toContainText('Works');
  });

  test('a consent that was taken back there shows at the next look', async ({ person, forge }) => {
    await letsIn(person);
    await forge.forget();
    await person.checks('berlin');
    await expect(person.row('berlin')).toContainText('Not accepted any more');
    expect(forge.asked).toEqual(['authorization_code', 'refresh_token: invalid_grant']);
  });
});

test.describe('with another secret than the configured one', () => {
  test.use({ server: { secret: 'changed-meanwhile' } });

  test('whoever agrees is told that the operator has to mend it', async ({ person, forge }) => {
    await goesThere(person, 'berlin');
    await signsIn(person);
    await agrees(person);
    await expect(person.alert('The provider does not accept Gitward\'s own set-up.')).toBeVisible();
    await expect(person.row('berlin')).not.toContainText('Works');
    expect(forge.asked).toEqual([expect.stringContaining('invalid_client')]);
  });
});

test.describe('that calls itself something else', () => {
  test.use({ server: { issuer: 'https://elsewhere.example.com' } });

  test('an answer from there is not believed, and its code is not used', async ({ person, forge }) => {
    await goesThere(person, 'berlin');
    await signsIn(person);
    await agrees(person);
    await expect(person.alert('The answer came from another place than the one you were sent to')).toBeVisible();
    await expect(person.row('berlin')).not.toContainText('Works');
    expect(forge.asked).toEqual([]);
  });
});

const debian = at(startGlewlwyd, hosts.gitea);

debian.describe('Glewlwyd', () => {
  debian.skip(!hasGlewlwyd && !process.env.CI, 'needs the Debian packages glewlwyd and sqlite3');
  debian.skip(({ javaScriptEnabled }) => javaScriptEnabled === false, 'its pages need script');
  debian.use({ declaration });

  /** Signs in there, and ticks what is granted. */
  async function grants(person, ...scopes) {
    const { page } = person;
    await person.list();
    const form = await person.opens('berlin');
    await form.getByRole('button', { name: 'Authorize Access to Gitea' }).click();
    await page.getByRole('textbox', { name: 'Login' }).fill('octocat');
    await page.getByRole('textbox', { name: 'Password' }).fill('octocat');
    await page.getByRole('button', { name: 'OK' }).click();
    for (const scope of scopes) await page.getByRole('checkbox', { name: scope }).check();
    await page.getByRole('button', { name: 'Grant access' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
  }

  const whole = ['read:user', 'write:repository'];

  debian('a person lets a runtime in, with a proof key that the server insists on', async ({ person, forge }) => {
    await grants(person, ...whole);
    await person.hasAdded('berlin', { through: 'page' });
    await expect(person.row('berlin')).toContainText('Works');
    await expect(person.row('berlin')).toContainText('OAuth2 token');
    await expect(person.row('oslo')).toContainText('No token');
    expect(forge.asked).toEqual(['authorization_code: 200']);
  });

  debian('whoever grants less than was asked for is told what lacks', async ({ person }) => {
    await grants(person, 'read:user');
    await expect(person.row('berlin')).toContainText('Scope missing');
    await expect(person.row('berlin')).toContainText('Lacks write:repository');
    await expect(person.row('berlin')).not.toContainText('Works');
  });

  debian.describe('with tokens that live for a minute', () => {
    debian.use({ server: { life: 60 } });

    debian('every renewal uses the newest refresh token, and each once', async ({ person, forge }) => {
      await grants(person, ...whole);
      await person.hasAdded('berlin', { through: 'page' });
      for (const times of [1, 2, 3]) {
        await person.checks('berlin');
        await expect(person.row('berlin')).toContainText('Works');
        expect(forge.asked).toEqual(['authorization_code: 200', ...Array(times).fill('refresh_token: 200')]);
      }
      expect(new Set(forge.refreshTokens).size).toBe(4);
    });

    debian('a server that refuses without a word takes nothing from anyone', async ({ person, forge }) => {
      await grants(person, ...whole);
      await person.hasAdded('berlin', { through: 'page' });
      expect((await forge.use(forge.refreshTokens[0])).status).toBe(200);
      // Its answer to a refresh token that is used up is 400 without a body, which RFC 6749 does not know.
      await person.checks('berlin');
      await expect(person.row('berlin')).toContainText('Gitea unreachable');
      await expect(person.row('berlin')).not.toContainText('Not accepted any more');
      expect(forge.asked).toEqual(['authorization_code: 200', 'refresh_token: 200', 'refresh_token: 400']);
    });
  });
});
