import { describe, expect, test } from 'vitest';
import type { Facts } from '../../../src/admin/status/facts.ts';
import { verdictOf } from '../../../src/admin/status/verdict.ts';
import { makeError, makeFacts, makeHost, makePool, makeQueue, now } from './make-facts.ts';

const minute = 60_000;
const hour = 60 * minute;
const rates = { accepted: 10, settled: 0, dead: 0, attempts: 1, failed: 1 };
const failing = { consecutiveFailures: 4, failingSince: now - 8000, lastError: makeError('status 503', 1000, 20_000), rates };

describe('a service in which all is well', () => {
  test.each<[string, Partial<Facts>, string]>([
    ['delivers and nothing waits', {}, 'All well, 214/s, nothing waiting'],
    ['has deliveries on their way', { pools: [makePool({ oldestAt: now - 460, waiting: 3 })] }, 'All well, 214/s, oldest 0.4 s'],
    ['is idle', { flow: { ...makeFacts().flow, delivered: 0 } }, 'All well, 0/s, nothing waiting'],
    [
      'retries one of many',
      {
        pools: [
          makePool({
            handlers: [makeQueue({ consecutiveFailures: 1, lastError: makeError('status 503'), rates: { ...rates, attempts: 100 } })],
          }),
        ],
      },
      'All well, 214/s, nothing waiting',
    ],
    ['is connecting since a moment', { hosts: [makeHost({ state: 'connecting', since: now - 2000 })] }, 'All well, 214/s, nothing waiting'],
  ])('%s', (_, changes, headline) => {
    expect(verdictOf(makeFacts(changes))).toEqual({ level: 'well', headline, lines: [], more: 0 });
  });
});

test('an open breaker is one line with everything that an operator needs', () => {
  const push = makeQueue({ waiting: 12_300, lastError: makeError('connect ECONNREFUSED 10.0.0.7:443', 240_000) });
  const pool = makePool({
    breaker: 'open',
    breakerSince: now - 4 * minute,
    probeInMs: 18_400,
    waiting: 12_300,
    oldestAt: now - 4 * minute,
    handlers: [push],
  });
  const spool = { ...makeFacts().spool, fullInMs: 9.5 * hour };
  const { level, headline, lines } = verdictOf(makeFacts({ pools: [pool], spool }));
  const text =
    'http_pool: breaker open for 4 min, last error: connect ECONNREFUSED 10.0.0.7:443, 12\u{a0}300 waiting, oldest 4 min, disk lasts 9 h, next probe in 18 s';
  expect([level, headline]).toEqual(['critical', text]);
  expect(lines[0]).toMatchObject({
    what: 'http_pool: breaker open',
    action: 'probe',
    subject: { kind: 'pool', pool: 'http_pool' },
    loss: { text: 'disk lasts 9 h' },
  });
  expect(lines[1]).toMatchObject({ level: 'warning', what: 'the spool is full in 9 h' });
});

describe('a pool', () => {
  test.each<[string, Parameters<typeof makePool>[0], string, string]>([
    [
      'fails without an open breaker',
      { waiting: 40, oldestAt: now - 8000, handlers: [makeQueue({ ...failing, waiting: 40 })] },
      'critical',
      'push on http_pool: the last 4 attempts failed for 8 s, last error: status 503, 40 waiting, oldest 8 s, backlog full in 27 h, next attempt in 20 s',
    ],
    [
      'failed once at low traffic',
      { handlers: [makeQueue({ ...failing, consecutiveFailures: 1 })] },
      'critical',
      'push on http_pool: the last attempt failed for 8 s, last error: status 503',
    ],
    [
      'fails at times',
      { handlers: [makeQueue({ lastError: makeError('status 500'), rates: { ...rates, attempts: 100, failed: 12 } })] },
      'warning',
      'push on http_pool: 12 % of the attempts of the last minute failed, last error: status 500',
    ],
    [
      'was asked to wait',
      { handlers: [makeQueue({ pausedUntil: now + 42_000, lastError: makeError('status 429') })] },
      'warning',
      'push on http_pool: its backend asked to wait, last error: status 429, sends again in 42 s',
    ],
    [
      'is paused',
      { paused: true, pausedSince: now - hour * 2, waiting: 7, oldestAt: now - hour },
      'warning',
      'http_pool: paused for 2 h, 7 waiting, oldest 60 min, oldest is given up in 71 h, waits until it is resumed',
    ],
    [
      'has a paused handler',
      { handlers: [makeQueue({ paused: true, pausedSince: now - hour * 2, waiting: 7 })], waiting: 7 },
      'warning',
      'push on http_pool: paused for 2 h, 7 waiting, waits until it is resumed',
    ],
    [
      'has an empty paused handler',
      { handlers: [makeQueue({ paused: true })] },
      'notice',
      'push on http_pool: paused, waits until it is resumed',
    ],
    ['is paused and empty', { paused: true }, 'notice', 'http_pool: paused, waits until it is resumed'],
    [
      'probes',
      { breaker: 'half-open', breakerSince: now - minute * 3 },
      'critical',
      'http_pool: breaker probing for 3 min, a probe is being sent',
    ],
    [
      'recovers',
      { breaker: 'slow-start', breakerSince: now - 90_000 },
      'notice',
      'http_pool: recovering for 90 s, more requests with each success',
    ],
    [
      'is slower than its traffic',
      {
        waiting: 5000,
        oldestAt: now - 90_000,
        handlers: [makeQueue({ rates: { ...rates, accepted: 50, settled: 20, failed: 0, attempts: 20 } })],
      },
      'warning',
      'http_pool: slower than its traffic, 30/s more waiting, 5\u{a0}000 waiting, oldest 90 s, backlog full in 9 h',
    ],
    [
      'is at its max_backlog',
      { waiting: 1_000_000, oldestAt: now - hour, lastOverflowAt: now - 1000, overflow: 'hold-intake' },
      'critical',
      'http_pool: its backlog is full (max_backlog 1\u{a0}000\u{a0}000), 1\u{a0}000\u{a0}000 waiting, oldest 60 min, intake of all pools waits',
    ],
    [
      'has given up deliveries',
      { dead: 3, handlers: [makeQueue({ dead: 3, lastDeath: { at: now - 5000, reason: 'refused', error: null } })] },
      'warning',
      'push on http_pool: 3 dead letters, the last 5 s ago (refused)',
    ],
  ])('%s', (_, changes, level, headline) => {
    const verdict = verdictOf(makeFacts({ pools: [makePool(changes)] }));
    expect(verdict.lines.map((line) => [line.level, line.text])).toEqual([[level, headline]]);
  });

  test('whose callback failed shows its error', () => {
    const lastDeath = { at: now - 5000, reason: 'callback-failed', error: 'prepareBody: no key' };
    const { lines } = verdictOf(makeFacts({ pools: [makePool({ handlers: [makeQueue({ dead: 1, lastDeath })] })] }));
    expect(lines[0]?.text).toBe('push on http_pool: 1 dead letter, the last 5 s ago (callback-failed), last error: prepareBody: no key');
  });

  test('of which several handlers fail in the same way is one line', () => {
    const handlers = [
      makeQueue(failing),
      makeQueue({ ...failing, name: 'audit', failingSince: now - 12_000 }),
      makeQueue({ name: 'idle' }),
    ];
    const { lines } = verdictOf(makeFacts({ pools: [makePool({ handlers, waiting: 80, oldestAt: now - 12_000 })] }));
    expect(lines).toMatchObject([
      { what: 'http_pool: 2 handlers fail', since: now - 12_000, waiting: 80, action: 'send-test', subject: { handler: 'push' } },
    ]);
  });

  test('of which handlers fail in different ways has a line for each', () => {
    const other = makeQueue({ ...failing, name: 'audit', lastError: makeError('status 404') });
    const { lines } = verdictOf(makeFacts({ pools: [makePool({ handlers: [makeQueue(failing), other] })] }));
    expect(lines.map(({ subject }) => subject.handler)).toEqual(['push', 'audit']);
  });

  test('with dead letters of an hour ago is well', () => {
    const handlers = [makeQueue({ dead: 3, lastDeath: { at: now - hour, reason: 'refused', error: null } })];
    expect(verdictOf(makeFacts({ pools: [makePool({ handlers, dead: 3 })] })).level).toBe('well');
  });
});

describe('an attachment', () => {
  test.each<[string, Parameters<typeof makeHost>[0], string, string]>([
    [
      'that is offline',
      { state: 'offline', reason: 'connect ECONNREFUSED 127.0.0.1:5347', since: now - 30_000 },
      'critical',
      'chat: example.org not connected for 30 s, last error: connect ECONNREFUSED 127.0.0.1:5347, tries again by itself; the chat server keeps its events',
    ],
    [
      'that connects for too long',
      { state: 'connecting', since: now - 15_000 },
      'critical',
      'chat: example.org not connected for 15 s, tries again by itself; the chat server keeps its events',
    ],
    [
      'on standby',
      { state: 'standby', since: now - hour, node: 'xmpp://b:5347' },
      'notice',
      'chat at xmpp://b:5347: example.org on standby, another pusher is served for 60 min, takes over when the other pusher leaves',
    ],
    [
      'with a half full tap queue',
      { tap: { items: 40_000, bytes: 5e7, ratio: 0.61 } },
      'warning',
      'chat: the tap queue of example.org is 61 % full (40\u{a0}000 events), at 100 % the chat server drops events',
    ],
    [
      'with a full tap queue',
      { tap: { items: 65_000, bytes: 8e7, ratio: 1 } },
      'critical',
      'chat: the tap queue of example.org is 100 % full (65\u{a0}000 events), the chat server drops events now',
    ],
    [
      'whose chat server lost events',
      { lost: { at: now - minute * 5, missing: 12 } },
      'warning',
      'chat: the chat server lost 12 events of example.org 5 min ago',
    ],
  ])('%s', (_, changes, level, text) => {
    expect(verdictOf(makeFacts({ hosts: [makeHost(changes)] })).lines.map((line) => [line.level, line.text])).toEqual([[level, text]]);
  });

  test('with several hosts that have the same trouble is one line', () => {
    const hosts = ['a.example', 'b.example'].map((host) => makeHost({ host, state: 'offline', reason: 'closed' }));
    expect(verdictOf(makeFacts({ hosts })).lines.map(({ what }) => what)).toEqual(['chat: 2 hosts not connected']);
  });
});

test('a spool that refuses intake says why', () => {
  const spool = { ...makeFacts().spool, writable: false, reason: 'the file system has 12 MB left', refusesSince: now - 5000, fullInMs: 0 };
  const flow = { ...makeFacts().flow, tapFill: 0.2 };
  expect(verdictOf(makeFacts({ spool, flow })).headline).toBe(
    'intake is stopped for 5 s, last error: the file system has 12 MB left, chat servers keep their events until their queues are full (20 %)',
  );
});

test('at most five lines are shown, worst first, and the others are counted', () => {
  const pool = (name: string, waiting: number) => makePool({ name, breaker: 'open', probeInMs: 1000, waiting });
  const pools = [makePool({ paused: true }), pool('a', 1), pool('b', 5), pool('c', 3), pool('d', 4), pool('e', 2), pool('f', 6)];
  const { lines, more } = verdictOf(makeFacts({ pools }));
  expect(lines.map(({ subject }) => subject.pool)).toEqual(['f', 'b', 'd', 'c', 'e']);
  expect(more).toBe(2);
});

test('a notice alone leaves the headline well', () => {
  const verdict = verdictOf(makeFacts({ pools: [makePool({ paused: true })] }));
  expect([verdict.level, verdict.headline]).toEqual(['notice', 'All well, 214/s, nothing waiting']);
});

test('a refused reload, orphans and a shutdown are named', () => {
  const reload = { at: now - 5000, result: 'refused', reason: 'spool.path: changed' } as const;
  const { lines } = verdictOf(makeFacts({ reload, orphaned: 7, draining: true }));
  expect(lines.map(({ text }) => text)).toEqual([
    'deliveries of a handler that is not configured, 7 waiting',
    'the service is stopping, it ends after its requests in flight',
    'the last reload was refused: the previous configuration runs for 5 s, last error: spool.path: changed',
  ]);
});
