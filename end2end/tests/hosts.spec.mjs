// The same journeys at every kind of Git host.

import { expect, hosts, test } from '../fixtures.mjs';

for (const host of Object.values(hosts)) {
  test.describe(host.name, () => {
    test.use({ host });

    const authorize = `Authorize Access to ${host.name}`;

    test('a pasted token serves one runtime, and then another', async ({ person, forge }) => {
      const token = await forge.token();
      await person.adds('lagos', token);
      await expect(person.row('lagos')).toContainText('Works');
      await expect(person.row('lagos')).toContainText(host.name);
      await expect(person.row('lima')).toContainText('No token');
      expect(new Set((await forge.requests()).map(({ token_id }) => token_id))).toEqual(new Set([token.id]));
      const form = await person.opens('lima');
      await form.getByRole('button', { name: /Use the token you already added for lagos/ }).click();
      await person.hasAdded('lima');
      await expect(person.row('lima')).toContainText('Works');
    });

    test('a token that may do too little is not kept, and what it lacks is said', async ({ person, forge, guard }) => {
      guard.expects(422, '/api/token/add');
      const weak = await forge.token({ ...host.usual, scopes: host.fewer });
      await person.list();
      const form = await person.opens('berlin');
      await person.unfolds(form);
      await person.pastes(form, weak.token);
      const lack = host.missing ? `it lacks ${host.missing}` : 'may not push to acme/infra';
      await expect(form.getByRole('alert').filter({ hasText: lack })).toBeVisible();
      if (host.userName) await expect(form.getByLabel(host.userName.label)).toHaveValue(host.userName.value);
      await person.list();
      await expect(person.row('berlin')).toContainText('No token');
    });

    test('a token that is none is not kept', async ({ person, forge, guard }) => {
      guard.expects(422, '/api/token/add');
      const token = await forge.token();
      await forge.revoke(token);
      await person.list();
      const form = await person.opens('lagos');
      await person.pastes(form, token.token);
      await expect(form.getByRole('alert').filter({ hasText: `${host.name} does not know this token` })).toBeVisible();
      await person.list();
      await expect(person.row('lagos')).toContainText('No token');
    });

    test('a token is replaced, in all its places, and deleted', async ({ person, forge }) => {
      const [old, fresh] = [await forge.token(), await forge.token()];
      await person.list();
      const add = await person.opens('lagos');
      await add.getByRole('group', { name: 'Use it for these as well' }).getByLabel('lima').check();
      await person.pastes(add, old.token);
      await person.hasAdded('lagos');
      const replace = await person.opens('lagos', { replace: true });
      await expect(replace.getByRole('group', { name: 'Replace it for these as well' }).getByLabel('lima')).toBeChecked();
      await person.pastes(replace, fresh.token, { replace: true });
      await person.hasAdded('lagos');
      await forge.revoke(old);
      await person.checks('lima');
      await expect(person.row('lima')).toContainText('Works');
      await person.link('lima', 'Delete Token').click();
      await person.page.getByRole('button', { name: 'Delete Token' }).last().click();
      await expect(person.row('lima')).toContainText('No token');
      await expect(person.row('lagos')).toContainText('Works');
    });

    test('a person lets a runtime in at the host', async ({ person, forge }) => {
      await person.list();
      const form = await person.opens('berlin');
      await form.getByRole('button', { name: authorize }).click();
      await person.signsInAt(forge);
      expect(await forge.requests()).toEqual([]);
      await person.page.getByRole('button', { name: 'Authorize' }).click();
      await person.hasAdded('berlin', { through: 'page' });
      const [first] = await forge.requests();
      expect(first.body_keys).toContain('code_verifier');
      await expect(person.row('berlin')).toContainText('Works');
      await expect(person.row('oslo')).toContainText('No token');
    });

    test('whoever says no at the host keeps everything as it was', async ({ person, forge }) => {
      await person.list();
      const form = await person.opens('berlin');
      await form.getByRole('button', { name: authorize }).click();
      await person.signsInAt(forge);
      await person.page.getByRole('button', { name: 'Cancel' }).click();
      await expect(person.alert('Access was not granted, so nothing has changed.')).toBeVisible();
      await expect(person.row('berlin')).toContainText('Access denied');
    });
  });
}
