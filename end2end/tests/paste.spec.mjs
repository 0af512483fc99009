import { expect, field, submit, test } from '../fixtures.mjs';

test('a person adds a token by pasting it', async ({ person, forge, gitward }) => {
  const token = await forge.token();
  await person.list();
  await expect(person.row('lagos')).toContainText('No token');
  const form = await person.opens('lagos');
  await expect(form.getByText('Scopes it needs')).toBeVisible();
  await person.pastes(form, token.token);
  await person.hasAdded('lagos');
  await expect(person.row('lagos')).toContainText('Works');
  await expect(person.row('lagos')).toContainText('Never');
  await expect(person.row('lima')).toContainText('No token');
  const asked = await forge.requests();
  expect(asked.map(({ method, path, token_id }) => [method, path, token_id])).toEqual([['GET', '/user', token.id]]);
});
