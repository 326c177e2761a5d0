import { expect, test } from 'vitest';
import { createNetworkTest, embeddedIpv4, parseHostRule, parseNetwork, plainAddress } from '../../src/kit/network.ts';

test.each([
  ['10.0.0.1', { address: '10.0.0.1', prefix: 32 }],
  ['10.0.0.0/8', { address: '10.0.0.0', prefix: 8 }],
  ['::1', { address: '::1', prefix: 128 }],
  ['fd00::/8', { address: 'fd00::', prefix: 8 }],
  ['10.0.0.0/33', undefined],
  ['::/129', undefined],
  ['10.1', undefined],
  ['0x7f.0.0.1', undefined],
  ['fe80::1%eth0', undefined],
  ['localhost', undefined],
])('parses the network %s', (text, expected) => {
  expect(parseNetwork(text)).toEqual(expected);
});

test('recognises addresses in a network, including IPv4-mapped ones', () => {
  const isListed = createNetworkTest([
    { address: '10.0.0.0', prefix: 8 },
    { address: 'fd00::', prefix: 8 },
  ]);
  const addresses = ['10.255.0.1', '11.0.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', 'fd12::1', 'fe00::1'];
  expect(addresses.map(isListed)).toEqual([true, false, true, true, true, false]);
});

test.each([
  ['::ffff:7f00:1', '127.0.0.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['::127.0.0.1', '::127.0.0.1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['127.0.0.1', '127.0.0.1'],
])('the plain address of %s is %s', (address, expected) => {
  expect(plainAddress(address)).toBe(expected);
});

test.each([
  ['64:ff9b::127.0.0.1', '127.0.0.1'],
  ['64:ff9b:1::7f00:1', '127.0.0.1'],
  ['2002:7f00:1::', '127.0.0.1'],
  ['2001:0:53aa:64c:0:0:80ff:fffe', '127.0.0.1'],
  ['2001:db8::5efe:127.0.0.1', '127.0.0.1'],
  ['2001:db8::200:5efe:127.0.0.1', '127.0.0.1'],
  ['::127.0.0.1', '127.0.0.1'],
  ['::1', undefined],
  ['::', undefined],
  ['2606:4700::1111', undefined],
  ['127.0.0.1', undefined],
])('the IPv4 address embedded in %s is %s', (address, expected) => {
  expect(embeddedIpv4(address)).toBe(expected);
});

const network = (address: string, prefix: number, port?: number) => ({ kind: 'network', network: { address, prefix }, port });

test.each([
  ['api.example', { kind: 'host', host: 'api.example', port: undefined }],
  ['API.example:8080', { kind: 'host', host: 'api.example', port: 8080 }],
  ['*.example:443', { kind: 'suffix', suffix: '.example', port: 443 }],
  ['10.0.0.172', network('10.0.0.172', 32)],
  ['10.0.0.172:5984', network('10.0.0.172', 32, 5984)],
  ['10.0.0.0/8', network('10.0.0.0', 8)],
  ['10.0.0.0/8:80', network('10.0.0.0', 8, 80)],
  ['::1', network('::1', 128)],
  ['fd00::/8', network('fd00::', 8)],
  ['[::1]', network('::1', 128)],
  ['[::1]:8000', network('::1', 128, 8000)],
  ['[fd00::/8]:443', network('fd00::', 8, 443)],
])('parses the host rule %s', (text, expected) => {
  expect(parseHostRule(text)).toEqual(expected);
});

test.each([
  ...[
    '',
    '*',
    '*.',
    '**.example',
    'a.*.example',
    'https://api.example',
    'api.example/path',
    'api.example:0',
    'api.example:99999',
    'api.example:',
  ],
  ...[
    'user@api.example',
    'a b',
    'ärger.example',
    '2130706433',
    '127.1',
    '0x7f.0.0.1',
    'host.0x7f',
    '10.0.0.0/33',
    '[api.example]',
    '[10.0.0.1]',
  ],
  ...['[::1', '::1]:80', 'a..b', '-a.example', '.example'],
])('refuses %j as a host rule', (text) => {
  expect(parseHostRule(text)).toBeUndefined();
});
