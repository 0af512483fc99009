// The runtime API is what its description says: Schemathesis asks all that the description allows, and much that it does
// not, and judges the answers by it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, runtimeId, test } from '../fixtures.mjs';
import { runtimeKey, runToEnd, tree } from '../tool/site.mjs';

const schemathesis = join(tree, '.tools/bin/schemathesis');
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'missing_required_header',
  'unsupported_method',
  'allow_header_conformance',
  'ignored_auth',
];

/** Asks all it can think of, and ends the test with what it found. */
async function asks({ gitward, key, description }) {
  const dir = mkdtempSync(join(tmpdir(), 'schemathesis-'));
  const file = join(dir, 'openapi.json');
  writeFileSync(file, JSON.stringify(description));
  const run = await runToEnd('schemathesis', schemathesis, [
    'run', file, '--url', gitward.url,
    '--header', `Authorization: Bearer ${key}`,
    '--checks', checks.join(','),
    // The same questions each time.
    '--seed', '20261122', '--max-examples', '60', '--generation-database', 'none',
    '--no-color',
  ], { cwd: dir });
  rmSync(dir, { recursive: true });
  expect(run.code, run.output).toBe(0);
  expect(run.stdout).toMatch(/Tested: 4$/m);
  return run.stdout;
}

async function prepared({ gitward }) {
  const key = await runtimeKey(gitward.program, runtimeId('lagos'));
  const description = await (await fetch(`${gitward.url}/runtime/v1/openapi.json`)).json();
  return { gitward, key, description };
}

test('whatever a runtime asks, no answer is an error of the server or one that is not described', async ({ gitward }) => {
  test.setTimeout(240_000);
  const runtime = await prepared({ gitward });
  await asks(runtime);
  // All those wrong keys let nobody in, and did not lock the right one out.
  const users = await fetch(`${gitward.url}/runtime/v1/users`, { headers: { authorization: `Bearer ${runtime.key}` } });
  expect(users.status).toBe(200);
});

test('nor where there is a token, and it asks for that', async ({ gitward, forge }) => {
  test.setTimeout(240_000);
  const { token } = await forge.token();
  await gitward.gives('mara', 'lagos', token);
  const runtime = await prepared({ gitward });
  // Chance would not come upon these.
  const { properties } = runtime.description.components.schemas.CredentialRequest;
  properties.user.enum = ['mara', 'jonas'];
  properties.git_url.enum = [`${forge.url}/acme/infra.git`, forge.url, 'https://github.com/acme/infra.git'];
  const said = await asks(runtime);
  // So it got it.
  expect(said).not.toMatch(/Authentication failed|Missing .*test data/);
  const audit = await (await fetch(`${gitward.url}/audit/export?format=jsonl&what=secret`, { headers: { cookie: gitward.sessions.mara } })).text();
  expect(audit).toContain('"secret.released"');
  expect(audit).not.toContain(token);
});
