import { describe, expect, test } from 'vitest';
import { guardDestination } from '../../pools/destination.ts';
import { hostileHosts } from '../support/hostile-hosts.ts';

const ownOrigin = 'https://backend.example:8443';
const guard = (origin: string, ...allow: readonly string[]) => guardDestination({ origin, allow, ownOrigin });

describe('a destination that nobody allowed', () => {
  test.each(hostileHosts)('%s (%s) is refused', (_what, host) => {
    expect(guard(`http://${host}:80`, '*.example.com', 'api.partner.example').refusal).toEqual(expect.any(String));
  });

  test.each([
    ['another port', 'http://api.partner.example:8080', 'api.partner.example:80'],
    ['the default port of TLS', 'https://api.partner.example', 'api.partner.example:80'],
    ['another port of an address', 'http://203.0.113.7:81', '203.0.113.7:80'],
    ['an address beside the network', 'http://10.1.0.1', '10.0.0.0/16'],
  ])('%s is refused', (_what, origin, allow) => {
    expect(guard(origin, allow).refusal).toMatch(/^allow does not list /);
  });
});

describe('what no list allows', () => {
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

describe('a name that is allowed', () => {
  const { refusal, refusalOf } = guard('http://api.example.com', '*.example.com', '10.1.0.0/16', '10.2.0.0/16:8080', 'fd01::/16');

  test('may be looked up', () => {
    expect(refusal).toBeUndefined();
  });

  test.each(['93.184.216.34', '2606:4700::1111', '64:ff9b::5db8:d822', '10.1.2.3', '::ffff:10.1.2.3', 'fd01::1'])(
    'may be at %s',
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
  )('may not be at %s: a name can be pointed anywhere', (address) => {
    expect(refusalOf(address)).toMatch(/is no public address, and allow has no address or CIDR that covers it$/);
  });
});

describe('what an operator allowed', () => {
  test.each([
    ['http://api.partner.example', 'api.partner.example'],
    ['http://API.partner.example.', 'api.partner.example'],
    ['https://api.partner.example', 'api.partner.example:443'],
    ['http://a.b.example.com:8080', '*.example.com'],
    ['http://10.0.0.172:5984', '10.0.0.172:5984'],
    ['http://10.0.0.172:5984', '10.0.0.0/8'],
    ['http://[::1]:8000', '[::1]:8000'],
    ['http://[::ffff:10.0.0.172]', '10.0.0.172'],
  ])('%s by %s', (origin, allow) => {
    expect(guard(origin, allow).refusal).toBeUndefined();
  });

  test("the handler's own backend, wherever its name points", () => {
    const { refusal, refusalOf } = guard(ownOrigin, 'backend.example:8443');
    expect([refusal, refusalOf('127.0.0.1'), refusalOf('10.0.0.1')]).toEqual([undefined, undefined, undefined]);
    expect(guard('https://backend.example:9000', 'backend.example').refusalOf('127.0.0.1')).toMatch(/no public address/);
  });
});
