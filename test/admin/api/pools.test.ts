import { expect, test } from 'vitest';
import type { AttemptSummary } from '../../../src/telemetry/recent.ts';
import { acceptedAt } from '../../spool/build.ts';
import { makePoolView, noAttempts } from '../../support/scripted-operations.ts';
import { startApi } from './ask-api.ts';

const untried = { consecutiveFailures: 0, lastError: null, recentAttempts: 0, successRate: null };

test('pools are listed with their pending deliveries and the state of their backends', async () => {
  const { get } = await startApi();
  expect(await get('/pools')).toEqual({
    status: 200,
    body: [
      {
        ...{ name: 'pool', origin: 'http://127.0.0.1:8000', workers: 10, inFlight: 3, waiting: 12, dead: 1, paused: false },
        ...{ oldestAt: new Date(acceptedAt).toISOString(), spoolFullInSeconds: null, breaker: 'closed', ...untried },
        handlers: [
          {
            ...{ name: 'push', waiting: 12, dead: 1, paused: false, breaker: 'open', ...untried },
            pausedUntil: new Date(acceptedAt + 1000).toISOString(),
          },
        ],
      },
    ],
  });
});

test('a pool combines its handlers: the most consecutive failures, the newest error, and one success rate', async () => {
  const { get, operations } = await startApi({ token: 'sesame' });
  const queue = (name: string, recent: AttemptSummary) =>
    ({ name, recent, waiting: 0, dead: 0, paused: false, breaker: 'closed', probeInMs: null, pausedUntil: null }) as const;
  const error = (at: number, reason: string, mayQuote = false) => ({ at: acceptedAt + at, reason, mayQuote });
  operations.pools = () => [
    makePoolView({
      handlers: [
        queue('one', { consecutiveFailures: 3, lastError: error(1, 'status 503'), attempts: 4, accepted: 1 }),
        queue('other', { consecutiveFailures: 0, lastError: error(2, 'no key for Hi, Bob!', true), attempts: 1, accepted: 1 }),
        queue('idle', noAttempts),
      ],
    }),
  ];
  const [pool] = (await get('/pools')).body;
  expect(pool).toMatchObject({ consecutiveFailures: 3, lastError: { at: at(2), reason: '[hidden]' }, recentAttempts: 5, successRate: 0.4 });
  expect(pool.handlers).toMatchObject([
    { name: 'one', consecutiveFailures: 3, lastError: { at: at(1), reason: 'status 503' }, recentAttempts: 4, successRate: 0.25 },
    { name: 'other', consecutiveFailures: 0, lastError: { reason: '[hidden]' }, successRate: 1 },
    { name: 'idle', ...untried },
  ]);
  const [seen] = (await get('/pools', { authorization: 'Bearer sesame' })).body;
  expect(seen.lastError.reason).toBe('no key for Hi, Bob!');
});

const at = (afterMs: number): string => new Date(acceptedAt + afterMs).toISOString();

test('a pool is paused and resumed, and the log names the caller', async () => {
  const { post, operations, notices } = await startApi();
  expect(await post('/pools/pool/pause')).toEqual({ status: 200, body: { pool: 'pool', paused: true } });
  expect([...operations.paused]).toEqual(['pool']);
  expect(await post('/pools/pool/resume', {})).toEqual({ status: 200, body: { pool: 'pool', paused: false } });
  expect([...operations.paused]).toEqual([]);
  expect(notices).toEqual(['admin API, asked from 127.0.0.1: paused pool pool', 'admin API, asked from 127.0.0.1: resumed pool pool']);
});

test('a handler of a pool is paused and resumed, and the log names the caller', async () => {
  const { get, post, operations, notices } = await startApi();
  const answer = { pool: 'pool', handler: 'push' };
  expect(await post('/pools/pool/handlers/push/pause')).toEqual({ status: 200, body: { ...answer, paused: true } });
  expect((await get('/pools')).body).toMatchObject([{ paused: false, handlers: [{ name: 'push', paused: true }] }]);
  expect((await get('/status')).body.pools).toMatchObject([
    { paused: false, handlers: [{ name: 'push', paused: true, pausedSince: null }] },
  ]);
  expect(await post('/pools/pool/handlers/push/pause')).toMatchObject({ status: 200 });
  expect(await post('/pools/pool/handlers/push/resume')).toEqual({ status: 200, body: { ...answer, paused: false } });
  expect(operations.paused.size).toBe(0);
  const by = 'admin API, asked from 127.0.0.1:';
  expect(notices.slice(-2)).toEqual([`${by} paused handler push on pool pool`, `${by} resumed handler push on pool pool`]);
});

test('a handler that does not use the pool is refused with the names that are known', async () => {
  const { post, operations, notices } = await startApi();
  operations.pools = () => [makePoolView(), makePoolView({ name: 'other', handlers: [] })];
  const refused = async (path: string) => {
    const { status, body } = await post(path);
    return [status, body.code, body.message];
  };
  expect(await refused('/pools/gone/handlers/push/pause')).toEqual([
    404,
    'UNKNOWN_POOL',
    'there is no pool "gone"; there are: pool, other',
  ]);
  expect(await refused('/pools/pool/handlers/pusch/pause')).toEqual([
    404,
    'UNKNOWN_HANDLER',
    'there is no handler "pusch"; there are: push; did you mean "push"?',
  ]);
  expect(await refused('/pools/other/handlers/push/resume')).toEqual([
    404,
    'UNKNOWN_HANDLER',
    'handler "push" does not use pool "other"; it uses "pool"',
  ]);
  expect(notices).toEqual([]);
});

test('an unknown pool is refused with the known ones', async () => {
  const { post, notices } = await startApi();
  const { status, body } = await post('/pools/p%C3%B6%2Fl%20/pause');
  expect([status, body]).toEqual([404, { code: 'UNKNOWN_POOL', message: 'there is no pool "pö/l "; there are: pool' }]);
  expect(notices).toEqual([]);
});

test('a name in the path is refused in the body', async () => {
  const { post, operations } = await startApi();
  const { status, body } = await post('/pools/other/pause', { pool: 'pool' });
  expect([status, body.message]).toEqual([400, '"pool" is already in the path']);
  expect(operations.paused.size).toBe(0);
});

test('orphans are listed, and moved to a configured queue', async () => {
  const { get, post, notices } = await startApi();
  const orphan = { pool: 'pool', handler: 'gone' };
  expect((await get('/orphans')).body).toEqual([{ ...orphan, waiting: 7 }]);
  expect(await post('/orphans/move', { from: orphan, to: { pool: 'pool', handler: 'push' } })).toEqual({ status: 200, body: { count: 7 } });
  expect((await get('/orphans')).body).toEqual([]);
  expect(notices).toEqual([
    'admin API, asked from 127.0.0.1: moved 7 deliveries from handler "gone" on pool "pool" to handler "push" on pool "pool"',
  ]);
});

test('only orphans are purged', async () => {
  const { get, post } = await startApi();
  const served = { pool: 'pool', handler: 'push' };
  for (const [path, asked] of [
    ['/orphans/purge', served],
    ['/orphans/move', { from: served, to: served }],
    ['/orphans/move', { from: { pool: 'pool', handler: 'gone' }, to: { pool: 'pool', handler: 'nobody' } }],
  ] as const) {
    const { status, body } = await post(path, asked);
    expect([status, body.code], path).toEqual([404, 'UNKNOWN_QUEUE']);
  }
  expect((await get('/orphans')).body).toHaveLength(1);
  expect((await post('/orphans/purge', { pool: 'pool', handler: 'gone' })).body).toEqual({ count: 7 });
  expect((await get('/orphans')).body).toEqual([]);
});

test.each([
  [{ from: { pool: 'pool' }, to: { pool: 'pool', handler: 'push' } }, 'from.handler: received nothing'],
  [{ from: { pool: 'pool', handler: 'gone' }, too: {} }, 'did you mean "to"?'],
  [{ from: 'gone', to: 'push' }, 'from: received "gone", expected a table with "pool" and "handler"'],
])('a move from %j is refused', async (asked, wanted) => {
  const { post } = await startApi();
  const { status, body } = await post('/orphans/move', asked);
  expect(status).toBe(400);
  expect(body.message).toContain(wanted);
});

test('a test reports its outcome', async () => {
  const { post, operations, notices } = await startApi();
  const outcome = { kind: 'answered', status: 204, durationMs: 12, retryAfter: null, excerpt: '', truncated: false };
  const told = { id: 'test-1', method: 'POST', url: 'http://127.0.0.1:8000/notifications', accepted: true, reason: '' };
  expect((await post('/send-test', { handler: 'push' })).body).toEqual({ ...told, outcome });
  expect(notices).toEqual(['admin API, asked from 127.0.0.1: sent a test through handler push']);

  operations.report = { ...operations.report, accepted: false, outcome: { kind: 'timed-out', phase: 'connect', durationMs: 2000 } };
  expect((await post('/send-test', { handler: 'push' })).body).toMatchObject({ accepted: false, outcome: { phase: 'connect' } });
  expect((await post('/send-test', { handler: 'nobody' })).body.code).toBe('UNKNOWN_HANDLER');
});
