// People come in, go out, and choose passwords.

import { expect, password, test } from '../fixtures.mjs';

test.use({ signedInAs: null });

const spent = 'This link was used already or is too old. Ask your operator for a new one.';

test.describe('the very first time', () => {
  test.use({ fresh: true });

  test('the first person sets up Gitward with a link that works once', async ({ person, gitward, guard, browserOf }) => {
    guard.expects(422, '/api/person/redeem-link');
    guard.expects(410, '/setup/', '/api/person/one-time-link');
    const link = await gitward.setUpLink();
    await person.sees(link);
    await expect(person.page.getByRole('heading', { name: 'Set up Gitward' })).toBeVisible();

    await person.page.getByLabel('Name').fill('mara');
    await person.page.getByLabel('Password').fill('short');
    await person.page.getByRole('button', { name: 'Save and sign in' }).click();
    await expect(person.alert('Use at least 8 characters.')).toBeVisible();
    await expect(person.page.getByLabel('Password')).toHaveAttribute('aria-invalid', 'true');

    await person.page.getByLabel('Name').fill('mara');
    await person.page.getByLabel('Password').fill(password);
    await person.page.getByRole('button', { name: 'Save and sign in' }).click();
    await expect(person.page).toHaveURL('/tokens');
    await expect(person.page.getByRole('button', { name: 'Menu of mara' })).toBeVisible();
    await expect(person.row('berlin')).toContainText('No token');

    const late = await browserOf(null);
    await late.sees(link);
    await expect(late.page.getByRole('alert')).toContainText(spent);
    await expect(late.page.getByLabel('Password')).toBeHidden();
    await late.page.getByRole('link', { name: 'Go to the sign-in page' }).click();
    await expect(late.page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  });
});

test('a new person chooses a password through a welcome link that works once', async ({ person, gitward, guard, browserOf }) => {
  guard.expects(410, '/welcome/', '/api/person/one-time-link');
  const link = await gitward.welcomeLink('theo');
  await person.sees(link);
  await expect(person.page.getByRole('heading', { name: 'Welcome, theo' })).toBeVisible();
  await person.page.getByLabel('Password').fill(password);
  await person.page.getByRole('button', { name: 'Save and sign in' }).click();
  await expect(person.page).toHaveURL('/tokens');
  await expect(person.page.getByRole('button', { name: 'Menu of theo' })).toBeVisible();
  await expect(person.page.getByRole('heading', { name: 'No runtimes yet' })).toBeVisible();

  const late = await browserOf(null);
  await late.sees(link);
  await expect(late.page.getByRole('alert')).toContainText(spent);
});

test('a person signs in, and out again', async ({ person, guard }) => {
  guard.expects(401, '/events', '/api/');
  const { page } = person;
  await person.sees('/sign-in');
  await person.signsIn();
  await expect(page).toHaveURL('/tokens');
  await expect(person.row('berlin')).toBeVisible();

  await page.getByRole('button', { name: 'Menu of mara' }).click();
  await expect(page.getByText('Signed in as mara')).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Menu of mara' })).toBeHidden();

  await page.goBack();
  await expect(page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  await expect(page.getByText('berlin')).toBeHidden();
  await person.signsIn();
  await expect(person.row('berlin')).toBeVisible();

  // Pages in which nothing runs have the same menu.
  await person.sees('/audit');
  await page.getByRole('button', { name: 'Menu of mara' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  await person.sees('/audit');
  await expect(page.getByRole('heading', { name: 'Sign in to Gitward' })).toBeVisible();
  await person.signsIn();
  await expect(page.getByRole('heading', { name: 'Your audit log' })).toBeVisible();
  await person.list();
  await expect(page.getByRole('button', { name: 'Menu of mara' })).toBeVisible();
});

test('a wrong password and an unknown name get the same sentence', async ({ person, guard, secrets }) => {
  guard.expects(401, '/api/person/sign-in');
  secrets.push('not the right one');
  await person.sees('/sign-in');
  for (const name of ['mara', 'nobody']) {
    await person.signsIn(name, 'not the right one');
    await expect(person.alert("That name and password don't match. Check both and try again.")).toBeVisible();
    await expect(person.page.getByLabel('Password')).toHaveAttribute('aria-invalid', 'true');
    await expect(person.page).toHaveURL((url) => url.pathname === '/sign-in');
    await person.sees('/sign-in');
  }
  await person.signsIn();
  await expect(person.page).toHaveURL('/tokens');
});

test('whoever guesses has to wait, and then even the right password does', async ({ person, guard }) => {
  guard.expects(401, '/api/person/sign-in');
  guard.expects(429, '/api/person/sign-in');
  for (const guess of ['guess number 1', 'guess number 2', 'guess number 3', 'guess number 4', 'guess number 5']) {
    await person.sees('/sign-in');
    await person.signsIn('mara', guess);
    await expect(person.alert("don't match")).toBeVisible();
  }
  await person.sees('/sign-in');
  await person.signsIn();
  await expect(person.alert('Too many attempts. Wait 15 minutes, then try again.')).toBeVisible();
  await person.sees('/tokens');
  await expect(person.page).toHaveURL((url) => url.pathname === '/sign-in');
});

test.describe('signed in', () => {
  test.use({ signedInAs: 'mara' });

  test('a person changes the password, and is signed out elsewhere', async ({ person, guard, secrets, browserOf }) => {
    guard.expects(401, '/events', '/api/person/change-password', '/api/person/sign-in', '/api/person/visitor');
    guard.expects(422, '/api/person/change-password');
    const next = 'a better battery of staples';
    secrets.push(next);
    const { page } = person;
    const elsewhere = await browserOf(null);
    await elsewhere.sees('/sign-in');
    await elsewhere.signsIn();
    await expect(elsewhere.row('berlin')).toBeVisible();

    await person.list();
    await page.getByRole('button', { name: 'Menu of mara' }).click();
    await page.getByRole('link', { name: 'Change password' }).click();
    await expect(page.getByRole('heading', { name: 'Change password' })).toBeVisible();
    const change = async (current, wanted) => {
      await page.getByLabel('Current password').fill(current);
      await page.getByLabel('New password').fill(wanted);
      await page.getByRole('button', { name: 'Change password' }).click();
    };
    await change('not the right one', next);
    await expect(person.alert("That is not your current password.")).toBeVisible();
    await change(password, 'password123');
    await expect(person.alert('Many people use this password, so it is guessed first. Choose another.')).toBeVisible();
    await change(password, next);
    await expect(person.said).toHaveText('Your password is changed. Your other sessions were signed out.');
    await expect(person.alert('Many people')).toBeHidden();

    await person.list();
    await expect(person.row('berlin')).toBeVisible();
    await elsewhere.list();
    await expect(elsewhere.page).toHaveURL((url) => url.pathname === '/sign-in');
    await elsewhere.signsIn('mara', password);
    await expect(elsewhere.alert("don't match")).toBeVisible();
    await elsewhere.signsIn('mara', next);
    await expect(elsewhere.row('berlin')).toBeVisible();
  });

  test('the start page says how things stand and leads on', async ({ person }) => {
    await person.sees('/');
    await expect(person.page.getByRole('heading', { name: 'Hello, mara' })).toBeVisible();
    await person.page.getByRole('link', { name: '8 runtimes without a token' }).click();
    await expect(person.page).toHaveURL('/tokens');
    await expect(person.row('berlin')).toBeVisible();
  });

  test('an address that leads nowhere says so', async ({ person, guard }) => {
    guard.expects(404, '/nowhere');
    await person.sees('/nowhere');
    await expect(person.page.getByRole('heading', { name: 'Nothing at this address' })).toBeVisible();
    await person.page.getByRole('link', { name: 'Go home' }).click();
    await expect(person.page.getByRole('heading', { name: 'Hello, mara' })).toBeVisible();
  });
});

for (const place of ['/tokens?q=ber&show=no-token', '/tokens/acme.berlin', '/tokens/acme.lagos/delete', '/password']) {
  test(`a stranger who asks for ${place} signs in and is there`, async ({ person, guard }) => {
    // There is no token to delete, and the page says so.
    if (place.endsWith('/delete')) guard.expects(409, place, '/api/part');
    await person.sees(place);
    await expect(person.page).toHaveURL(`/sign-in?then=${encodeURIComponent(place).replaceAll('%2F', '/')}`);
    await expect(person.page.getByText('berlin')).toBeHidden();
    await person.signsIn();
    await expect(person.page).toHaveURL(place);
    await expect(person.page.getByRole('button', { name: 'Menu of mara' })).toBeVisible();
  });
}

for (const place of ['//evil.example/', 'https://evil.example/', '/\\evil.example']) {
  test(`signing in never leads to ${place}`, async ({ person }) => {
    await person.sees(`/sign-in?then=${encodeURIComponent(place)}`);
    await person.signsIn();
    await expect(person.page).toHaveURL('/tokens');
  });
}
