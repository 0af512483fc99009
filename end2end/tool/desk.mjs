// The demo's desk: a page with what somebody does elsewhere (an administrator at the Git host, the mail server), so that
// there is something to be told about within a minute.

import { createServer } from 'node:http';

const escape = (text) => String(text ?? '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** What happens at the simulated host when a button is pressed; answers what to say. */
const deeds = {
  async readonly(host) {
    await control(host, 'access', { user: 'octocat', repository: 'acme/infra', role: 'read' });
    return 'octocat may only read acme/infra now. In Gitward, choose “Check again” in the menu of a runtime that pushes there, and watch the bell. (By itself it would be noticed within the hour.)';
  },
  async push(host) {
    await control(host, 'access', { user: 'octocat', repository: 'acme/infra', role: 'push' });
    return 'octocat may push to acme/infra again. “Check again”, and the bell says so.';
  },
  async short(host) {
    const expires_at = new Date(Date.now() + 90_000).toISOString().replace(/\.\d+/, '');
    const { token } = await control(host, 'tokens', { user: 'octocat', kind: 'classic', scopes: ['repo'], expires_at });
    return `This token ends in a minute and a half. Give it to a runtime at ${host.name}, lean back and watch the bell: ${token}`;
  },
};

async function control(host, path, body) {
  const answer = await fetch(new URL(`/_forge/${path}`, host.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`/_forge/${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

/**
 * Opens the desk. `host` is the simulated GitHub; `mailbox` has the mails, or is not there.
 * @returns {Promise<{url: string, stop: () => void}>}
 */
export async function openDesk({ port, host, mailbox }) {
  const server = createServer(async (request, answer) => {
    const deed = request.method === 'POST' && deeds[request.url.slice(1)];
    let said = '';
    if (deed) said = await deed(host).catch((error) => `That did not work: ${error.message}`);
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'" });
    answer.end(page(said, host, mailbox));
  });
  await new Promise((done, fail) => server.once('error', fail).listen(port, '127.0.0.1', done));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

function page(said, host, mailbox) {
  const button = (deed, text) => `<form method="post" action="/${deed}"><button>${text}</button></form>`;
  const mails = (mailbox?.mails ?? []).toReversed().map(({ to, subject, text }) => `<h3>${escape(subject)}</h3><p>to ${escape(to)}</p><pre>${escape(text)}</pre>`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>The demo's desk</title>
<style>
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
button { margin-block: .25rem; padding: .5rem .9rem; font: inherit }
[role=status]:not(:empty) { padding: .7rem 1rem; border-inline-start: 4px solid; background: color-mix(in srgb, currentColor 8%, transparent) }
pre { white-space: pre-wrap }
</style>
<h1>The demo's desk</h1>
<p role="status">${escape(said)}</p>
<h2>At the simulated ${escape(host.name)}</h2>
${button('readonly', 'Take the right to push to acme/infra away from octocat')}
${button('push', 'Give it back')}
${button('short', 'Make a token that ends in a minute and a half')}
<h2>Mails</h2>
${mailbox ? `<p>Gitward's mails end here, whoever they are for. <a href="/">Look again</a></p>${mails.join('')}` : '<p>There is no mail server: it needs Python 3 with venv.</p>'}
</html>`;
}
