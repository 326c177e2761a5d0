import { describe, expect, test } from 'vitest';
import { LOCAL_SHORTAGE } from '../../src/kit/dial-tcp.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { Judgement, Outcome } from '../../src/model/attempt.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { EventStore } from '../../src/spool/event-store.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { idOf, makeDelivery, makeEntry } from '../spool/build.ts';
import { answered, type DeliveryRig, startDeliveryRig } from '../support/delivery-rig.ts';
import { appendTo, claimFrom } from '../support/spool-promises.ts';

const circuitBreaker = { failureRatio: 0.5, minAttempts: 4, windowMs: 30_000, openMs: 10_000, maxOpenMs: 60_000 };
const refused: Outcome = { kind: 'unreachable', code: 'ECONNREFUSED', message: 'refused', durationMs: 1 };

const numbered = (count: number, rest: Parameters<typeof makeDelivery>[0] = {}): NewDelivery[] =>
  Array.from({ length: count }, (_nothing, index) => makeDelivery({ ...rest, id: `${rest.handler ?? 'd'}${index + 1}` }));

describe('a circuit breaker', () => {
  test('stops an unreachable pool without spending attempts', async () => {
    const rig = await startDeliveryRig({ workers: 2, pool: { circuitBreaker }, policy: { scheduleMs: [60_000] } });
    await rig.accept(...numbered(6));
    for (const id of ['d1', 'd2', 'd3', 'd4']) await rig.answer(id, refused);
    await rig.answer('d5', refused);
    await rig.answer('d6', refused);
    await rig.accept(...numbered(3, { handler: 'push' }));
    expect(rig.open()).toEqual([]);
    await rig.pass(9999);
    expect(rig.open()).toEqual([]);
    await rig.pass(1);
    expect(rig.open()).toEqual(['push1']);
    expect(rig.threads.open[0]).toMatchObject({ attempt: 1 });
  });

  test('allows more attempts step by step after a successful probe', async () => {
    const rig = await startDeliveryRig({ workers: 3, pool: { circuitBreaker }, policy: { scheduleMs: [60_000] } });
    await rig.accept(...numbered(4));
    for (const id of ['d1', 'd2', 'd3', 'd4']) await rig.answer(id, refused);
    await rig.accept(...numbered(9, { handler: 'push' }));
    await rig.pass(10_000);
    const atOnce = [rig.open().length];
    for (const id of ['push1', 'push2', 'push3']) {
      await rig.answer(id, 200);
      atOnce.push(rig.open().length);
    }
    expect(atOnce).toEqual([1, 2, 3, 6]);
  });

  test('of a failing handler does not affect the others, which get its slots', async () => {
    const rig = await startDeliveryRig({
      workers: 2,
      handlers: ['sick', 'well'],
      pool: { circuitBreaker },
      policy: { scheduleMs: [60_000] },
    });
    await rig.accept(...numbered(40, { handler: 'sick' }));
    for (const id of ['sick1', 'sick2', 'sick3', 'sick4']) await rig.answer(id, 503);
    await rig.accept(...numbered(3, { handler: 'well' }));
    for (const id of rig.open().filter((open) => open.startsWith('sick'))) await rig.answer(id, 503);
    expect(rig.open()).toEqual(['well1', 'well2', 'well3']);
    for (const id of rig.open()) await rig.answer(id, 200);
    expect(rig.open()).toEqual([]);
    await rig.pass(10_000);
    expect(rig.open()).toHaveLength(1);
    expect(rig.spool.stats().depths).toContainEqual({ pool: 'pool', handler: 'well', waiting: 0, dead: 0 });
  });
});

describe('an open circuit breaker', () => {
  test.each([
    {
      what: 'its pool is removed',
      handler: '',
      answer: refused,
      end: ({ dispatcher }: DeliveryRig) => dispatcher.stop({ graceMs: 0, release: true }),
    },
    { what: 'its handler is removed', handler: 'push', answer: answered(503), end: async (rig: DeliveryRig) => rig.serve(['other']) },
  ])('is reported as closed when $what', async ({ handler, answer, end }) => {
    const rig = await startDeliveryRig({ pool: { circuitBreaker }, policy: { scheduleMs: [60_000] } });
    const states: string[] = [];
    rig.events.on('breaker.state', ({ handler: name, state }) => states.push(`${name} ${state}`));
    await rig.accept(...numbered(4));
    for (const id of rig.open()) await rig.answer(id, answer);
    await end(rig);
    expect(states).toEqual([`${handler} open`, `${handler} closed`]);
  });
});

describe('429', () => {
  const tooMany = (retryAfter: string): Outcome => ({
    kind: 'answered',
    status: 429,
    durationMs: 1,
    retryAfter,
    excerpt: '',
    truncated: false,
  });

  test('pauses its handler for the requested time, including other lanes and first attempts', async () => {
    const rig = await startDeliveryRig({ handlers: ['push', 'other'] });
    await rig.accept(makeDelivery({ id: 'a1', lane: 'a' }));
    await rig.answer('a1', tooMany('30'));
    await rig.accept(makeDelivery({ id: 'b1', lane: 'b' }), makeDelivery({ id: 'o1', handler: 'other' }));
    expect(rig.open()).toEqual(['o1']);
    await rig.pass(29_999);
    expect(rig.open()).toEqual(['o1']);
    await rig.pass(1);
    expect(rig.open().toSorted()).toEqual(['a1', 'b1', 'o1']);
    expect(rig.threads.open.map(({ attempt }) => attempt).toSorted()).toEqual([1, 1, 2]);
  });

  test('does not affect attempts in flight', async () => {
    const rig = await startDeliveryRig();
    await rig.accept(makeDelivery({ id: 'a1' }), makeDelivery({ id: 'b1' }));
    await rig.answer('a1', tooMany('30'));
    await rig.answer('b1', 200);
    expect(rig.dispositions).toEqual(['a1 retry', 'b1 delivered']);
  });
});

test('a breaker whose time ends during a rate limit does not wake the pool before the next token', async () => {
  const rig = await startDeliveryRig({ pool: { circuitBreaker, rateLimit: { requests: 1, perMs: 60_000, burst: 4 } } });
  await rig.accept(...numbered(150));
  for (const id of rig.open()) await rig.answer(id, refused);
  await rig.pass(10_000);
  expect(rig.timers.waits).toEqual([30_000]);
});

test('a rate limit allows its burst, then one attempt per interval', async () => {
  const rig = await startDeliveryRig({ pool: { rateLimit: { requests: 10, perMs: 1000, burst: 2 } } });
  const throttled: number[] = [];
  rig.events.on('pool.throttled', ({ waitMs }) => throttled.push(waitMs));
  await rig.accept(...numbered(4));
  expect(rig.open()).toEqual(['d1', 'd2']);
  await rig.pass(99);
  expect(rig.open()).toEqual(['d1', 'd2']);
  await rig.pass(1);
  expect(rig.open()).toEqual(['d1', 'd2', 'd3']);
  await rig.pass(100);
  expect(rig.open()).toEqual(['d1', 'd2', 'd3', 'd4']);
  expect(throttled[0]).toBe(100);
});

test('retries leave half of the workers to waiting first attempts, and use all workers if none waits', async () => {
  const rig = await startDeliveryRig({ workers: 2, policy: { scheduleMs: [1000, 1000, 1000] } });
  await rig.accept(...numbered(8));
  for (let index = 1; index <= 8; index += 1) await rig.answer(`d${index}`, 503);
  await rig.pass(1000);
  expect(rig.open()).toHaveLength(4);
  await rig.accept(...numbered(4, { handler: 'push' }));
  const attempts = (): number[] => rig.threads.open.map(({ attempt }) => attempt).toSorted();
  expect(attempts()).toEqual([2, 2, 2, 2]);
  for (const id of rig.open()) await rig.answer(id, 503);
  expect(attempts()).toEqual([1, 1, 2, 2]);
});

test('first attempts get their share even if more retries wait than the queue has slots', async () => {
  const rig = await startDeliveryRig({ workers: 1, policy: { scheduleMs: [1000, 1000] } });
  await rig.accept(...numbered(300));
  for (let index = 1; index <= 300; index += 1) await rig.answer(`d${index}`, 503);
  await rig.pass(1000);
  await rig.accept(...numbered(20, { handler: 'push' }));
  const sent = rig.threads.sent.length;
  for (let answers = 0; answers < 20; answers += 1) await rig.answer(rig.open()[0] ?? '', 503);
  const { length: fresh } = rig.threads.sent.slice(sent).filter(({ attempt }) => attempt === 1);
  expect(fresh).toBeGreaterThanOrEqual(9);
});

describe('an operator', () => {
  test('pauses and resumes a pool, whose backlog is kept', async () => {
    const rig = await startDeliveryRig({ workers: 1 });
    await rig.accept(...numbered(2));
    rig.dispatcher.setPaused(true);
    await rig.accept(...numbered(2, { handler: 'push' }));
    await rig.answer('d1', 200);
    await rig.answer('d2', 200);
    expect(rig.open()).toEqual([]);
    expect(rig.spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 2, dead: 0 }]);
    rig.dispatcher.setPaused(false);
    await rig.pass(0);
    expect(rig.open()).toEqual(['push1', 'push2']);
  });

  test('pauses a pool, whose waiting deliveries return to the spool and continue in their order', async () => {
    const rig = await startDeliveryRig({ workers: 1 });
    await rig.accept(makeDelivery({ id: 'sent', lane: 'a' }), makeDelivery({ id: 'next', lane: 'a' }), makeDelivery({ id: 'other' }));
    rig.dispatcher.setPaused(true);
    await rig.pass(0);
    const held = async () => {
      const { events } = await new EventStore(rig.spool).find({
        table: 'pending',
        filter: {},
        limit: 9,
        backward: false,
        after: undefined,
      });
      return events.filter(({ isClaimed }) => isClaimed).map(({ id }) => id);
    };
    expect([rig.open(), await held()]).toEqual([
      ['sent', 'other'],
      ['sent', 'other'],
    ]);
    await rig.answer('sent', 200);
    await rig.answer('other', 200);
    expect(rig.open()).toEqual([]);
    rig.dispatcher.setPaused(false);
    await rig.pass(0);
    await rig.answer('next', 200);
    expect(rig.dispositions).toEqual(['sent delivered', 'other delivered', 'next delivered']);
  });

  test('pauses one handler, whose deliveries keep their order and take no capacity from the other handlers', async () => {
    const claimed: string[] = [];
    const rig = await startDeliveryRig({
      workers: 1,
      handlers: ['held', 'free'],
      openSpool: (deps) => {
        const spool = createMemorySpool(deps);
        return {
          ...spool,
          claim: (pool, request, completion) => {
            claimed.push(...request.handlers);
            spool.claim(pool, request, completion);
          },
        };
      },
    });
    await rig.accept(makeDelivery({ id: 'd1', handler: 'held', lane: 'a' }), makeDelivery({ id: 'd2', handler: 'held', lane: 'a' }));
    rig.dispatcher.setPaused(true, 'held');
    await rig.pass(0);
    const [first] = rig.open();
    claimed.length = 0;
    for (let index = 3; index <= 5000; index += 1) await rig.accept(makeDelivery({ id: `d${index}`, handler: 'held', lane: 'a' }));
    await rig.accept(...numbered(2, { handler: 'free' }));
    expect(first).toBe('d1');
    await rig.answer('d1', 503);
    await rig.pass(1000);
    await rig.answer('free1', 200);
    await rig.answer('free2', 200);
    await rig.pass(60_000);
    expect([rig.open(), rig.threads.sent.length]).toEqual([[], 3]);
    expect(claimed).not.toContain('held');
    expect(rig.spool.stats().depths).toContainEqual({ pool: 'pool', handler: 'held', waiting: 5000, dead: 0 });
    rig.dispatcher.setPaused(false, 'held');
    await rig.pass(0);
    for (const id of ['d1', 'd2', 'd3', 'd4']) await rig.answer(id, 200);
    expect(rig.open()).toEqual(['d5']);
  });

  test('resumes a handler and its pool separately, also if the handlers change in between', async () => {
    const rig = await startDeliveryRig({ handlers: ['held', 'free'] });
    rig.dispatcher.setPaused(true, 'held');
    rig.dispatcher.setPaused(true);
    rig.serve(['free']);
    rig.serve(['free', 'held']);
    await rig.accept(makeDelivery({ id: 'd1', handler: 'held' }), makeDelivery({ id: 'd2', handler: 'free' }));
    expect(rig.open()).toEqual([]);
    rig.dispatcher.setPaused(false);
    await rig.pass(0);
    expect(rig.open()).toEqual(['d2']);
    rig.dispatcher.setPaused(false, 'held');
    await rig.pass(0);
    expect(rig.open()).toEqual(['d2', 'd1']);
  });

  test('gets the response to a test request, which is not stored', async () => {
    const rig = await startDeliveryRig();
    const attempts: unknown[] = [];
    rig.events.on('attempt.ended', (event) => attempts.push(event));
    const sent = rig.dispatcher.sendTest(makeDelivery({ id: 'test' }));
    await rig.answer('test', 422);
    expect(await sent).toMatchObject({ outcome: { kind: 'answered', status: 422 }, accepted: false, reason: 'status 422' });
    expect([attempts, rig.dispositions, rig.spool.stats().depths]).toEqual([[], [], []]);
  });
});

test('a delivery that expired while it waited is dead without an attempt, and its lane continues', async () => {
  const rig = await startDeliveryRig({ policy: { maxAgeMs: 5000, scheduleMs: [1000] } });
  rig.dispatcher.setPaused(true);
  await rig.accept(makeDelivery({ id: 'a1', lane: 'a' }));
  await rig.pass(5001);
  rig.dispatcher.setPaused(false);
  await rig.accept(makeDelivery({ id: 'b1', lane: 'b', createdAt: rig.now() }));
  expect(rig.threads.sent.map(({ id }) => id)).toEqual(['b1']);
  expect(rig.dispositions).toEqual(['a1 dead']);
  expect(await rig.spool.deadLetter(idOf('a1'))).toMatchObject({ reason: 'expired', attempts: 0, status: null });
});

test('a delivery in flight at three deaths of a thread spends an attempt at the third', async () => {
  const rig = await startDeliveryRig({ policy: { scheduleMs: [] } });
  await rig.accept(makeDelivery({ id: 'poison' }));
  for (let death = 0; death < 3; death += 1) {
    expect(rig.open()).toEqual(['poison']);
    rig.threads.lose(rig.threads.open);
  }
  await rig.pass(0);
  expect(rig.dispositions).toEqual(['poison dead']);
  expect(await rig.spool.deadLetter(idOf('poison'))).toMatchObject({ reason: 'attempts-exhausted', attempts: 1 });
});

describe('callbacks at delivery', () => {
  const judgement: Judgement = {
    verdict: 'tempfailed',
    status: 406,
    detail: '',
    origin: 'module',
    context: { seen: 'yes' },
    awaitsDisposition: true,
  };

  test('receive the disposition of a delivery after it is stored', async () => {
    const rig = await startDeliveryRig();
    await rig.accept(makeDelivery({ id: 'd1' }));
    await rig.answer('d1', 200, judgement);
    await rig.pass(1000);
    await rig.answer('d1', 200, { ...judgement, verdict: 'success' });
    expect(rig.threads.disposed).toEqual(['d1 retry', 'd1 delivered']);
  });

  test('receive delivered or dead for a test request', async () => {
    const rig = await startDeliveryRig({ hasCallbacks: true });
    const sent = ['d1', 'd2'].map((id) => rig.dispatcher.sendTest(makeDelivery({ id })));
    await rig.answer('d1', 200, judgement);
    await rig.answer('d2', 200, { ...judgement, verdict: 'success' });
    expect((await Promise.all(sent)).map(({ reason }) => reason)).toEqual(['status 406', '']);
    expect(rig.threads.disposed).toEqual(['d1 dead', 'd2 delivered']);
  });

  test('find their context at the next attempt', async () => {
    const rig = await startDeliveryRig({ hasCallbacks: true });
    await rig.accept(makeDelivery({ id: 'd1' }));
    expect(rig.threads.open[0]?.message?.context).toEqual({});
    await rig.answer('d1', 200, judgement);
    await rig.pass(1000);
    expect(rig.threads.open[0]?.message?.context).toEqual({ seen: 'yes' });
  });
});

test('a pool stopped while the process continues returns its deliveries to the spool', async () => {
  const rig = await startDeliveryRig({ workers: 1 });
  await rig.accept(...numbered(5));
  expect(rig.open()).toEqual(['d1', 'd2']);
  const stopping = rig.dispatcher.stop({ graceMs: 1000, release: true });
  await rig.answer('d1', 200);
  await rig.pass(1000);
  await stopping;
  const { claimed } = await claimFrom(rig.spool, 'pool', { handlers: ['push'], limit: 10, bytes: 1e9, now: rig.now() });
  expect(claimed.map(({ id, attempts }) => [id, attempts])).toEqual([
    ['d2', 0],
    ['d3', 0],
    ['d4', 0],
    ['d5', 0],
  ]);
});

test('serves an added handler, and stops serving a removed one', async () => {
  const rig = await startDeliveryRig({ workers: 1, handlers: ['old'] });
  await rig.accept(...numbered(4, { handler: 'old' }), ...numbered(1, { handler: 'new' }));
  expect(rig.open()).toEqual(['old1', 'old2']);
  rig.serve(['new']);
  await rig.answer('old1', 200);
  await rig.answer('old2', 200);
  expect(rig.open()).toEqual(['new1']);
  expect(rig.spool.stats().depths).toContainEqual({ pool: 'pool', handler: 'old', waiting: 2, dead: 0 });
});

describe('a delivery that arrives while its handler is removed returns to the spool', () => {
  const [a1, a2] = [makeDelivery({ id: 'a1', lane: 'a' }), makeDelivery({ id: 'a2', lane: 'a' })];

  async function claimOnAppend({ dispatcher, spool }: DeliveryRig): Promise<void> {
    const take = dispatcher.reserve(a1);
    const [claimed] = await appendTo(spool, makeEntry([a1], { take }));
    dispatcher.release(a1);
    if (claimed !== undefined) dispatcher.take(claimed);
  }

  async function claimAsNext(rig: DeliveryRig): Promise<void> {
    await rig.answer('a1', 200);
  }

  async function claimWaiting({ dispatcher }: DeliveryRig): Promise<void> {
    dispatcher.wake();
  }

  test.each([
    { way: 'claimed on append', stored: [], waiting: [], arrive: claimOnAppend, returned: 'a1' },
    { way: 'claimed as the next of its lane', stored: [a1, a2], waiting: [], arrive: claimAsNext, returned: 'a2' },
    { way: 'claimed from the spool', stored: [], waiting: [a1], arrive: claimWaiting, returned: 'a1' },
  ])('$way', async ({ stored, waiting, arrive, returned }) => {
    const rig = await startDeliveryRig();
    await rig.accept(...stored);
    await appendTo(rig.spool, makeEntry(waiting));
    const arriving = arrive(rig);
    rig.serve(['other']);
    await arriving;
    await rig.pass(0);
    const { claimed } = await claimFrom(rig.spool, 'pool', { handlers: ['push'], limit: 10, bytes: 1e9, now: rig.now() });
    expect(claimed.map(({ id }) => id)).toEqual([returned]);
  });
});

test('while settlements cannot be stored, sending stops at the limit, and continues afterwards', async () => {
  const disk = createDeferred<void>();
  const rig = await startDeliveryRig({
    workers: 1,
    openSpool: (deps) => {
      const spool = createMemorySpool(deps);
      return { ...spool, settle: (settlement, completion) => void disk.promise.then(() => spool.settle(settlement, completion)) };
    },
  });
  await rig.accept(...numbered(400));
  for (let [id] = rig.open(); id !== undefined; [id] = rig.open()) await rig.answer(id, 200);
  expect(rig.threads.sent.length).toBeLessThanOrEqual(256 + 2);
  expect(rig.dispositions).toEqual([]);

  disk.resolve();
  await rig.pass(0);
  for (let [id] = rig.open(); id !== undefined; [id] = rig.open()) await rig.answer(id, 200);
  expect(rig.dispositions).toHaveLength(400);
});

describe('a shortage of descriptors or ports on this machine', () => {
  const shortage: Outcome = { kind: 'unsent', code: LOCAL_SHORTAGE, message: 'connect EMFILE', durationMs: 1 };

  test('spends no attempt, opens no circuit breaker, and stops the pool until the held delivery is sent again', async () => {
    const rig = await startDeliveryRig({ workers: 1, pool: { circuitBreaker }, policy: { scheduleMs: [] } });
    const emitted: string[] = [];
    rig.events.on('pool.shortage', ({ state, reason }) => emitted.push(`${state} ${reason}`));
    rig.events.on('breaker.state', () => expect.unreachable());
    rig.events.on('attempt.ended', ({ outcome }) => expect(outcome.kind).toBe('answered'));
    await rig.accept(...numbered(6));

    for (let round = 0; round < 3; round += 1) {
      const open = rig.open();
      expect(open.length).toBeGreaterThan(0);
      for (const id of open) await rig.answer(id, shortage);
      expect(rig.open()).toEqual([]);
      await rig.pass(1000);
    }
    for (let left = 6; left > 0; left -= 1) {
      const [job] = rig.threads.open;
      expect(job).toMatchObject({ attempt: 1 });
      await rig.answer(job?.id ?? '', 200);
    }

    expect(rig.dispositions).toHaveLength(6);
    expect(rig.dispositions.every((disposition) => disposition.endsWith(' delivered'))).toBe(true);
    expect([emitted[0], emitted.at(-1), emitted.slice(1, -1).every((each) => each === 'lasts connect EMFILE')]).toEqual([
      ...['began connect EMFILE', 'ended ', true],
    ]);
  });

  test('keeps the order of a lane', async () => {
    const rig = await startDeliveryRig({ workers: 4 });
    await rig.accept(...numbered(3, { lane: 'alice/bob' }));
    await rig.answer('d1', shortage);
    await rig.pass(1000);
    for (const id of ['d1', 'd2', 'd3']) {
      expect(rig.open()).toEqual([id]);
      await rig.answer(id, 200);
    }
  });

  test('returns the held deliveries to the spool when the pool stops', async () => {
    const rig = await startDeliveryRig({ workers: 2 });
    await rig.accept(...numbered(2));
    await rig.answer('d1', shortage);
    const stopped = rig.dispatcher.stop({ graceMs: 1000, release: true });
    await rig.answer('d2', shortage);
    await stopped;
    const { claimed } = await claimFrom(rig.spool, 'pool', { handlers: ['push'], limit: 10, bytes: 1e9, now: rig.now() });
    expect(claimed.map(({ id, attempts }) => `${id} ${attempts}`)).toEqual(['d1 0', 'd2 0']);
  });
});
