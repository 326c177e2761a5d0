import { describe, expect, test } from 'vitest';
import { requestHeaders, unsendable } from '../../pools/http-client.ts';
import type { HeaderPair } from '../../src/model/delivery.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { serveHere } from '../support/pool-thread.ts';
import { startTarget } from '../support/target.ts';

const about = { userAgent: 'xmpp-event-pusher/1.2.3', now: 1_700_000_000_999 };

test('every request has the id of its delivery, the attempt, the time of the stanza and the time of sending', () => {
  const job = makeJob({ attempt: 3, headers: [], seenAt: '2026-11-22T03:44:00.123Z' });

  expect(requestHeaders(job, about)).toEqual([
    ...['webhook-id', job.id],
    ...['webhook-timestamp', '1700000000'],
    ...['event-pusher-time', '2026-11-22T03:44:00.123Z'],
    ...['event-pusher-attempt', '3'],
    ...['user-agent', 'xmpp-event-pusher/1.2.3'],
  ]);
});

test('the headers of the handler come first, in their order and case', () => {
  const headers: HeaderPair[] = [
    ['X-B', '2'],
    ['x-a', '1'],
    ['X-B', '3'],
  ];

  expect(requestHeaders(makeJob({ headers }), about).slice(0, 6)).toEqual(['X-B', '2', 'x-a', '1', 'X-B', '3']);
});

test.each([
  'Connection',
  'Content-Length',
  'Event-Pusher-Attempt',
  'Event-Pusher-Time',
  'Expect',
  'Host',
  'Keep-Alive',
  'Proxy-Connection',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
  'User-Agent',
  'Webhook-Id',
  'Webhook-Timestamp',
])('the header %s of a handler is left out', (name) => {
  expect(requestHeaders(makeJob({ headers: [[name, 'of the handler']] }), about)).not.toContain('of the handler');
});

describe('is never sent:', () => {
  test.each<readonly [string, HeaderPair]>([
    ['a line break in a value', ['x-a', '1\r\nx-smuggled: 2']],
    ['a bare line feed in a value', ['x-a', '1\nx-smuggled: 2']],
    ['a NUL in a value', ['x-a', '\0']],
    ['a character beyond Latin-1 in a value', ['x-a', '🎉']],
    ['a line break in a name', ['x-a: 1\r\nx-smuggled', '2']],
    ['a colon in a name', ['x:a', '1']],
    ['an empty name', ['', '1']],
  ])('%s', (_what, header) => {
    expect(unsendable(makeJob({ headers: [header] }))).toMatchObject({ code: 'ERR_INVALID_HEADER' });
  });

  test.each(['', 'notifications', '/a b', '/a\r\nx-smuggled: 1', '/ä', 'http://elsewhere/'])('the path %j', (path) => {
    expect(unsendable(makeJob({ path }))).toMatchObject({ code: 'ERR_UNESCAPED_CHARACTERS' });
  });

  test.each(['', 'PO ST', 'POST /smuggled HTTP/1.1\r\n'])('the method %j', (method) => {
    expect(unsendable(makeJob({ method }))).toMatchObject({ code: 'ERR_INVALID_HTTP_TOKEN' });
  });

  test.each(['undici', 'got'] as const)('a header with a line break, through %s, and its worker is free again', async (client) => {
    await using target = await startTarget();
    await using thread = serveHere(makeThreadSettings({ client, origin: target.origin, workers: 1 }));

    const outcome = await thread.deliver(makeJob({ key: 1, headers: [['x-a', '1\r\nx-smuggled: 2']] }));
    await thread.deliver(makeJob({ key: 2, path: '/next' }));

    expect(outcome).toMatchObject({ kind: 'unsent', code: 'ERR_INVALID_HEADER', message: expect.stringContaining('"x-a"') });
    expect(target.requests.map(({ path }) => path)).toEqual(['/next']);
  });
});

test('tabs and Latin-1 are sent', () => {
  expect(unsendable(makeJob({ headers: [['x-a', 'a\tÄ~']] }))).toBeUndefined();
});

test('any number of waiting requests that cannot be sent end behind one that is answered', async () => {
  await using target = await startTarget();
  await using thread = serveHere(makeThreadSettings({ origin: target.origin, workers: 1 }));
  const unsendableJobs = Array.from({ length: 20_000 }, (_, key) => makeJob({ key: key + 1, headers: [['a b', '']] }));

  const outcomes = await thread.deliverAll([makeJob({ key: 0 }), ...unsendableJobs]);

  expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['answered', 'unsent']));
});
