import { describe, expect, test } from 'vitest';
import { ADDRESS_REFUSED, createMetadataTest, PROXY_FAILED } from '../../pools/egress.ts';
import type { Resolve } from '../../src/kit/dial-tcp.ts';
import { TOKEN_UNAVAILABLE } from '../../src/model/attempt.ts';
import { startConnectProxy } from '../support/connect-proxy.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { hostileHosts } from '../support/hostile-hosts.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { oauthClient, startOAuthServer } from '../support/oauth-server.ts';
import { serveHere } from '../support/pool-thread.ts';
import { makeSelfSigned } from '../support/self-signed.ts';
import { startTarget } from '../support/target.ts';

const noProxy = { proxy: undefined, direct: [], allow: [] };
const metadataHosts = hostileHosts.filter(([what]) => /metadata|link-local|credentials of containers/.test(what));

describe('a pool never dials a metadata service:', () => {
  test('all forms of their addresses and names are in the table', () => {
    expect(metadataHosts.length).toBeGreaterThan(10);
  });

  test.each(metadataHosts)('%s (%s)', async (_what, host) => {
    await using thread = serveHere(makeThreadSettings({ origin: `http://${host}:1` }));
    const message = expect.stringContaining('a link-local address or a metadata service');
    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: ADDRESS_REFUSED, message });
  });

  test.each(['undici', 'got'] as const)('a name that changes its address, through %s (DNS rebinding)', async (client) => {
    await using target = await startTarget();
    await using dns = await startDnsServer('127.0.0.1');
    const settings = { client, origin: `http://rebinds.example:${target.port}`, maxConnectionAgeMs: 0 };
    await using thread = serveHere(makeThreadSettings(settings), undefined, dns.resolve);
    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
    dns.point('169.254.169.254');
    expect(await thread.deliver(makeJob({ key: 2 }))).toMatchObject({ kind: 'unreachable', code: ADDRESS_REFUSED });
    dns.point('127.0.0.1');
    expect(await thread.deliver(makeJob({ key: 3 }))).toMatchObject({ kind: 'answered', status: 200 });
  });

  test('one address of several is enough', async () => {
    await using target = await startTarget();
    const found = ['127.0.0.1', 'fd00:ec2::254'].map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const resolve: Resolve = (_name, _options, call) => call(null, found);
    await using thread = serveHere(makeThreadSettings({ origin: `http://mixed.example:${target.port}` }), undefined, resolve);
    expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'unreachable', code: ADDRESS_REFUSED });
    expect(target.counts.connections).toBe(0);
  });

  test('unless the address is allowed', () => {
    const refusalOf = createMetadataTest(['169.254.169.254', 'fe80::/10']);
    for (const host of ['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1%eth0', '10.0.0.1', '127.0.0.1', 'localhost', '::1']) {
      expect(refusalOf(host), host).toBeUndefined();
    }
    for (const host of ['169.254.170.2', 'fd00:ec2::254', '100.100.100.200']) expect(refusalOf(host), host).toContain(host);
  });
});

describe.each(['undici', 'got'] as const)('through a proxy and %s', (client) => {
  test('requests reach backends with and without TLS, whose names the proxy resolves', async () => {
    const identity = makeSelfSigned(['DNS:backend.example']);
    await using plain = await startTarget();
    await using secure = await startTarget({ tls: identity });
    await using proxy = await startConnectProxy();
    const egress = { ...noProxy, proxy: proxy.url.replace('http://', 'http://us%40er:p%20w@') };
    for (const [target, scheme] of [
      [plain, 'http'],
      [secure, 'https'],
    ] as const) {
      const origin = `${scheme}://backend.example:${target.port}`;
      await using thread = serveHere(makeThreadSettings({ client, origin, egress, tls: { ca: identity.cert } }));
      const outcomes = await thread.deliverAll([1, 2, 3].map((key) => makeJob({ key })));
      expect(outcomes.map(({ kind }) => kind)).toEqual(Array(3).fill('answered'));
      expect(target.requests).toHaveLength(3);
    }
    const credentials = `Basic ${Buffer.from('us@er:p w').toString('base64')}`;
    expect(new Set(proxy.asked)).toEqual(
      new Set([`backend.example:${plain.port} ${credentials}`, `backend.example:${secure.port} ${credentials}`]),
    );
    expect(plain.requests[0]?.header('proxy-authorization')).toBeUndefined();
  });

  test('no request reaches a metadata service, and none a backend that the proxy refuses', async () => {
    await using proxy = await startConnectProxy({ status: 403 });
    const outcomeFor = async (origin: string, url = proxy.url) => {
      await using thread = serveHere(makeThreadSettings({ client, origin, egress: { ...noProxy, proxy: url } }));
      return thread.deliver(makeJob());
    };
    for (const origin of ['http://169.254.169.254', 'http://[fd00:ec2::254]', 'http://metadata.google.internal']) {
      expect(await outcomeFor(origin)).toMatchObject({ code: ADDRESS_REFUSED });
    }
    expect(await outcomeFor('http://backend.example', 'http://169.254.169.254:3128')).toMatchObject({ code: ADDRESS_REFUSED });
    expect(proxy.asked).toEqual([]);
    const message = `the proxy at 127.0.0.1:${proxy.port} answered 403 to CONNECT backend.example:80`;
    expect(await outcomeFor('http://backend.example')).toMatchObject({ kind: 'unreachable', code: PROXY_FAILED, message });
  });
});

test.each([
  ['a proxy that cannot be reached', 'http://127.0.0.1:1', /^cannot connect to the proxy at 127\.0\.0\.1:1: /],
  ['a server that is no proxy', '', /^the proxy at .* did not answer: /],
])('%s fails the attempt, which is retried', async (_what, url, message) => {
  await using target = await startTarget({ script: () => ({ kind: 'garbage' }) });
  const egress = { ...noProxy, proxy: url || target.origin };
  await using thread = serveHere(makeThreadSettings({ origin: 'http://backend.example', egress }));
  expect(await thread.deliver(makeJob())).toMatchObject({
    kind: 'unreachable',
    code: PROXY_FAILED,
    message: expect.stringMatching(message),
  });
});

test('a proxy that is silent is given up after the time for the connection', async () => {
  await using target = await startTarget({ script: () => ({ kind: 'silent' }) });
  const egress = { ...noProxy, proxy: target.origin };
  await using thread = serveHere(makeThreadSettings({ origin: 'http://backend.example', egress, requestTimeoutMs: 300 }));
  expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'timed-out', phase: 'connect' });
});

test.each([
  ['127.0.0.0/8', true],
  ['127.0.0.1:PORT', true],
  ['127.0.0.1:1', false],
  ['*', true],
  ['example', false],
])('of a pool with the host 127.0.0.1 and no_proxy = "%s", requests go directly: %s', async (entry, isDirect) => {
  await using target = await startTarget();
  await using proxy = await startConnectProxy();
  const egress = { ...noProxy, proxy: proxy.url, direct: [entry.replace('PORT', String(target.port))] };
  await using thread = serveHere(makeThreadSettings({ origin: target.origin, egress }));
  expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered' });
  expect(proxy.asked).toHaveLength(isDirect ? 0 : 1);
});

test.each([
  ['example', true],
  ['backend.example', true],
  ['.example', true],
  ['*.example', true],
  ['kend.example', false],
])('of a pool with the host Backend.example and no_proxy = "%s", requests go directly: %s', async (entry, isDirect) => {
  await using target = await startTarget();
  await using proxy = await startConnectProxy();
  const resolve: Resolve = (_name, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]);
  const settings = { origin: `http://Backend.example:${target.port}`, egress: { ...noProxy, proxy: proxy.url, direct: [entry] } };
  await using thread = serveHere(makeThreadSettings(settings), undefined, resolve);
  expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered' });
  expect(proxy.asked).toHaveLength(isDirect ? 0 : 1);
});

test('ordered requests and requests for access tokens go through the proxy, too', async () => {
  await using server = await startOAuthServer();
  await using target = await startTarget();
  await using proxy = await startConnectProxy();
  const egress = { ...noProxy, proxy: proxy.url };
  await using orders = serveHere(makeThreadSettings({ name: 'follow_up', client: 'got', origin: '', egress }));
  const destination = { origin: `http://api.example:${target.port}`, allow: ['api.example'], ownOrigin: 'http://backend.example' };
  expect(await orders.deliver(makeJob({ destination }))).toMatchObject({ kind: 'answered', status: 200 });

  const tokens = { ...oauthClient, tokenUrl: server.tokenUrl, scope: undefined, audience: undefined };
  await using thread = serveHere(makeThreadSettings({ origin: `http://backend.example:${target.port}`, tokens, egress }));
  expect(await thread.deliver(makeJob())).toMatchObject({ kind: 'answered', status: 200 });
  const issuer = new URL(server.tokenUrl).host;
  expect(proxy.asked).toEqual([`api.example:${target.port}`, issuer, `backend.example:${target.port}`]);
});

test('an allowed metadata service may give access tokens', async () => {
  const tokens = { ...oauthClient, tokenUrl: 'http://169.254.169.254:1/token', scope: undefined, audience: undefined };
  const reasonWith = async (allow: readonly string[]) => {
    const settings = { origin: 'http://127.0.0.1:1', tokens, egress: { ...noProxy, allow }, requestTimeoutMs: 300 };
    await using thread = serveHere(makeThreadSettings(settings));
    return thread.deliver(makeJob());
  };
  expect(await reasonWith([])).toMatchObject({ code: TOKEN_UNAVAILABLE, message: expect.stringContaining('no request may be ordered to') });
  expect(await reasonWith(['169.254.169.254'])).not.toMatchObject({ message: expect.stringContaining('no request may be ordered to') });
});
