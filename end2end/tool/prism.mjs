// Prism between a client and a Git host: passes everything on, and notes what differs from GitHub's own description.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createLogger } from '@stoplight/prism-core';
import { createInstance, getHttpOperationsFromSpec } from '@stoplight/prism-http';

const require = createRequire(import.meta.url);
// Prism does not tell which operation it took a request for, so its router is asked separately.
const { default: route } = require('@stoplight/prism-http/dist/router');

/**
 * GitHub's description of some of its API: `api.github.com`, `ghes-3.19`.
 * Of its 13 MB and 1200 operations Prism gets only these paths and what they refer to: that takes it a tenth of the time.
 */
export async function description(name, paths) {
  const whole = JSON.parse(readFileSync(require.resolve(`@octokit/openapi/generated/${name}.json`)));
  const { openapi, info, servers } = whole;
  const part = { openapi, info, servers, paths: {}, components: {} };
  for (const path of paths) {
    part.paths[path] = whole.paths[path];
    if (!part.paths[path]) throw new Error(`${name} describes no ${path}`);
    take(part.paths[path]);
  }
  return {
    /** What stands before the paths: empty, or /api/v3. */
    prefix: servers[0].url.replace(/^[^/]+:\/\/[^/]+/, ''),
    operations: await getHttpOperationsFromSpec(part),
  };

  function take(value) {
    if (!value || typeof value !== 'object') return;
    allowNull(value);
    if (typeof value.$ref === 'string') {
      const [, , kind, key] = value.$ref.split('/');
      part.components[kind] ??= {};
      if (part.components[kind][key]) return;
      part.components[kind][key] = whole.components[kind][key];
      take(part.components[kind][key]);
      return;
    }
    Object.values(value).forEach(take);
  }
}

/**
 * GitHub says "one of these, or null" without a type. Prism cannot compile that, and what it cannot compile it passes
 * without a word; so null becomes one of these.
 */
function allowNull(schema) {
  const { nullable, type, anyOf, oneOf, allOf } = schema;
  if (nullable !== true || type || !(anyOf ?? oneOf ?? allOf)) return;
  const given = { ...schema };
  for (const key of Object.keys(schema)) delete schema[key];
  delete given.nullable;
  schema.anyOf = [given, { enum: [null] }];
}

/** A proxy in front of the API of the host at `upstream`, which answers as `described`, or does not. */
export async function startPrism({ described, upstream }) {
  const { operations, prefix } = described;
  // `errors: false`: everybody gets the true answer, also when it differs.
  const config = { isProxy: true, upstream: new URL(upstream + prefix), errors: false, validateRequest: true, validateResponse: true, checkSecurity: true, mock: {} };
  const prism = createInstance(config, { logger: createLogger('prism', { level: 'silent' }) });
  const seen = [];

  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { pathname, searchParams } = new URL(request.url, 'http://proxy');
    const question = {
      method: request.method.toLowerCase(),
      // What is asked outside of the API is none of its operations.
      url: {
        path: pathname.startsWith(`${prefix}/`) ? pathname.slice(prefix.length) : `/outside${pathname}`,
        query: Object.fromEntries(searchParams),
      },
      headers: request.headers,
      body: body ? JSON.parse(body) : null,
    };
    const operation = route({ resources: operations, input: question });
    const outcome = await prism.request(question, operations)();
    const { output, validations } = outcome.right ?? {};
    seen.push({
      operation: operation.right && `${request.method} ${operation.right.path}`,
      asked: `${request.method} ${request.url}`,
      status: output?.statusCode,
      // Without an output nobody could read the answer: JSON that breaks off, for instance.
      violations: output
        ? [...validations.input.filter((one) => !isRoot(one, pathname)).map(say('request')), ...validations.output.map(say('response'))]
        : [`response: ${outcome.left.message}`],
    });
    for (const [name, value] of Object.entries(output?.headers ?? {})) {
      if (name !== 'content-length') response.setHeader(name, value);
    }
    response.writeHead(output?.statusCode ?? 502);
    response.end(typeof output?.body === 'object' ? JSON.stringify(output.body) : output?.body);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));

  return {
    /** What to give a client instead of the API's address. */
    url: `http://127.0.0.1:${server.address().port}${prefix}`,
    /** Every request: its operation, the answer's status, and what is not as described. */
    seen,
    stop: () => new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    }),
  };
}

/** GitHub describes a repository's root directory as an empty {path}; Prism takes what is empty for missing. */
const isRoot = ({ path: [place] = [], code }, pathname) => place === 'path' && code === 'required' && pathname.endsWith('/contents/');

const say = (side) => ({ path = [], message }) => `${side}: ${[...path, message].join(' ')}`;

async function text(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}
