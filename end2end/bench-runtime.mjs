// What runtimes wait for: reading a credential, asking by the Git helper, and being refused after a token was deleted.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tree } from './tool/site.mjs';

const RUNTIME = 'acme.runtime-00';
const built = resolve(tree, process.env.CARGO_TARGET_DIR ?? 'target', 'debug/gitward');
const gitwardBin = resolve(tree, process.env.GITWARD_BIN ?? built);

/**
 * Measures all three on a server where `user`, signed in by `cookie`, has a token for the first runtime.
 * `figure` and `note` print; `makeToken` gets another token of the simulated host.
 */
export async function measureRuntimes({ gitward, forge, user, cookie, dir, seconds, quick, figure, note, makeToken }) {
  const key = execFileSync(gitwardBin, ['runtime-key', 'create', RUNTIME, '--config', gitward.config], { encoding: 'utf8' }).trim();
  const runtime = { gitward, key, question: JSON.stringify({ user, git_url: `${forge.url}/acme/gitops.git` }) };
  const answer = await read(runtime);
  if (answer.status !== 200) throw new Error(`the runtime got no credential: ${answer.status} ${await answer.text()}`);

  const rate = fastest(runtime, dir, seconds);
  figure('credentials read per second, each in the audit log first', rate.toFixed(0), '', rate >= 1000, '≥ 1,000');
  const p99 = atRate(runtime, dir, seconds, 1000, note);
  figure('p99 at 1,000 of them per second', p99.toFixed(1), 'ms', p99 <= 20, '≤ 20 ms');

  const helper = await helperTimes(runtime, user, dir, forge, quick ? 30 : 200);
  figure('Git credential helper, p99 of a warm one', share(helper, 0.99).toFixed(0), 'ms', share(helper, 0.99) <= 150, '≤ 150 ms');

  const refused = await refusalTimes(runtime, cookie, makeToken, quick ? 20 : 100);
  figure('from Delete to refusal, p99', share(refused, 0.99).toFixed(0), 'ms', share(refused, 0.99) <= 1000, '≤ 1,000 ms');
}

function share(times, part) {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

function headers({ key }) {
  return { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
}

function read(runtime) {
  return fetch(`${runtime.gitward.url}/runtime/v1/credential`, { method: 'POST', headers: headers(runtime), body: runtime.question });
}

/** As many as it gives to 64 who ask all the time. */
function fastest(runtime, dir, seconds) {
  const script = join(dir, 'credential.lua');
  const lines = Object.entries(headers(runtime)).map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`);
  writeFileSync(script, ['wrk.method = "POST"', `wrk.body = ${JSON.stringify(runtime.question)}`, ...lines].join('\n'));
  const out = execFileSync('wrk', ['-s', script, '-t1', '-c64', `-d${seconds}s`, `${runtime.gitward.url}/runtime/v1/credential`], { encoding: 'utf8' });
  if (/Non-2xx/.test(out)) throw new Error(`not all answers were good:\n${out}`);
  return Number(out.match(/Requests\/sec:\s+([\d.]+)/)[1]);
}

/** p99 in milliseconds. That the rate was kept is checked: requests that were never sent wait for nothing. */
function atRate(runtime, dir, seconds, rate, note) {
  const [log, body] = [join(dir, 'credential.tsv'), join(dir, 'credential.json')];
  writeFileSync(body, runtime.question);
  rmSync(log, { force: true });
  const clients = 20;
  const asked = Object.entries(headers(runtime)).map(([name, value]) => `--header=${name}: ${value}`);
  execFileSync('h2load', ['--h1', `--clients=${clients}`, '--threads=1', `--rps=${rate / clients}`, `--duration=${seconds}`, `--log-file=${log}`, `--data=${body}`, ...asked, `${runtime.gitward.url}/runtime/v1/credential`], { stdio: 'pipe' });
  // When a request began, its status, and how long it took, in microseconds.
  const answers = readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split('\t').map(Number));
  const bad = answers.filter(([, status]) => status !== 200).length;
  if (bad) throw new Error(`${bad} of ${answers.length} credentials were refused`);
  if (answers.length / seconds < 0.95 * rate) note('the rate was not kept', `${(answers.length / seconds).toFixed(0)} per second: take p99 for too low`);
  return share(answers.map(([, , micros]) => micros / 1000), 0.99);
}

/** How long Git waits for the helper, its start included, one after the other. The first few warm it up. */
async function helperTimes(runtime, user, dir, forge, count) {
  const keyFile = join(dir, 'runtime.key');
  writeFileSync(keyFile, `${runtime.key}\n`, { mode: 0o400 });
  const { protocol, host } = new URL(forge.url);
  const question = `protocol=${protocol.replace(':', '')}\nhost=${host}\n\n`;
  const times = [];
  for (let number = 0; number < count + 5; number += 1) {
    const begun = performance.now();
    const said = await run(gitwardBin, ['credential', '--runtime-key-file', keyFile, '--user', user, '--server', runtime.gitward.url, 'get'], question);
    times.push(performance.now() - begun);
    if (!said.includes('password=')) throw new Error(`the helper gave no password: ${said}`);
  }
  return times.slice(5);
}

function run(program, args, input) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (text) => (out += text));
    child.once('error', fail);
    child.once('close', () => done(out));
    child.stdin.end(input);
  });
}

/** From when "Delete Token" is sent until the runtime, which asks all the time, is refused for the first time. */
async function refusalTimes(runtime, cookie, makeToken, count) {
  const { url } = runtime.gitward;
  const post = async (path, fields) => {
    const answer = await fetch(`${url}/api/${path}`, { method: 'POST', headers: { cookie, origin: url }, body: new URLSearchParams(fields) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  const times = [];
  for (let round = 0; round < count; round += 1) {
    await post('token/add', { runtime: RUNTIME, token: await makeToken() });
    const begun = performance.now();
    const deleted = post('token/delete', { runtime: RUNTIME });
    let answer;
    do {
      answer = await read(runtime);
      await answer.arrayBuffer();
    } while (answer.status === 200);
    times.push(performance.now() - begun);
    if (answer.status !== 404) throw new Error(`refused with ${answer.status}`);
    await deleted;
  }
  return times;
}
