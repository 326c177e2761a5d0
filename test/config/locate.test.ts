import { expect, test } from 'vitest';
import { readEnvironment } from '../../src/config/environment.ts';
import { locateConfig } from '../../src/config/locate.ts';

test('the option stands above the environment, which stands above the default name', () => {
  const env = { EVENT_PUSHER_CONFIG: '/etc/pusher.toml' };
  expect(locateConfig('mine.toml', env)).toBe('mine.toml');
  expect(locateConfig(undefined, env)).toBe('/etc/pusher.toml');
  expect(locateConfig(undefined, {})).toBe('event-pusher.toml');
});

test('an empty variable counts as none', () => {
  expect(locateConfig(undefined, { EVENT_PUSHER_CONFIG: '' })).toBe('event-pusher.toml');
});

test('the environment is that of the process', () => {
  expect(readEnvironment()['PATH']).toBe(process.env['PATH']);
});
