/** Hosts with several addresses, and names whose address changes. */
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { HTTP_INTERNAL_CONT } from '../../pools/callbacks.ts';
import type { Job, PoolThreadSettings } from '../../pools/contract.ts';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { eventually } from '../support/eventually.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { makeMessageJob, serveSessions } from '../support/session-rig.ts';
import { startSlowListener } from '../support/slow-listener.ts';
import { type Answer, startTarget } from '../support/target.ts';

const bothFamilies: Resolve = (_name, _options, found) =>
  found(null, [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]);

/** A pool of an origin, and one for orders, both towards `backend.example`. */
const ways = ['undici', 'got', 'follow-up'] as const;

function towards(way: (typeof ways)[number], port: number): readonly [PoolThreadSettings, Partial<Job>] {
  const origin = `http://backend.example:${port}`;
  if (way !== 'follow-up') return [makeThreadSettings({ client: way, origin, workers: 1 }), {}];
  const destination = { origin, allow: ['backend.example', '127.0.0.0/8', '::1'], ownOrigin: 'http://own.example' };
  return [makeThreadSettings({ client: 'got', origin: '' }), { destination }];
}

describe.each(ways)('a request by %s to a host with IPv4 and IPv6', (way) => {
  test('connects if the handshake takes longer than 250 ms', async () => {
    await using slow = await startSlowListener();
    const [settings, job] = towards(way, slow.port);
    await using thread = serveHere(settings, undefined, bothFamilies);
    const outcome = thread.deliver(makeJob(job));
    await fails(slow.port);
    slow.accept();
    expect(await outcome).toMatchObject({ kind: 'answered', status: 200 });
  });

  test('connects over its second family while the first does not respond', async () => {
    await using dead = await startSlowListener();
    await using alive = await startTarget({ host: '::1', port: dead.port });
    const [settings, job] = towards(way, dead.port);
    await using thread = serveHere(settings, undefined, bothFamilies);
    expect(await thread.deliver(makeJob(job))).toMatchObject({ kind: 'answered', status: 200 });
    expect(alive.counts.connections).toBe(1);
  });

  test('times out in phase connect if neither responds', async () => {
    await using dead = await startSlowListener();
    await using dumb = await startSlowListener('::1', dead.port);
    const [settings, job] = towards(way, dumb.port);
    await using thread = serveHere({ ...settings, requestTimeoutMs: 600 }, undefined, bothFamilies);
    expect(await thread.deliver(makeJob(job))).toMatchObject({ kind: 'timed-out', phase: 'connect' });
  });
});

/** Resolves when Node's own dialling has failed on the same addresses. */
async function fails(port: number): Promise<void> {
  const given = createDeferred<void>();
  connect({ host: 'backend.example', port, lookup: (name, options, found) => bothFamilies(name, { ...options, all: true }, found) }).on(
    'error',
    () => given.resolve(),
  );
  await given.promise;
}

describe.each(['undici', 'got'] as const)('a pool of %s, when the address of its host changes', (client) => {
  const identity = makeSelfSigned(['DNS:backend.example']);

  test.each(['http', 'https'] as const)('sends to the new one once its connection has reached max_connection_age (%s)', async (scheme) => {
    const tls = scheme === 'https' ? { tls: identity } : {};
    await using before = await startTarget({ host: '127.0.0.1', ...tls });
    await using after = await startTarget({ host: '127.0.0.2', port: before.port, ...tls });
    await using dns = await startDnsServer('127.0.0.1');
    const settings = makeThreadSettings({
      ...{ client, origin: `${scheme}://backend.example:${before.port}`, workers: 1, maxConnectionAgeMs: 300 },
      tls: { ca: identity.cert },
    });
    await using thread = serveHere(settings, undefined, dns.resolve);

    expect(await thread.deliver(makeJob())).toMatchObject({ status: 200 });
    dns.point('127.0.0.2');
    let key = 1;
    while (after.requests.length === 0) {
      key += 1;
      expect(await thread.deliver(makeJob({ key }))).toMatchObject({ kind: 'answered', status: 200 });
    }

    expect(before.requests.length + after.requests.length).toBe(key); // no number twice
    expect([before.counts.connections, after.counts.connections]).toEqual([1, 1]);
    await eventually(() => before.counts.open === 0);
  });

  test('finishes the request in progress on an old connection', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: ({ path }) => (path === '/held' ? held.promise : { kind: 'answer' }) });
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, workers: 1, maxConnectionAgeMs: 0 }));

    const first = thread.deliver(makeJob({ path: '/held' }));
    const second = thread.deliver(makeJob({ key: 2 }));
    await target.received(1);
    expect(target.counts.open).toBe(1);
    held.resolve({ kind: 'answer', status: 202 });

    expect(await first).toMatchObject({ kind: 'answered', status: 202 });
    expect(await second).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests.map(({ path, connection }) => [path, connection])).toEqual([
      ['/held', 0],
      ['/notifications', 1],
    ]);
  });

  test('keeps connections without an age limit', async () => {
    await using target = await startTarget();
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, workers: 1 }));
    for (let key = 1; key <= 20; key += 1) await thread.deliver(makeJob({ key }));
    expect(target.counts.connections).toBe(1);
  });

  test('ends a session with its connection, between two messages', async () => {
    await using target = await startTarget();
    const entries: string[] = [];
    const enter = (name: string) => () => {
      entries.push(name);
    };
    const callbacks = {
      initSession: enter('initSession'),
      buildRequest: () => {
        entries.push('buildRequest');
        return HTTP_INTERNAL_CONT;
      },
      resetSession: enter('resetSession'),
      destroySession: enter('destroySession'),
    } as const;
    await using thread = serveSessions(callbacks, { client, origin: target.origin, settings: { maxConnectionAgeMs: 0 } });

    for (const key of [1, 2]) expect(await thread.deliver(makeMessageJob({ key }))).toMatchObject({ kind: 'answered', status: 200 });
    await thread.stop();

    const one = ['initSession', 'buildRequest', 'resetSession', 'destroySession'];
    expect(entries.filter((entry) => entry !== 'destroySession')).toEqual([...one.slice(0, 3), ...one.slice(0, 3)]);
    expect(entries.indexOf('destroySession')).toBeGreaterThan(2);
    expect(entries.filter((entry) => entry === 'destroySession')).toHaveLength(2);
    expect(target.counts.connections).toBe(2);
  });
});
