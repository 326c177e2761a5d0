import { expect, test } from 'vitest';
import { isKnownHost, isLoopback } from '../../src/admin/access.ts';

test.each([
  'localhost',
  'LOCALHOST:9464',
  'localhost.',
  'pusher.localhost:1',
  '127.0.0.1',
  '127.0.0.1:9464',
  '10.1.2.3:9464',
  '[::1]',
  '[::1]:9464',
  '[2001:db8::7]:80',
  'Monitor.Example:9464',
])('%s is known', (header) => {
  expect(isKnownHost(header, 'monitor.example')).toBe(true);
});

test.each([
  undefined,
  '',
  'evil.example',
  'localhost.evil.example',
  'evillocalhost',
  '127.0.0.1.evil.example',
  'evil@localhost',
  'localhost/evil',
  '[evil]:80',
  '::1',
  'localhost:port',
  'localhost evil.example',
])('%s is not known', (header) => {
  expect(isKnownHost(header, '127.0.0.1')).toBe(false);
});

test('loopback is this machine only', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) expect(isLoopback(host), host).toBe(true);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.evil.example', 'pusher.example']) expect(isLoopback(host), host).toBe(false);
});
