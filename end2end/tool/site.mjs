// Starts Gitward and the simulated Git hosts, for the demo, the journeys and the benchmark.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const tree = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const built = resolve(tree, process.env.CARGO_TARGET_DIR ?? 'target', 'debug');
const gitwardBin = resolve(tree, process.env.GITWARD_BIN ?? join(built, 'gitward'));
const forgeBin = resolve(tree, process.env.FORGE_BIN ?? join(built, 'forge'));

/** Where cargo-leptos put the site, one for all profiles; and nothing of what the developer's shell says to Gitward. */
const siteEnv = {
  ...Object.fromEntries(Object.keys(process.env).filter((name) => name.startsWith('GITWARD_')).map((name) => [name, undefined])),
  GITWARD_SITE_DIR: join(tree, 'target/site'),
};

/**
 * A simulated Git host. `hosts.mjs` has the shapes.
 * @returns {Promise<Program & {shape: string, url: string}>}
 */
export async function startForge({ shape, port = 0, args = [] }) {
  const forge = new Program(`forge (${shape})`, forgeBin, ['--shape', shape, '--listen', `127.0.0.1:${port}`, ...args]);
  const [, url] = await forge.line(/^forge \(\S+\) on (http:\/\/\S+)/);
  return Object.assign(forge, { shape, url });
}

/**
 * Gitward with its data below `dir`. `toml` is what its configuration says besides where it listens and stores.
 * With `command` another program than the built binary is started, with the same arguments: `cargo leptos watch --`.
 * @returns {Promise<Program & {url: string, config: string}>}
 */
export async function startGitward({ dir, port = 0, toml = '', env = {}, command, patience, every }) {
  port ||= await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(resolve(dir), 'gitward.toml');
  mkdirSync(dir, { recursive: true });
  writeFileSync(config, [
    `public_url = ${JSON.stringify(url)}`,
    `listen = "127.0.0.1:${port}"`,
    `data_dir = ${JSON.stringify(join(resolve(dir), 'data'))}`,
    `root_key_file = ${JSON.stringify(join(resolve(dir), 'gitward.key'))}`,
    '',
    toml,
  ].join('\n'));

  const [bin, ...before] = command ?? [gitwardBin];
  const gitward = new Program('gitward', bin, [...before, 'serve', '--config', config], {
    env: { ...(command ? {} : siteEnv), ...env },
    // What we read from cargo is for the developer as well.
    echo: !!command,
  });
  await gitward.until(() => ready(url), patience, every);
  return Object.assign(gitward, { url, config });
}

/** The one-time link with which the first user sets up an installation; undefined once there is a user. */
export function setUpLink(gitward) {
  return gitward.stderr.match(/https?:\/\/\S+\/setup\/[\w~.-]+/)?.[0];
}

/** Adds a user and returns the one-time link that welcomes them. */
export async function addUser(gitward, name) {
  const { stdout } = await command(gitward, 'user', 'add', name);
  return stdout.match(/https?:\/\/\S+\/welcome\/[\w~.-]+/)[0];
}

/** Makes a key for a runtime. */
export async function runtimeKey(gitward, runtime) {
  return (await command(gitward, 'runtime-key', 'create', runtime)).stdout.trim();
}

/** What an operator does on the command line of a Gitward. */
export async function command(gitward, ...args) {
  const run = await runToEnd(`gitward ${args.join(' ')}`, gitwardBin, [...args, '--config', gitward.config], { env: siteEnv });
  if (run.code !== 0) throw new Error(`${run.name} failed (${run.code})\n${run.output}`);
  return run;
}

/** Any program that ends by itself. */
export async function runToEnd(name, bin, args, options) {
  const program = new Program(name, bin, args, options);
  await program.exited;
  return program;
}

/** Sets name and password through a one-time link, as the form without script does; answers with the session's cookie. */
export async function redeem(gitward, link, { name, password }) {
  const secret = new URL(link).pathname.split('/').pop();
  const answer = await fetch(new URL('/api/person/redeem-link', gitward.url), {
    method: 'POST',
    redirect: 'manual',
    headers: { accept: 'text/html', origin: gitward.url, referer: link },
    body: new URLSearchParams({ secret, name, password }),
  });
  // Success leads to another page; a mistake leads back to the form, with the error in the address.
  const location = answer.headers.get('location') ?? '';
  if (answer.status >= 400 || location.includes('__err')) {
    throw new Error(`setting up ${name} failed: ${answer.status} ${location} ${await answer.text()}`);
  }
  return answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ');
}

/** What runs the mail server; not everywhere there. */
export const mailServer = join(tree, '.tools/bin/mail-python');

/** A mail server that takes every mail; `mails` has them. */
export async function startMailbox(port = 0) {
  const script = join(tree, 'end2end/tool/mailbox.py');
  const mailbox = await startProgram('mailbox', mailServer, [script, String(port)], /^mailbox on \S+:(\d+)/);
  const mails = () => mailbox.stdout.split('\n').slice(1, -1).map((line) => JSON.parse(line));
  return Object.defineProperty(Object.assign(mailbox, { port: Number(mailbox.match[1]) }), 'mails', { get: mails });
}

/** Any other program, once it has printed a line like `pattern`; the line's match is its `match`. */
export async function startProgram(name, bin, args, pattern) {
  const program = new Program(name, bin, args);
  return Object.assign(program, { match: await program.line(pattern) });
}

/** A program we started. It ends when we say so, or when we end. */
class Program {
  stdout = '';
  stderr = '';
  code;

  constructor(name, bin, args, { env = {}, echo = false, cwd = tree } = {}) {
    this.name = name;
    this.child = spawn(bin, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.exited = new Promise((done) => {
      this.child.once('error', (error) => {
        this.stderr += error.code === 'ENOENT' ? `${bin} is not there: build it first\n` : `${error.message}\n`;
        done(this.code = -1);
      });
      this.child.once('close', (code, signal) => done(this.code = code ?? signal));
    }).finally(() => running.delete(this.child));
    for (const stream of ['stdout', 'stderr']) {
      this.child[stream].setEncoding('utf8').on('data', (text) => {
        this[stream] += text;
        if (echo) process[stream].write(text);
      });
    }
  }

  get output() {
    return this.stdout + this.stderr;
  }

  /** Waits for a line on standard output. */
  async line(pattern, patience) {
    let found;
    await this.until(() => (found = this.stdout.split('\n').slice(0, -1).map((line) => line.match(pattern)).find(Boolean)), patience);
    return found;
  }

  /** Waits until `done` answers true; throws with all output when the program ends first, or patience does. */
  async until(done, patience = 20_000, every = 25) {
    const end = Date.now() + patience;
    while (!(await done())) {
      const why = this.code !== undefined ? `ended (${this.code})` : Date.now() > end && 'is not ready in time';
      if (why) {
        await this.stop();
        throw new Error(`${this.name} ${why}\n${this.output}`);
      }
      await new Promise((wake) => setTimeout(wake, every));
    }
  }

  /** Ends it in order, and by force after ten seconds. */
  async stop() {
    if (this.code === undefined) this.child.kill();
    const force = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await this.exited;
    clearTimeout(force);
  }
}

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill()));

async function ready(url) {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })).status === 200;
  } catch {
    return false;
  }
}

/**
 * A free port on loopback: Gitward must know its own address before it listens, and finds it free again after a restart.
 * The kernel gives those from 32768 on to whoever asks for any, and to connections that go out; so it is one from below.
 */
async function freePort() {
  for (;;) {
    const port = await portIsFree(10_000 + Math.floor(Math.random() * 20_000));
    if (port) return port;
  }
}

/** The port itself, if nobody listens on it; otherwise undefined. */
export function portIsFree(port) {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(undefined));
    probe.listen(port, '127.0.0.1', () => {
      const free = probe.address().port;
      probe.close(() => done(free));
    });
  });
}
