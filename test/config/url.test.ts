import fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectiveUrl, joinPath } from '../../src/config/url.ts';

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

test('there is exactly one slash at the seam, however many were written', () => {
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
