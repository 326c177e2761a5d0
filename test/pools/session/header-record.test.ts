import { expect, test } from 'vitest';
import { headerRecord } from '../../../pools/session/header-record.ts';
import { makeMessageJob, serveSessions } from '../../support/session-rig.ts';
import { startTarget } from '../../support/target.ts';

test('names are one whatever their case, and the one set last counts', () => {
  const headers = headerRecord([['Content-Type', 'a/b']]);
  expect(headers['CONTENT-TYPE']).toBe('a/b');

  headers['content-Type'] = 'c/d';
  Object.assign(headers, { 'X-A': '1', 'x-a': '2' });

  expect({ ...headers }).toEqual({ 'content-type': 'c/d', 'x-a': '2' });
  expect('X-a' in headers).toBe(true);
  expect(delete headers['X-A']).toBe(true);
  expect(Object.keys(headers)).toEqual(['content-type']);
});

test('values of a repeated name are joined', () => {
  const headers = headerRecord([
    ['X-A', '1'],
    ['x-a', '2'],
  ]);
  expect(headers['x-a']).toBe('1, 2');
});

test('knows no names but its own', () => {
  const headers = headerRecord([['__proto__', 'harmless']]);
  expect([headers['constructor'], 'toString' in headers]).toEqual([undefined, false]);
  expect(Object.entries(headers)).toEqual([['__proto__', 'harmless']]);
});

test('also of headers put in their place the last of a name is sent, numbers as text', async () => {
  await using target = await startTarget();
  await using thread = serveSessions(
    {
      buildRequest: ({ request }) => {
        Object.assign(request, { headers: { 'X-A': '1', 'x-a': '2', 'X-B': 3 } });
        return undefined;
      },
    },
    { origin: target.origin },
  );

  await thread.deliver(makeMessageJob());

  const own = target.requests[0]?.headers.filter(([name]) => /^x-|content-type/i.test(name));
  expect(own).toEqual([
    ['x-a', '2'],
    ['X-B', '3'],
  ]);
});
