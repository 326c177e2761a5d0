import { expect, test } from 'vitest';
import { locateConfig, readEnvironment } from '../../src/config/environment.ts';

test('the option takes precedence over the environment, and the environment over the default name', () => {
  const env = { EVENT_PUSHER_CONFIG: '/etc/pusher.toml' };
  expect(locateConfig('mine.toml', env)).toBe('mine.toml');
  expect(locateConfig(undefined, env)).toBe('/etc/pusher.toml');
  expect(locateConfig(undefined, {})).toBe('event-pusher.toml');
});

test('an empty variable counts as unset', () => {
  expect(locateConfig(undefined, { EVENT_PUSHER_CONFIG: '' })).toBe('event-pusher.toml');
});

test('the environment is the environment of the process', () => {
  expect(readEnvironment()['PATH']).toBe(process.env['PATH']);
});
