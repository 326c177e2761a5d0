import { expect, test } from 'vitest';
import { loggable } from '../../src/kit/errors.ts';

const thrownAt = (place: string) =>
  Object.assign(new TypeError('no key for Hi, Bob!'), { stack: `TypeError: no key for Hi, Bob!\n    at ${place}` });

test('an error that went through a module of a user is logged by its name and place', () => {
  const error = thrownAt('prepareBody (file:///etc/pusher/own.mjs:3:7)');
  expect(loggable(error, 'message')).toBe('TypeError at file:///etc/pusher/own.mjs:3:7');
  expect(loggable(error, 'stack')).toBe('TypeError at file:///etc/pusher/own.mjs:3:7');
});

test('an error of the service, a dependency or Node is logged with its words', () => {
  for (const place of [
    'node:internal/x:1:2',
    `x (${new URL('../../src/service.ts', import.meta.url)}:1:2)`,
    'file:///a/node_modules/b.js:1:2',
  ]) {
    expect(loggable(thrownAt(place), 'message')).toBe('no key for Hi, Bob!');
    expect(loggable(thrownAt(place), 'stack')).toContain('no key for Hi, Bob!\n    at');
  }
});

test('a module that cannot be imported is told with its problem', () => {
  expect(
    loggable(new Error('cannot import file:///etc/pusher/own.mjs: no such export (file:///etc/pusher/own.mjs:3)'), 'message'),
  ).toContain('no such export');
});
