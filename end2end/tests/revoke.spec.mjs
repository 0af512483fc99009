// Tokens that are deleted or replaced are revoked at the host: when somebody wants it, and nothing else uses them.

import { expect, hosts, submit, field, test } from '../fixtures.mjs';

/** What ends a pasted token and a grant at each host; null where only its owner can. */
const ways = {
  github: { token: 'POST /credentials/revoke', grant: 'DELETE /applications/gitward-demo/grant' },
  ghes: { token: null, grant: 'DELETE /api/v3/applications/gitward-demo/grant' },
  gitlab: { token: 'DELETE /api/v4/personal_access_tokens/self', grant: 'POST /oauth/revoke' },
  bitbucket: { token: null, grant: null },
  'bitbucket-dc': { token: null, grant: null },
  gitea: { token: 'DELETE /api/v1/token', grant: null, settings: { token_api: true } },
};

/** What the page says then. GitHub takes a pasted token in to revoke it, and says no more. */
const done = (host, way) => way === ways.github.token ? `Handed to ${host.name}, which revokes it` : `Revoked at ${host.name}.`;

/** What Gitward asked the host, as `GET /user`. */
const asked = async (forge) => (await forge.requests()).map(({ method, path }) => `${method} ${path}`);
const works = async (forge, { id }) => (await forge.tokens()).find((token) => token.id === id).works;
const notice = (person) => person.page.locator('[data-revocation]');

/** The question before a token is deleted. */
async function deleting(person, name) {
  await person.link(name, 'Delete Token').click();
  const question = person.script
    ? person.page.getByRole('alertdialog', { name: `Delete the token of ${name}?` })
    : person.page.getByRole('main');
  await expect(question.getByRole('heading', { name: `Delete the token of ${name}?` })).toBeVisible();
  return question;
}

async function deletes(person, question, name) {
  await question.getByRole('button', { name: 'Delete Token' }).click();
  await expect(person.said).toContainText(/is deleted/);
  await expect(person.row(name)).toContainText('No token');
}

for (const [key, host] of Object.entries(hosts)) {
  test.describe(host.name, () => {
    test.use({ host });
    const way = ways[key];

    test.beforeEach(async ({ forge }) => {
      if (way.settings) await forge.settings(way.settings);
    });

    test('a pasted token is deleted, and revoked as far as the host lets us', async ({ person, forge }) => {
      const token = await forge.token();
      await person.adds('lagos', token);
      await forge.forgetRequests();
      const question = await deleting(person, 'lagos');
      await expect(question).toContainText(`At ${host.name} the token stays valid until it is revoked there.`);
      const box = question.getByRole('checkbox', { name: `Also revoke it at ${host.name}` });
      if (!way.token) {
        await expect(box).toBeHidden();
        await expect(question).toContainText("Gitward can't do that for you.");
        const link = await question.getByRole('link', { name: host.name }).getAttribute('href');
        await deletes(person, question, 'lagos');
        await expect(notice(person)).toContainText(`Forgotten here; revoke it at ${host.name}`);
        expect(await notice(person).getByRole('link').getAttribute('href')).toBe(link);
        expect(await asked(forge)).toEqual([]);
        expect(await works(forge, token)).toBe(true);
        return;
      }
      // It may be in use elsewhere, so that is for its owner to say.
      await expect(box).not.toBeChecked();
      await box.check();
      await deletes(person, question, 'lagos');
      await expect(notice(person)).toContainText(`The old token of lagos: ${done(host, way.token)}`);
      expect(await asked(forge)).toEqual([way.token]);
      expect(await works(forge, token)).toBe(false);
      await person.sees('/tokens/acme.lagos');
      await expect(notice(person)).toContainText(done(host, way.token));
    });

    test('a grant is deleted, and revoked as far as the host lets us', async ({ person, forge }) => {
      await person.list();
      const form = await person.opens('berlin');
      await form.getByRole('button', { name: `Authorize Access to ${host.name}` }).click();
      await person.signsInAt(forge);
      await person.page.getByRole('button', { name: 'Authorize' }).click();
      await person.hasAdded('berlin', { through: 'page' });
      await forge.forgetRequests();
      const question = await deleting(person, 'berlin');
      const box = question.getByRole('checkbox', { name: `Also revoke it at ${host.name}` });
      // Nobody but Gitward has it.
      if (way.grant) await expect(box).toBeChecked();
      else await expect(box).toBeHidden();
      await deletes(person, question, 'berlin');
      await expect(notice(person)).toContainText(way.grant ? `Revoked at ${host.name}.` : 'Forgotten here; revoke it at');
      expect(await asked(forge)).toEqual(way.grant ? [way.grant] : []);
      expect((await forge.tokens()).filter((token) => token.works).length).toBe(way.grant ? 0 : 1);
    });

    test('a replaced token is revoked once the new one is in use', async ({ person, forge, guard }) => {
      guard.expects(422, '/api/token/add');
      const [old, weak, fresh] = [
        await forge.token(), await forge.token({ ...host.usual, scopes: host.fewer }), await forge.token(),
      ];
      await person.adds('lagos', old);
      const form = await person.opens('lagos', { replace: true });
      const box = form.getByRole('checkbox', { name: `Also revoke the old token at ${host.name}` }).last();
      if (!way.token) {
        await expect(box).toBeHidden();
        await person.pastes(form, fresh.token, { replace: true });
        await person.hasAdded('lagos');
        await expect(notice(person)).toContainText('Forgotten here; revoke it at');
        expect(await works(forge, old)).toBe(true);
        return;
      }
      await box.check();
      if (host.missing) {
        await person.pastes(form, weak.token, { replace: true });
        await expect(form.getByRole('alert').filter({ hasText: `it lacks ${host.missing}` })).toBeVisible();
        expect(await works(forge, old)).toBe(true);
        await box.check();
      }
      await field(form).fill(fresh.token);
      await submit(form, true).click();
      await person.hasAdded('lagos');
      await expect(notice(person)).toContainText(done(host, way.token));
      expect([await works(forge, old), await works(forge, fresh)]).toEqual([false, true]);
    });
  });
}

test('while the host does not answer the page says so, and later that it is done', async ({ person, forge }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  await forge.fault({ on: { method: 'POST', path_prefix: '/credentials' }, fault: 'rate_limit', retry_after_seconds: 6, times: 1 });
  const question = await deleting(person, 'lagos');
  await question.getByRole('checkbox', { name: 'Also revoke it at GitHub' }).check();
  await deletes(person, question, 'lagos');
  await expect(notice(person)).toContainText('GitHub has not answered yet; Gitward will try again until');
  await person.sees('/tokens/acme.lagos');
  await expect(notice(person)).toContainText('GitHub has not answered yet');
  expect(await works(forge, token)).toBe(true);
  await expect(async () => {
    await person.list();
    await expect(notice(person)).toContainText('Handed to GitHub', { timeout: 1000 });
  }).toPass({ timeout: 30_000 });
  expect(await works(forge, token)).toBe(false);
});

test('a token that another runtime uses stays, and the page names that runtime', async ({ person, forge, browserOf }) => {
  const token = await forge.token();
  await person.adds('lagos', token);
  const question = await deleting(person, 'lagos');
  await question.getByRole('checkbox', { name: 'Also revoke it at GitHub' }).check();
  // In another tab, lima gets the same token meanwhile.
  const other = await browserOf('mara');
  await other.list();
  const form = await other.opens('lima');
  await form.getByRole('button', { name: /Use the token you already added for lagos/ }).click();
  await other.hasAdded('lima');
  await forge.forgetRequests();
  await deletes(person, question, 'lagos');
  await expect(notice(person)).toContainText('Not revoked at GitHub: lima still uses it.');
  expect(await asked(forge)).toEqual([]);
  expect(await works(forge, token)).toBe(true);
  await expect(person.row('lima')).toContainText('Works');
});
