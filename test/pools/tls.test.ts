import { describe, expect, test } from 'vitest';
import type { PoolTls } from '../../pools/contract.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { freePort, startTarget } from '../support/target.ts';

const forLocalhost = makeSelfSigned(['DNS:localhost']);
const forAddress = makeSelfSigned(['IP:127.0.0.1']);

describe.each(['undici', 'got'] as const)('the %s client over TLS', (client) => {
  const settingsFor = (origin: string, tls: Partial<PoolTls> = {}) => makeThreadSettings({ client, origin, tls });

  test('refuses a self-signed certificate, and sends nothing', async () => {
    await using target = await startTarget({ tls: forAddress });
    await using thread = serveHere(settingsFor(target.origin));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(target.requests).toHaveLength(0);
  });

  test('accepts it with its `ca`, and reuses the connection', async () => {
    await using target = await startTarget({ tls: forAddress });
    await using thread = serveHere(settingsFor(target.origin, { ca: forAddress.cert }));

    for (const key of [1, 2]) expect(await thread.deliver(makeJob({ key }))).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.counts.connections).toBe(1);
  });

  test('accepts it without verification', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(target.origin, { verify: false }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
  });

  test('refuses a certificate for another name', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(target.origin, { ca: forLocalhost.cert }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(target.requests).toHaveLength(0);
  });

  test('sends the name of its origin as SNI', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(`https://localhost:${target.port}`, { ca: forLocalhost.cert }));

    await thread.deliver(makeJob());

    expect(target.requests.map(({ serverName }) => serverName)).toEqual(['localhost']);
  });

  test('sends and checks the configured server name', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(target.origin, { ca: forLocalhost.cert, serverName: 'localhost' }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ serverName }) => serverName)).toEqual(['localhost']);
  });

  test('reports `unreachable` if the server closes during the handshake', async () => {
    await using target = await startTarget({ onConnect: 'reset' });
    await using thread = serveHere(settingsFor(target.origin.replace('http:', 'https:')));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ECONNRESET' });
  });

  test('reports `unreachable` for a port without a listener', async () => {
    await using thread = serveHere(settingsFor(`https://127.0.0.1:${await freePort()}`));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ECONNREFUSED' });
  });
});
