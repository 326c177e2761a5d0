import { describe, expect, test } from 'vitest';
import { guardDestination } from '../../pools/destination.ts';

const ownOrigin = 'https://backend.example:8443';
const guard = (origin: string, ...allow: readonly string[]) => guardDestination({ origin, allow, ownOrigin });

/** What a backend may write for a host that is this machine, the network behind it, or a cloud's metadata. */
const hostile: readonly (readonly [what: string, host: string])[] = [
  ['loopback', '127.0.0.1'],
  ['loopback, far in', '127.255.255.254'],
  ['decimal', '2130706433'],
  ['hexadecimal', '0x7f000001'],
  ['hexadecimal, dotted', '0x7f.0x0.0x0.0x1'],
  ['octal', '0177.0.0.1'],
  ['octal, one number', '017700000001'],
  ['short', '127.1'],
  ['shorter', '127.0.1'],
  ['nothing', '0'],
  ['unspecified', '0.0.0.0'],
  ['with a dot behind', '127.0.0.1.'],
  ['full-width digits', '１２７.０.０.１'],
  ['circled digits', '①②⑦.⓪.⓪.①'],
  ['an ideographic full stop', '127。0。0。1'],
  ['percent-encoded', '%31%32%37.0.0.1'],
  ['IPv6 loopback', '[::1]'],
  ['IPv6 loopback, long', '[0:0:0:0:0:0:0:1]'],
  ['IPv6 unspecified', '[::]'],
  ['IPv4-mapped', '[::ffff:127.0.0.1]'],
  ['IPv4-mapped, hexadecimal', '[::ffff:7f00:1]'],
  ['IPv4-compatible', '[::127.0.0.1]'],
  ['NAT64', '[64:ff9b::127.0.0.1]'],
  ['NAT64, local', '[64:ff9b:1::10.0.0.1]'],
  ['6to4', '[2002:7f00:1::]'],
  ['Teredo', '[2001:0:53aa:64c:0:0:80ff:fffe]'],
  ['private', '10.0.0.1'],
  ['private', '172.31.255.255'],
  ['private', '192.168.1.1'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['unique local', '[fd00::1]'],
  ['link-local', '[fe80::1]'],
  ['metadata of most clouds', '169.254.169.254'],
  ['metadata, decimal', '2852039166'],
  ['metadata, hexadecimal', '0xa9fea9fe'],
  ['metadata, mapped', '[::ffff:169.254.169.254]'],
  ['metadata, NAT64', '[64:ff9b::a9fe:a9fe]'],
  ['metadata of AWS, IPv6', '[fd00:ec2::254]'],
  ['metadata of Alibaba', '100.100.100.200'],
  ['metadata of Azure', '168.63.129.16'],
  ['metadata of Oracle', '192.0.0.192'],
  ['credentials of containers', '169.254.170.2'],
  ['multicast', '224.0.0.1'],
  ['broadcast', '255.255.255.255'],
  ['the name of this machine', 'localhost'],
  ['the name of this machine, upper case and a dot', 'LOCALHOST.'],
  ['a name that ends like one of ours', 'evilexample.com'],
  ['a name that begins like one of ours', 'api.example.com.evil.test'],
  ['the suffix itself', 'example.com'],
  ['the metadata name of Google', 'metadata.google.internal'],
];

describe('a destination that nobody allowed', () => {
  test.each(hostile)('%s (%s) is refused', (_what, host) => {
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
