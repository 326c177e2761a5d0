import { expect, test } from 'vitest';
import { parseHostRule } from '../../src/kit/network.ts';

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
])('reads %s', (text, expected) => {
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
])('refuses %j', (text) => {
  expect(parseHostRule(text)).toBeUndefined();
});
