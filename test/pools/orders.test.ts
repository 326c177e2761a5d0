import type { LookupAddress } from 'node:dns';
import { describe, expect, test } from 'vitest';
import type { Job } from '../../pools/contract.ts';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import type { Destination } from '../../src/model/delivery.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { startTarget } from '../support/target.ts';

const settings = makeThreadSettings({ name: 'follow_up', client: 'got', origin: '' });

function makeOrder(destination: Partial<Destination>, job: Partial<Job> = {}): Job {
  return makeJob({ wantsBody: true, destination: { origin: '', allow: [], ownOrigin: 'http://backend.example', ...destination }, ...job });
}

/** Gives these addresses for every name. */
function resolvesTo(...addresses: readonly string[]) {
  const asked: string[] = [];
  const resolve: Resolve = (name, _options, found) => {
    asked.push(name);
    found(
      null,
      addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return { asked, resolve };
}

describe('an ordered request', () => {
  test('goes to its own origin, with its headers, our own, and a true length', async () => {
    await using target = await startTarget({ script: () => ({ kind: 'answer', status: 201, body: '{"callback":null}' }) });
    await using thread = serveHere(settings);
    const body = '{"uuid":"7cb8cfb7267c2296d3f4ff9e089d0076","foo":"bär"}';
    const headers = [['Content-Type', 'application/json; charset=utf-8']] as const;
    const destination = { origin: target.origin, allow: [`127.0.0.1:${target.port}`] };

    const outcome = await thread.deliver(makeOrder(destination, { method: 'PUT', path: '/v1/your-other-api/', headers, body }));

    expect(outcome).toMatchObject({ kind: 'answered', status: 201, body: '{"callback":null}' });
    const [request] = target.requests;
    expect(request).toMatchObject({ method: 'PUT', path: '/v1/your-other-api/', body: Buffer.from(body) });
    expect(request?.header('host')).toBe(`127.0.0.1:${target.port}`);
    expect(request?.header('content-length')).toBe(String(Buffer.byteLength(body)));
    expect(request?.header('user-agent')).toBe(settings.userAgent);
    expect(request?.headers).toContainEqual(['Content-Type', 'application/json; charset=utf-8']);
  });

  test('has a connection of its own, which ends with it', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settings);
    for (const key of [1, 2]) await thread.deliver(makeOrder({ origin: target.origin, allow: ['127.0.0.1'] }, { key }));
    expect(target.counts.connections).toBe(2);
    await thread.stop();
    expect(target.counts.peakOpen).toBeLessThanOrEqual(2);
  });

  test('follows no redirect', async () => {
    await using elsewhere = await startTarget();
    await using target = await startTarget({
      script: () => ({ kind: 'answer', status: 302, headers: [['location', `${elsewhere.origin}/`]] }),
    });
    await using thread = serveHere(settings);

    expect(await thread.deliver(makeOrder({ origin: target.origin, allow: ['127.0.0.1'] }))).toMatchObject({ status: 302 });
    expect(elsewhere.counts.connections).toBe(0);
  });

  test('goes over TLS to the name that it was ordered to, and trusts no other', async () => {
    const identity = makeSelfSigned(['DNS:api.example']);
    await using target = await startTarget({ tls: identity });
    const { resolve } = resolvesTo('127.0.0.1');
    const trusting = makeThreadSettings({ ...settings, tls: { ca: identity.cert } });
    await using thread = serveHere(trusting, undefined, resolve);
    const to = (name: string) => ({ origin: `https://${name}:${target.port}`, allow: ['*.example', '127.0.0.1'] });

    expect(await thread.deliver(makeOrder(to('api.example')))).toMatchObject({ kind: 'answered', status: 200 });
    expect(target.requests[0]?.serverName).toBe('api.example');
    expect(await thread.deliver(makeOrder(to('other.example')))).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });
});

describe('a destination that is refused', () => {
  test('is not even looked up where its name is not allowed', async () => {
    const { asked, resolve } = resolvesTo('127.0.0.1');
    await using thread = serveHere(settings, undefined, resolve);
    const outcome = await thread.deliver(makeOrder({ origin: 'http://api.example', allow: ['other.example'] }));
    expect(outcome).toMatchObject({ kind: 'unsent', code: 'DESTINATION_REFUSED', message: 'allow does not list api.example with port 80' });
    expect(asked).toEqual([]);
  });

  test('is not dialled where one address of an allowed name is refused', async () => {
    await using target = await startTarget();
    const { resolve } = resolvesTo('93.184.216.34', '127.0.0.1');
    await using thread = serveHere(settings, undefined, resolve);
    const outcome = await thread.deliver(makeOrder({ origin: `http://api.example:${target.port}`, allow: ['api.example'] }));
    expect(outcome).toMatchObject({
      kind: 'unsent',
      code: 'DESTINATION_REFUSED',
      message: expect.stringContaining('127.0.0.1 is no public address'),
    });
    expect(target.counts.connections).toBe(0);
  });

  test('is refused by the address that is dialled, not by one seen before: a name server that rebinds its name', async () => {
    await using target = await startTarget();
    await using dns = await startDnsServer('127.0.0.1');
    await using thread = serveHere(settings, undefined, dns.resolve);
    const order = { origin: `http://rebinds.example:${target.port}`, allow: ['*.example', '127.0.0.1'] };

    expect(await thread.deliver(makeOrder(order))).toMatchObject({ kind: 'answered', status: 200 });
    expect(dns.asked).toEqual(['rebinds.example']); // what is checked is what is dialled: nobody asks twice
    dns.point('127.0.0.2');
    expect(await thread.deliver(makeOrder(order, { key: 2 }))).toMatchObject({
      kind: 'unsent',
      code: 'DESTINATION_REFUSED',
      message: expect.stringContaining('127.0.0.2 is no public address'),
    });
    dns.point('169.254.169.254');
    expect(await thread.deliver(makeOrder(order, { key: 3 }))).toMatchObject({ code: 'DESTINATION_REFUSED' });
    expect([target.counts.connections, dns.asked.length]).toEqual([1, 3]);
  });

  test('is refused by the resolver of the system too', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settings);
    const outcome = await thread.deliver(makeOrder({ origin: `http://localhost:${target.port}`, allow: ['localhost'] }));
    expect(outcome).toMatchObject({ kind: 'unsent', code: 'DESTINATION_REFUSED' });
  });

  test('a name that is not found is unreachable, and may be found later', async () => {
    await using thread = serveHere(settings, undefined, (_name, _options, found) => {
      found(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), []);
    });
    expect(await thread.deliver(makeOrder({ origin: 'http://api.example', allow: ['api.example'] }))).toMatchObject({
      kind: 'unreachable',
      code: 'ENOTFOUND',
    });
  });

  test.each([
    ['an order that breaks a rule', makeOrder({ fault: 'its data is an array' }), 'ORDER_BROKEN'],
    ['a job that is no order', makeJob(), 'ORDER_BROKEN'],
    [
      'a line break in a header',
      makeOrder({ origin: 'http://127.0.0.1:1', allow: ['127.0.0.1'] }, { headers: [['x', 'a\r\nb']] }),
      'ERR_INVALID_HEADER',
    ],
    [
      'a path without a slash',
      makeOrder({ origin: 'http://127.0.0.1:1', allow: ['127.0.0.1'] }, { path: '@evil.example/' }),
      'ERR_UNESCAPED_CHARACTERS',
    ],
  ])('%s is not sent', async (_what, job, code) => {
    await using thread = serveHere(settings);
    expect(await thread.deliver(job)).toMatchObject({ kind: 'unsent', code });
  });
});
