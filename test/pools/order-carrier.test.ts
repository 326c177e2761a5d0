import type { LookupAddress } from 'node:dns';
import { describe, expect, test } from 'vitest';
import type { Job } from '../../pools/contract.ts';
import { guardDestination } from '../../pools/destination-guard.ts';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import type { Destination } from '../../src/model/delivery.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { hostileHosts } from '../support/hostile-hosts.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { startTarget } from '../support/target.ts';

const settings = makeThreadSettings({ name: 'follow_up', client: 'got', origin: '' });

function makeOrder(destination: Partial<Destination>, job: Partial<Job> = {}): Job {
  return makeJob({ wantsBody: true, destination: { origin: '', allow: [], ownOrigin: 'http://backend.example', ...destination }, ...job });
}

/** Resolves every name to these addresses. */
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
  test('goes to its own origin, with its headers, those of every request, and the correct length', async () => {
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

  test('has its own connection, which is closed after it', async () => {
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

  test('goes over TLS to the ordered name, and accepts no other', async () => {
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

describe('a refused destination', () => {
  test('is not resolved if its name is not allowed', async () => {
    const { asked, resolve } = resolvesTo('127.0.0.1');
    await using thread = serveHere(settings, undefined, resolve);
    const outcome = await thread.deliver(makeOrder({ origin: 'http://api.example', allow: ['other.example'] }));
    expect(outcome).toMatchObject({ kind: 'unsent', code: 'DESTINATION_REFUSED', message: 'allow does not list api.example with port 80' });
    expect(asked).toEqual([]);
  });

  test('is not dialled if one address of an allowed name is refused', async () => {
    await using target = await startTarget();
    const { resolve } = resolvesTo('93.184.216.34', '127.0.0.1');
    await using thread = serveHere(settings, undefined, resolve);
    const outcome = await thread.deliver(makeOrder({ origin: `http://api.example:${target.port}`, allow: ['api.example'] }));
    expect(outcome).toMatchObject({
      kind: 'unsent',
      code: 'DESTINATION_REFUSED',
      message: expect.stringContaining('127.0.0.1 is not a public address'),
    });
    expect(target.counts.connections).toBe(0);
  });

  test('is checked by the address that is dialled (DNS rebinding)', async () => {
    await using target = await startTarget();
    await using dns = await startDnsServer('127.0.0.1');
    await using thread = serveHere(settings, undefined, dns.resolve);
    const order = { origin: `http://rebinds.example:${target.port}`, allow: ['*.example', '127.0.0.1'] };

    expect(await thread.deliver(makeOrder(order))).toMatchObject({ kind: 'answered', status: 200 });
    expect(dns.asked).toEqual(['rebinds.example']); // the checked address is dialled without a second lookup
    dns.point('127.0.0.2');
    expect(await thread.deliver(makeOrder(order, { key: 2 }))).toMatchObject({
      kind: 'unsent',
      code: 'DESTINATION_REFUSED',
      message: expect.stringContaining('127.0.0.2 is not a public address'),
    });
    dns.point('169.254.169.254');
    expect(await thread.deliver(makeOrder(order, { key: 3 }))).toMatchObject({ code: 'DESTINATION_REFUSED' });
    expect([target.counts.connections, dns.asked.length]).toEqual([1, 3]);
  });

  test('is also refused with the resolver of the system', async () => {
    await using target = await startTarget();
    await using thread = serveHere(settings);
    const outcome = await thread.deliver(makeOrder({ origin: `http://localhost:${target.port}`, allow: ['localhost'] }));
    expect(outcome).toMatchObject({ kind: 'unsent', code: 'DESTINATION_REFUSED' });
  });

  test('a name that is not found is unreachable, and can be resolved later', async () => {
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
    ['a job that is not an order', makeJob(), 'ORDER_BROKEN'],
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

const ownOrigin = 'https://backend.example:8443';
const guard = (origin: string, ...allow: readonly string[]) => guardDestination({ origin, allow, ownOrigin });

describe('a destination that is not in the list', () => {
  test.each(hostileHosts)('%s (%s) is refused', (_what, host) => {
    expect(guard(`http://${host}:80`, '*.example.com', 'api.partner.example').refusal).toEqual(expect.any(String));
  });

  test.each([
    ['another port', 'http://api.partner.example:8080', 'api.partner.example:80'],
    ['the default port of TLS', 'https://api.partner.example', 'api.partner.example:80'],
    ['another port of an address', 'http://203.0.113.7:81', '203.0.113.7:80'],
    ['an address outside the network', 'http://10.1.0.1', '10.0.0.0/16'],
  ])('%s is refused', (_what, origin, allow) => {
    expect(guard(origin, allow).refusal).toMatch(/^allow does not list /);
  });
});

describe('is refused even if the list covers everything:', () => {
  const everything = ['0.0.0.0/0', '::/0', '*.internal', '*.goog'];

  test.each([
    ...[
      'http://169.254.169.254',
      'http://0xa9fea9fe',
      'http://[::ffff:a9fe:a9fe]',
      'http://[64:ff9b::a9fe:a9fe]',
      'http://[fd00:ec2::254]',
    ],
    ...['http://100.100.100.200', 'http://168.63.129.16', 'http://192.0.0.192', 'http://[fe80::1]', 'http://0.0.0.0', 'http://[::]'],
    ...['http://metadata.google.internal', 'http://metadata.goog', 'http://METADATA.google.internal.'],
  ])('%s', (origin) => {
    expect(guard(origin, ...everything).refusal).toMatch(/no request may be ordered to$/);
  });

  test.each(['169.254.169.254', '64:ff9b::a9fe:a9fe', '::ffff:169.254.169.254', 'fe80::1%eth0'])(
    'a name that resolves to %s',
    (address) => {
      expect(guard('http://a.internal', ...everything).refusalOf(address)).toMatch(/no request may be ordered to$/);
      expect(guard(ownOrigin, 'backend.example').refusalOf(address)).toMatch(/no request may be ordered to$/);
    },
  );
});

describe('a name in the list', () => {
  const { refusal, refusalOf } = guard('http://api.example.com', '*.example.com', '10.1.0.0/16', '10.2.0.0/16:8080', 'fd01::/16');

  test('may be resolved', () => {
    expect(refusal).toBeUndefined();
  });

  test.each(['93.184.216.34', '2606:4700::1111', '64:ff9b::5db8:d822', '10.1.2.3', '::ffff:10.1.2.3', 'fd01::1'])(
    'may resolve to %s',
    (address) => {
      expect(refusalOf(address)).toBeUndefined();
    },
  );

  test.each(
    [
      '127.0.0.1',
      '10.0.0.1',
      '10.2.0.1',
      '192.168.0.1',
      '100.64.0.1',
      '::1',
      '::ffff:7f00:1',
      'fd00::1',
      '64:ff9b::10.0.0.1',
      '2002:a00:1::',
    ].concat(['2001:0:53aa:64c:0:0:80ff:fffe', '2001:db8::1', 'fec0::1', '198.18.0.1']),
  )('may not resolve to %s, because its DNS is not ours', (address) => {
    expect(refusalOf(address)).toMatch(/is not a public address, and allow has no address or CIDR that covers it$/);
  });
});

describe('the list allows', () => {
  test.each([
    ['http://api.partner.example', 'api.partner.example'],
    ['http://API.partner.example.', 'api.partner.example'],
    ['https://api.partner.example', 'api.partner.example:443'],
    ['http://a.b.example.com:8080', '*.example.com'],
    ['http://10.0.0.172:5984', '10.0.0.172:5984'],
    ['http://10.0.0.172:5984', '10.0.0.0/8'],
    ['http://[::1]:8000', '[::1]:8000'],
    ['http://[::ffff:10.0.0.172]', '10.0.0.172'],
  ])('%s with the entry %s', (origin, allow) => {
    expect(guard(origin, allow).refusal).toBeUndefined();
  });

  test("the handler's own backend, for any address of its name", () => {
    const { refusal, refusalOf } = guard(ownOrigin, 'backend.example:8443');
    expect([refusal, refusalOf('127.0.0.1'), refusalOf('10.0.0.1')]).toEqual([undefined, undefined, undefined]);
    expect(guard('https://backend.example:9000', 'backend.example').refusalOf('127.0.0.1')).toMatch(/not a public address/);
  });
});
