import { expect, test } from 'vitest';
import { createNetworkTest, embeddedIpv4, parseNetwork, plainAddress } from '../../src/kit/network.ts';

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
])('reads the network %s', (text, expected) => {
  expect(parseNetwork(text)).toEqual(expected);
});

test('knows what is in a network, mapped IPv4 included', () => {
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
])('%s is plainly %s', (address, expected) => {
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
])('in %s is %s', (address, expected) => {
  expect(embeddedIpv4(address)).toBe(expected);
});
