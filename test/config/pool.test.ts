import fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectiveUrl, joinPath } from '../../src/config/pool.ts';
import { load, pool } from './write-config.ts';

test.each([
  ['/', '', '/'],
  ['/', 'notifications', '/notifications'],
  ['/', '/notifications', '/notifications'],
  ['/webservice/', '/notifications', '/webservice/notifications'],
  ['/webservice', '/notifications', '/webservice/notifications'],
  ['/webservice', 'notifications', '/webservice/notifications'],
  ['/webservice', '', '/webservice'],
  ['/webservice/', '', '/webservice/'],
  ['/webservice', '/', '/webservice/'],
  ['api', 'x', '/api/x'],
  ['api', '', '/api'],
  ['/', '/hook?key=1', '/hook?key=1'],
  ['//api//', '//x', '/api/x'],
])('prefix "%s" and path "%s" make "%s"', (prefix, path, joined) => {
  expect(joinPath(prefix, path)).toBe(joined);
});

test('prefix and path are joined with exactly one slash', () => {
  const slashes = fc.stringMatching(/^\/{0,3}$/);
  fc.assert(
    fc.property(slashes, slashes, (after, before) => {
      expect(joinPath(`/prefix${after}`, `${before}path`)).toBe('/prefix/path');
    }),
  );
});

test('the effective URL keeps the scheme of the host', () => {
  expect(effectiveUrl({ origin: 'https://localhost:8000' }, { requestPath: '/webservice/notifications' })).toBe(
    'https://localhost:8000/webservice/notifications',
  );
});

test('an empty path_prefix means the root', async () => {
  const { pools, handlers } = await load(
    `[general]\nhosts = ["localhost"]\n${pool}path_prefix = ""\n[modules.mod_event_pusher.backend.http]\nname = "push"\npath = "x"`,
  );
  expect(pools[0]?.pathPrefix).toBe('/');
  expect(handlers[0]?.requestPath).toBe('/x');
});
