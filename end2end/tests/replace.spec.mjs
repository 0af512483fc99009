// Tokens are replaced, shared, and deleted.

import { expect, field, submit, test, usual } from '../fixtures.mjs';

/** Which token Gitward has in use: it asks the host with it. */
async function inUse(person, forge, name) {
  await forge.forgetRequests();
  await person.list();
  await person.checks(name);
  const [{ token_id }] = await forge.requests();
  return token_id;
}

test('the old token serves until the new one has passed', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/add');
  const old = await forge.token();
  const weak = await forge.token({ scopes: [] });
  const fresh = await forge.token();
  await person.adds('lagos', old);
  const form = await person.opens('lagos', { replace: true });
  await person.pastes(form, weak.token, { replace: true });
  await expect(form.getByRole('alert').filter({ hasText: 'it lacks repo' })).toContainText('It has no scopes at all.');
  expect(await inUse(person, forge, 'lagos')).toBe(old.id);
  await expect(person.row('lagos')).toContainText('Works');

  await person.adds('lagos', fresh, { replace: true });
  expect(await inUse(person, forge, 'lagos')).toBe(fresh.id);
  expect((await forge.tokens()).find(({ id }) => id === old.id).works).toBe(true);
});

test('the old token serves while the host thinks about the new one', async ({ person, forge, browserOf }) => {
  const old = await forge.token();
  const fresh = await forge.token();
  await person.adds('lagos', old);
  const other = await browserOf('mara');
  const form = await person.opens('lagos', { replace: true });
  await forge.fault({ on: 'user', fault: 'delay', delay_ms: 4000, times: 1 });
  await field(form).fill(fresh.token);
  await submit(form, true).click({ noWaitAfter: true });
  await expect.poll(async () => (await forge.control('faults'))[0].struck).toBe(1);
  expect(await inUse(other, forge, 'lagos')).toBe(old.id);
  await expect(other.row('lagos')).toContainText('Works');
  await person.hasAdded('lagos');
  expect(await inUse(person, forge, 'lagos')).toBe(fresh.id);
});

for (const [choice, login] of [['Keep octocat', 'octocat'], ['Use hubot', 'hubot']]) {
  for (const where of ['form', 'row']) {
    test(`a token of another account waits until somebody says in the ${where}: ${choice}`, async ({ person, forge, guard }) => {
      guard.expects(422, '/api/token/add');
      const before = await forge.token();
      const other = await forge.token({ user: 'hubot' });
      await person.adds('lagos', before);
      const form = await person.opens('lagos', { replace: true });
      await person.pastes(form, other.token, { replace: true });
      const question = form.getByText('This token belongs to hubot, the one before to octocat.');
      await expect(question).toBeVisible();
      await expect(form).toContainText('Until you decide, the old one stays in use.');
      // The token is kept aside; what is missing is a decision.
      if (person.script) await expect(form.getByRole('button', { name: 'Keep octocat' })).toBeFocused();
      if (where === 'form') {
        await form.getByRole('button', { name: choice }).first().click();
      } else {
        expect(await inUse(person, forge, 'lagos')).toBe(before.id);
        await expect(person.row('lagos')).toContainText('Another account');
        await person.row('lagos').getByRole('button', { name: choice }).click();
      }
      await expect(person.said).toContainText('Settled: the row shows the account in use.');
      await expect(person.row('lagos')).toContainText(login);
      await expect(person.row('lagos')).toContainText('Works');
      await expect(person.row('lagos')).not.toContainText(login === 'hubot' ? 'octocat' : 'hubot');
      expect(await inUse(person, forge, 'lagos')).toBe(login === 'hubot' ? other.id : before.id);
    });
  }
}

test('a person uses a token again for another runtime', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await forge.forgetRequests();
  const form = await person.opens('lima');
  await expect(form.getByRole('group', { name: 'Authorize these in the same step' })).toBeHidden();
  await form.getByRole('button', { name: 'Use the token you already added for lagos' }).click();
  await person.hasAdded('lima');
  await expect(person.row('lima')).toContainText('Works');
  await expect(person.row('vault')).toContainText('No token');
  expect((await forge.requests()).map(({ path, token_id }) => [path, token_id])).toEqual([['/user', token.id]]);
});

test('a token that is not good enough for a runtime is refused there and stays elsewhere', async ({ person, forge, guard }) => {
  guard.expects(422, '/api/token/reuse');
  const token = await forge.token();
  await person.adds('lagos', token);
  const form = await person.opens('archive');
  await form.getByRole('button', { name: 'Use the token you already added for lagos' }).click();
  await expect(form.getByRole('alert').filter({ hasText: 'The token of octocat may not push to acme/readonly.' })).toBeVisible();
  await person.list();
  await expect(person.row('archive')).toContainText('No token');
  await expect(person.row('lagos')).toContainText('Works');
});

test('one step serves all runtimes that are ticked, as far as the token can', async ({ person, forge }) => {
  const token = await forge.token();
  await person.list();
  const form = await person.opens('lagos');
  const more = form.getByRole('group', { name: 'Use it for these as well' });
  await expect(more.getByRole('checkbox')).toHaveCount(6);
  for (const name of ['lima', 'oslo', 'archive']) await more.getByLabel(name).check();
  await person.pastes(form, token.token);
  // Without script the sentence is a word and a number in the address, which can't carry names.
  await person.hasAdded('lagos', { without: ' One of the runtimes you ticked could not use it. Add a token to it to see why.' });
  for (const name of ['lima', 'oslo']) await expect(person.row(name)).toContainText('Works');
  for (const name of ['archive', 'berlin', 'depot']) await expect(person.row(name)).toContainText('No token');
  if (person.script) await expect(person.said).toContainText("It can't serve archive.");
});

test('whoever deletes a token is told what that means', async ({ person, forge }) => {
  const token = await forge.token();
  await person.list();
  const form = await person.opens('lagos');
  await form.getByLabel('lima').check();
  await person.pastes(form, token.token);
  await person.hasAdded('lagos');
  await forge.forgetRequests();

  await person.link('lagos', 'Delete Token').click();
  const question = person.script
    ? person.page.getByRole('alertdialog', { name: 'Delete the token of lagos?' })
    : person.page.getByRole('main');
  await expect(question.getByRole('heading', { name: 'Delete the token of lagos?' })).toBeVisible();
  await expect(question).toContainText('of octocat at GitHub');
  await expect(question).toContainText('For you alone, lagos stops working with its Git repositories, Git Sources and other resources. The runtime itself stays');
  await expect(question).toContainText('The same token serves lima: there it stays.');
  await expect(question).toContainText('At GitHub the token stays valid until it is revoked there.');
  const cancel = question.getByRole(person.script ? 'button' : 'link', { name: 'Cancel' });
  if (person.script) await expect(cancel).toBeFocused();
  await cancel.click();
  await expect(person.row('lagos')).toContainText('Works');
  if (person.script) await expect(person.link('lagos', 'Delete Token')).toBeFocused();

  await person.link('lagos', 'Delete Token').click();
  await question.getByRole('button', { name: 'Delete Token' }).click();
  await expect(person.said).toContainText(/is deleted/);
  await expect(person.row('lagos')).toContainText('No token');
  await expect(person.row('lagos')).not.toContainText('octocat');
  await expect(person.link('lagos', 'Delete Token')).toBeHidden();
  if (person.script) await expect(person.link('lagos', 'Add Token')).toBeFocused();
  await expect(person.row('lima')).toContainText('Works');
  expect(await forge.requests()).toEqual([]);
  expect((await forge.tokens())[0].works).toBe(true);
});

test('a token that is deleted is gone from the disk', async ({ person, forge, gitward }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await person.link('lagos', 'Delete Token').click();
  await person.page.getByRole('button', { name: 'Delete Token' }).last().click();
  await expect(person.row('lagos')).toContainText('No token');
  const form = await person.opens('lima');
  await expect(form.getByRole('button', { name: /Use the token you already added/ })).toBeHidden();
  expect(gitward.kept()).not.toContain(token.token);
});

test('two tabs that save at once end with one token', async ({ person, forge, guard, browserOf }) => {
  guard.expects(409, '/api/token/add');
  const tokens = [await forge.token(), await forge.token()];
  const people = [person, await browserOf('mara')];
  const forms = [];
  for (const one of people) {
    await one.list();
    forms.push(await one.opens('lagos'));
  }
  await forge.fault({ on: 'user', fault: 'delay', delay_ms: 500 });
  await Promise.all(people.map((one, at) => one.pastes(forms[at], tokens[at].token)));
  for (const one of people) {
    await expect(one.page.getByText(/now serves lagos|The token passed|changed or deleted in the meantime/)).toBeVisible();
  }
  await forge.noFaults();
  for (const one of people) {
    await one.list();
    await expect(one.row('lagos')).toContainText('Works');
  }
  expect(tokens.map(({ id }) => id)).toContain(await inUse(person, forge, 'lagos'));
});

test('what one tab deleted the other can not delete again', async ({ person, forge, guard, browserOf }) => {
  guard.expects(409, '/api/', '/tokens/acme.lagos/delete');
  const token = await forge.token();
  await person.adds('lagos', token);
  const other = await browserOf('mara');
  for (const one of [person, other]) {
    await one.list();
    await one.link('lagos', 'Delete Token').click();
    await expect(one.page.getByRole('heading', { name: 'Delete the token of lagos?' })).toBeVisible();
  }
  await person.page.getByRole('button', { name: 'Delete Token' }).last().click();
  await expect(person.row('lagos')).toContainText('No token');
  await other.page.getByRole('button', { name: 'Delete Token' }).last().click();
  await expect(other.alert('This token was changed or deleted in the meantime. The list shows how it stands now.')).toBeVisible();
  await expect(other.page.getByText('changed or deleted in the meantime')).toHaveCount(1);
  await other.list();
  await expect(other.row('lagos')).toContainText('No token');
});

test('a token survives a restart', async ({ person, forge, gitward }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await gitward.restart(usual);
  await person.list();
  await expect(person.row('lagos')).toContainText('Works');
  expect(await inUse(person, forge, 'lagos')).toBe(token.id);
});
