/** The built service with TLS on all its listeners, and the commands that reach it. */
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { startPushRig } from '../support/push-rig.ts';
import { runCli } from '../support/run-cli.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { type Identity, makeSelfSigned } from '../support/self-signed.ts';
import { freePort } from '../support/target.ts';

const tls = (more = '') => `tls = { certfile = "cert.pem", keyfile = "key.pem"${more} }`;

interface Seen {
  readonly status: number;
  readonly body: string;
  readonly cert: string;
}

/** Sends a GET over a connection of its own, and trusts only this certificate. */
function get(url: string, ca: string, client: Partial<Identity> = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, ca, ...client, checkServerIdentity: () => undefined }, (response) => {
      const cert = (response.socket as TLSSocket).getPeerX509Certificate()?.toString() ?? '';
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body, cert }), reject);
    })
      .on('error', reject)
      .end();
  });
}

test('listeners speak TLS, renewed certificates are taken over without a restart, and commands reach the service', async () => {
  const [old, renewed, client, stranger] = ['DNS:pusher.example', 'DNS:pusher.example', 'DNS:operator', 'DNS:stranger'].map((name) =>
    makeSelfSigned([name]),
  );
  if (old === undefined || renewed === undefined || client === undefined || stranger === undefined) throw new Error('four identities');
  await using chat = await startScriptedChat();
  const [admin, gate, posts] = await Promise.all([freePort(), freePort(), freePort()]);
  const files = {
    ...{ 'cert.pem': old.cert, 'key.pem': old.key, 'clients.pem': client.cert },
    ...{ 'client.pem': client.cert, 'client-key.pem': client.key },
  };
  const handlers = `[gate]\nlisten = "127.0.0.1:${gate}"\n${tls(', cacertfile = "clients.pem"')}
[attach.posts]\ntype = "http"\nhosts = ["mim.example"]\nlisten = "127.0.0.1:${posts}"\n${tls()}\n`;
  await using rig = await startPushRig(chat.server.port, { loglevel: 'info', handlers, files, listen: '127.0.0.1:0', started: false });
  const { folder } = rig.pusher;
  const file = join(folder, 'event-pusher.toml');
  await writeFile(
    file,
    (await readFile(file, 'utf8')).replace('[admin]', `[admin]\n${tls()}`).replace('127.0.0.1:0', `127.0.0.1:${admin}`),
  );
  await rig.pusher.start();

  expect(await get(`https://127.0.0.1:${admin}/healthz`, old.cert)).toEqual({ status: 200, body: '{"status":"ok"}', cert: old.cert });
  expect((await get(`https://127.0.0.1:${posts}/`, old.cert)).status).toBe(405);
  expect((await get(`https://127.0.0.1:${gate}/gate`, old.cert, client)).status).toBe(405);
  await expect(get(`https://127.0.0.1:${gate}/gate`, old.cert)).rejects.toThrow();
  await expect(get(`https://127.0.0.1:${gate}/gate`, old.cert, stranger)).rejects.toThrow();
  await expect(fetch(`http://127.0.0.1:${admin}/healthz`)).rejects.toThrow();

  const run = (...args: readonly string[]) => runCli(['status', '--json', ...args]);
  expect((await run('--config', file)).code).toBe(0);
  const url = `https://localhost:${admin}`;
  expect(await run('--url', url)).toMatchObject({ code: 1, stderr: expect.stringContaining('self-signed certificate') });
  expect(await run('--url', url, '--ca', join(folder, 'cert.pem'))).toMatchObject({ code: 1, stderr: expect.stringContaining('altnames') });
  expect(await run('--url', url, '--cert', join(folder, 'client.pem'))).toMatchObject({ code: 2 });

  await writeFile(join(folder, 'cert.pem'), renewed.cert);
  await writeFile(join(folder, 'key.pem'), renewed.key);
  await rig.pusher.said((line) => line.event === 'config.reload' && line['result'] === 'applied');
  for (const [port, pair] of [
    [admin, {}],
    [posts, {}],
    [gate, client],
  ] as const) {
    expect((await get(`https://127.0.0.1:${port}/`, renewed.cert, pair)).cert).toBe(renewed.cert);
  }
  expect((await run('--config', file)).code).toBe(0);
  expect(rig.pusher.log.filter((line) => line.event === 'ready')).toHaveLength(1);
});
