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

  test('refuses a certificate that nobody vouches for, and sends nothing', async () => {
    await using target = await startTarget({ tls: forAddress });
    await using thread = serveHere(settingsFor(target.origin));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(target.requests).toHaveLength(0);
  });

  test('accepts it with its `ca`, and uses the connection again', async () => {
    await using target = await startTarget({ tls: forAddress });
    await using thread = serveHere(settingsFor(target.origin, { ca: forAddress.cert }));

    for (const key of [1, 2]) expect(await thread.deliver(makeJob({ key }))).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.counts.connections).toBe(1);
  });

  test('accepts it where verification is off', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(target.origin, { verify: false }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
  });

  test('refuses a certificate of another name', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(target.origin, { ca: forLocalhost.cert }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(target.requests).toHaveLength(0);
  });

  test('asks for the name of its origin', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(`https://localhost:${target.port}`, { ca: forLocalhost.cert }));

    await thread.deliver(makeJob());

    expect(target.requests.map(({ serverName }) => serverName)).toEqual(['localhost']);
  });

  test('asks for, and checks, the name it is told', async () => {
    await using target = await startTarget({ tls: forLocalhost });
    await using thread = serveHere(settingsFor(target.origin, { ca: forLocalhost.cert, serverName: 'localhost' }));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ serverName }) => serverName)).toEqual(['localhost']);
  });

  test('calls a server that hangs up on the handshake unreachable', async () => {
    await using target = await startTarget({ onConnect: 'reset' });
    await using thread = serveHere(settingsFor(target.origin.replace('http:', 'https:')));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ECONNRESET' });
  });

  test('calls a port that nobody listens on unreachable', async () => {
    await using thread = serveHere(settingsFor(`https://127.0.0.1:${await freePort()}`));

    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: 'ECONNREFUSED' });
  });
});
