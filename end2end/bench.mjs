// Measures the release build against the goals in the README, side by side in one run. Trust the ratios; the times are
// this machine's.
//
//   --quick    shorter runs, no Lighthouse

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { measureRuntimes } from './bench-runtime.mjs';
import { declare, hosts } from './tool/hosts.mjs';
import { redeem, setUpLink, startForge, startGitward, startProgram, tree } from './tool/site.mjs';

const quick = process.argv.includes('--quick');
const seconds = quick ? 3 : 10;
const dir = mkdtempSync(join(tmpdir(), 'gitward-bench-'));
const started = [];
const results = [];

/** Notes a figure and whether it reaches its goal. */
function figure(what, value, unit, reached, goal) {
  results.push({ what, value: `${value} ${unit}`.trim(), goal, reached });
  console.log(`${reached ? 'reached    ' : 'FALLS SHORT'}  ${what}: ${value} ${unit} (goal ${goal})`);
}

function note(what, value) {
  console.log(`             ${what}: ${value}`);
}

try {
  await main();
} finally {
  await Promise.all(started.map((program) => program.stop()));
  rmSync(dir, { recursive: true });
}
console.log(`\n${results.filter(({ reached }) => reached).length} of ${results.length} goals reached on ${cpus().length} × ${cpus()[0].model}`);

async function main() {
  if (!has('wrk')) throw new Error('wrk is missing: apt-get install wrk (or brew install wrk)');
  if (!has('h2load')) throw new Error('h2load is missing: apt-get install nghttp2-client (or brew install nghttp2)');
  sizes();
  const forge = await startForge(hosts.github);
  started.push(forge);
  const person = { name: 'bench', password: 'correct horse battery staple' };
  const toml = fiftyRuntimes(forge.url, person.name);
  await startTimes(toml);

  const gitward = await startGitward({ dir: join(dir, 'site'), toml });
  started.push(gitward);
  await gitward.until(() => setUpLink(gitward));
  const cookie = await redeem(gitward, setUpLink(gitward), person);
  await authorizeAll(gitward, forge, cookie);
  const page = await (await fetch(`${gitward.url}/tokens`, { headers: { cookie } })).text();
  rowsOnce(page);

  // Hashing the password took memory for a moment; what stays is what counts.
  await idle(gitward);
  await throughput(gitward, cookie, page);
  await measureRuntimes({ gitward, forge, user: person.name, cookie, dir, seconds, quick, figure, note, makeToken: () => makeToken(forge) });
  await heard(gitward, forge, cookie);
  checks();
  if (!quick) await lighthouse(gitward, cookie);
}

/** What the browser loads, as the server sends it. */
function sizes() {
  const pkg = join(tree, 'target/site/pkg');
  const bytes = readdirSync(pkg)
    .filter((file) => /\.(js|wasm)$/.test(file))
    .map((file) => [file, brotliCompressSync(readFileSync(join(pkg, file)), { params: { [constants.BROTLI_PARAM_SIZE_HINT]: statSync(join(pkg, file)).size } }).length]);
  for (const [file, size] of bytes) note(file, `${(size / 1000).toFixed(1)} KB brotli`);
  const total = bytes.reduce((sum, [, size]) => sum + size, 0) / 1000;
  figure('JS and WASM, brotli', total.toFixed(1), 'KB', total <= 230, '≤ 230 KB');
}

async function startTimes(toml) {
  const times = [];
  for (let run = 0; run < 7; run += 1) {
    const before = performance.now();
    // Also the first start, which makes key and database.
    const gitward = await startGitward({ dir: join(dir, 'start'), toml, every: 1 });
    times.push(performance.now() - before);
    await gitward.stop();
  }
  note('first start, with key and database to make', `${times[0].toFixed(0)} ms`);
  const median = times.slice(1).sort((a, b) => a - b)[3];
  figure('start to first answer, median of 6', median.toFixed(0), 'ms', median <= 100, '≤ 100 ms');
}

function rowsOnce(page) {
  const times = page.split('runtime-07').length - 1;
  const inText = page.replace(/<[^>]*>/g, ' ').split('runtime-07').length - 1;
  note('the page of 50 runtimes', `${(Buffer.byteLength(page) / 1000).toFixed(1)} KB; ${times} times an address or text names a runtime`);
  figure('how often the text of the page holds a row\'s name', inText, '', inText === 1, '1');
}

async function idle(gitward) {
  await new Promise((wake) => setTimeout(wake, 3000));
  const resident = residentMiB(gitward);
  figure('resident memory, idle', resident.toFixed(1), 'MiB', resident <= 32, '≤ 32 MiB');
}

async function throughput(gitward, cookie, page) {
  const file = join(dir, 'page.html');
  writeFileSync(file, page);
  const bare = await startProgram('bare', process.env.BARE_BIN, [file], /^bare on (\S+)/);
  started.push(bare);
  // In turns, so that a busy moment of the machine hits both.
  const rates = { bare: [], page: [] };
  for (let turn = 0; turn < 3; turn += 1) {
    rates.bare.push(wrk(bare.match[1], 64, seconds).rate);
    rates.page.push(wrk(`${gitward.url}/tokens`, 64, seconds, cookie).rate);
  }
  const [bareRate, pageRate] = [Math.max(...rates.bare), Math.max(...rates.page)];
  note('bare axum route, same bytes', `${bareRate.toFixed(0)} requests/s`);
  note('signed-in page of 50 runtimes', `${pageRate.toFixed(0)} requests/s`);
  const ratio = pageRate / bareRate;
  figure('page against bare route', (100 * ratio).toFixed(1), '%', ratio >= 0.3, '≥ 30 %');

  // A page that was asked for in this second is not made again; here each address is another one.
  const script = join(dir, 'anew.lua');
  writeFileSync(script, 'local n = 0\nrequest = function() n = n + 1 return wrk.format(nil, "/tokens?n=" .. n) end\n');
  const anew = wrk(`${gitward.url}/tokens`, 64, seconds, cookie, script).rate;
  note('the same, made anew each time', `${anew.toFixed(0)} requests/s, ${(100 * anew / bareRate).toFixed(1)} % of the bare route`);

  const half = Math.round(pageRate / 2);
  const p99 = steady(`${gitward.url}/tokens`, cookie, half);
  figure(`p99 at half that load (${half} requests/s)`, p99.toFixed(1), 'ms', p99 <= 10, '≤ 10 ms');

  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, residentMiB(gitward))), 50);
  await wrkAsync(`${gitward.url}/tokens`, 200, seconds, cookie);
  clearInterval(watch);
  figure('resident memory under 200 connections, peak', peak.toFixed(1), 'MiB', peak <= 64, '≤ 64 MiB');
}

/** How soon all open tabs of a person show what a check has found: from the check's answer to the count at the bell. */
async function heard(gitward, forge, cookie) {
  const ask = async (url, body, headers = {}) => {
    const answer = await fetch(url, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  const control = (path, body) => ask(`${forge.url}/_forge/${path}`, JSON.stringify(body), { 'content-type': 'application/json' });
  const runtime = 'acme.runtime-49';
  const use = (path, fields) => ask(`${gitward.url}/api/token/${path}`, new URLSearchParams({ runtime, ...fields }), { cookie, origin: gitward.url, accept: 'application/json' });
  const token = await (await control('tokens', { user: 'octocat', ...hosts.github.usual })).json();
  await use('add', { token: token.token });

  const { chromium } = await import('@playwright/test');
  const { default: config } = await import('./playwright.config.mjs');
  const browser = await chromium.launch(config.use.launchOptions);
  try {
    const context = await browser.newContext();
    const [name, ...value] = cookie.split('=');
    await context.addCookies([{ name, value: value.join('='), url: gitward.url }]);
    const tabs = await Promise.all(['/tokens', '/tokens', '/notifications'].map(async (place) => {
      const tab = await context.newPage();
      await tab.goto(`${gitward.url}${place}`);
      return tab;
    }));
    await new Promise((wake) => setTimeout(wake, 3000));
    const watch = (tab) => tab.evaluate(() => {
      const bell = () => document.querySelector('.bell')?.textContent;
      const before = bell();
      window.changed = new Promise((changed) => {
        new MutationObserver((_, observer) => {
          if (bell() === before) return;
          observer.disconnect();
          changed(performance.timeOrigin + performance.now());
        }).observe(document.querySelector('header'), { subtree: true, childList: true, characterData: true });
      });
    });
    const late = [];
    for (let round = 0; round < (quick ? 6 : 30); round += 1) {
      await Promise.all(tabs.map(watch));
      await control('tokens/change', { id: token.id, scopes: round % 2 ? hosts.github.usual.scopes : ['gist'] });
      await use('check');
      const found = performance.timeOrigin + performance.now();
      const seen = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.changed)));
      late.push(Math.max(...seen) - found);
    }
    late.sort((a, b) => a - b);
    note('a change in 3 open tabs, median', `${late[Math.floor(late.length / 2)].toFixed(0)} ms after the check's answer`);
    const worst = late.at(-1);
    figure('a change in 3 open tabs, latest', Math.max(0, worst).toFixed(0), 'ms', worst <= 500, '≤ 500 ms');
  } finally {
    await browser.close();
  }
}

/** What checks in the background cost: an hour of them on a clock that is moved, against a host that counts. */
function checks() {
  const tokens = quick ? 10_000 : 100_000;
  const only = 'watch::tests::soak_a_hundred_thousand_tokens_are_asked_about_within_the_hour';
  const args = ['test', '--release', '--workspace', '--exclude', 'client', '--locked', '--lib', '--', '--ignored', '--nocapture', '--exact', only];
  const out = execFileSync('cargo', args, { cwd: tree, encoding: 'utf8', env: { ...process.env, GITWARD_SOAK_TOKENS: `${tokens}` } });
  const found = /(\d+) of \d+ asked about in an hour; ([\d.]+) of a core; (-?\d+) KiB more in memory; (\d+) checks a second/.exec(out);
  if (!found) throw new Error(`no figures of checks in: ${out}`);
  const [asked, core, kib, rate] = found.slice(1).map(Number);
  note('checks of one process, as fast as it goes', `${rate} a second`);
  figure(`tokens asked about within the hour, of ${tokens}`, asked, '', asked >= 0.99 * tokens, '≥ 99 %');
  figure('processor time of that', core.toFixed(3), 'core', core <= 0.2, '≤ 0.2 core');
  figure('memory of that', (kib / 1024).toFixed(1), 'MiB', kib <= 32 * 1024, '≤ 32 MiB');
}

function wrkArgs(url, connections, time, cookie, script) {
  return [...(script ? ['-s', script] : []), '-t1', `-c${connections}`, `-d${time}s`, '--latency', ...(cookie ? ['-H', `Cookie: ${cookie}`] : []), url];
}

function wrk(url, connections, time, cookie, script) {
  return parse(execFileSync('wrk', wrkArgs(url, connections, time, cookie, script), { encoding: 'utf8' }));
}

function wrkAsync(url, connections, time, cookie) {
  return new Promise((done, fail) => {
    let out = '';
    const child = spawn('wrk', wrkArgs(url, connections, time, cookie));
    child.stdout.on('data', (text) => (out += text));
    child.once('error', fail);
    child.once('close', () => done(parse(out)));
  });
}

function parse(out) {
  if (/Non-2xx/.test(out)) throw new Error(`not all answers were good:\n${out}`);
  return { rate: Number(out.match(/Requests\/sec:\s+([\d.]+)/)[1]) };
}

/**
 * p99 in milliseconds at a fixed rate. The load generator takes its share of the same cores; that it kept the rate is
 * printed, because requests that were never sent wait for nothing.
 */
function steady(url, cookie, rate) {
  const log = join(dir, 'steady.tsv');
  const clients = 32;
  const perClient = Math.max(1, Math.round(rate / clients));
  rmSync(log, { force: true });
  execFileSync('h2load', ['--h1', `--clients=${clients}`, '--threads=1', `--rps=${perClient}`, `--duration=${seconds}`, `--log-file=${log}`, `--header=Cookie: ${cookie}`, url], { stdio: 'pipe' });
  // When a request began, its status, and how long it took, in microseconds.
  const answers = readFileSync(log, 'utf8').trim().split('\n').map((line) => line.split('\t').map(Number));
  const bad = answers.filter(([, status]) => status !== 200).length;
  if (bad) throw new Error(`${bad} of ${answers.length} answers were bad`);
  const kept = answers.length / seconds;
  note('asked for and answered per second', `${perClient * clients} and ${kept.toFixed(0)}`);
  if (kept < 0.95 * perClient * clients) note('the rate was not kept', 'take p99 for too low');
  const times = answers.map(([, , micros]) => micros).sort((a, b) => a - b);
  return times[Math.floor(0.99 * times.length)] / 1000;
}

async function lighthouse(gitward, cookie) {
  const { default: run } = await import('lighthouse');
  const { launch } = await import('chrome-launcher');
  const chrome = await launch({ chromePath: process.env.CHROME_PATH ?? '/usr/bin/chromium', chromeFlags: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking'] });
  try {
    const { lhr } = await run(`${gitward.url}/tokens`, { port: chrome.port, output: 'json', logLevel: 'error', extraHeaders: { Cookie: cookie } });
    for (const { title, score, auditRefs } of Object.values(lhr.categories)) {
      figure(`Lighthouse ${lhr.lighthouseVersion}, ${title}`, Math.round(score * 100), '', score >= 0.95, '≥ 95');
      for (const { id, weight } of auditRefs) {
        const audit = lhr.audits[id];
        if (weight && audit.score !== null && audit.score < 0.9) note(`  ${audit.title}`, audit.displayValue ?? audit.score);
      }
    }
  } finally {
    await chrome.kill();
  }
}

function fiftyRuntimes(host, user) {
  const runtimes = Array.from({ length: 50 }, (_, number) => (
    { name: `runtime-${String(number).padStart(2, '0')}`, provider: 'github' }
  ));
  return declare(
    [{ id: 'github', ...hosts.github, url: host }],
    [{ id: 'acme', name: 'Acme Logistics', members: [user], runtimes }],
  );
}

async function makeToken(forge) {
  const made = await fetch(`${forge.url}/_forge/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user: 'octocat', ...hosts.github.usual }),
  });
  return (await made.json()).token;
}

/** One pasted token for all fifty. */
async function authorizeAll(gitward, forge, cookie) {
  const token = await makeToken(forge);
  const form = new URLSearchParams({ runtime: 'acme.runtime-00', token });
  for (let number = 1; number < 50; number += 1) form.append('also[]', `acme.runtime-${String(number).padStart(2, '0')}`);
  const answer = await fetch(`${gitward.url}/api/token/add`, { method: 'POST', headers: { cookie, origin: gitward.url }, body: form });
  if (!answer.ok) throw new Error(`the token was not taken: ${answer.status} ${await answer.text()}`);
}

function residentMiB(gitward) {
  return Number(readFileSync(`/proc/${gitward.child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;
}

function has(program) {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
