import { describe, expect, test } from 'vitest';
import type { FollowResult } from '../../src/delivery/attempt.ts';
import { ServiceError } from '../../src/kit/errors.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { idOf, makeDelivery, makeEntry } from '../spool/build.ts';
import { startDeliveryRig } from '../support/delivery-rig.ts';
import { appendTo, claimFrom } from '../support/spool-promises.ts';

/** A spool in memory that stores no settlement before `opened` resolves. */
const withSettlementsAfter =
  (opened: Promise<void>): typeof createMemorySpool =>
  (deps) => {
    const spool = createMemorySpool(deps);
    return { ...spool, settle: (settlement, completion) => void opened.then(() => spool.settle(settlement, completion)) };
  };

const inLane = (lane: string | null, ...ids: readonly string[]): NewDelivery[] => ids.map((id) => makeDelivery({ id, lane }));
const numbered = (count: number): NewDelivery[] => inLane(null, ...Array.from({ length: count }, (_nothing, index) => `d${index + 1}`));

describe('a lane', () => {
  test('is delivered one by one in order, in parallel with other lanes', async () => {
    const rig = await startDeliveryRig();
    await rig.accept(...inLane('a', 'a1', 'a2', 'a3'), ...inLane('b', 'b1'));
    expect(rig.open()).toEqual(['a1', 'b1']);
    await rig.answer('a1', 200);
    expect(rig.open()).toEqual(['b1', 'a2']);
    await rig.answer('a2', 422);
    expect(rig.open()).toEqual(['b1', 'a3']);
  });

  test('waits for its failing head, which is retried when it is due', async () => {
    const rig = await startDeliveryRig();
    await rig.accept(...inLane('a', 'a1', 'a2'));
    await rig.answer('a1', 503);
    await rig.pass(999);
    expect(rig.open()).toEqual([]);
    await rig.pass(1);
    expect(rig.open()).toEqual(['a1']);
    expect(rig.threads.open[0]).toMatchObject({ attempt: 2 });
    await rig.answer('a1', 200);
    expect(rig.open()).toEqual(['a2']);
    expect(rig.dispositions).toEqual(['a1 retry', 'a1 delivered']);
  });

  test('continues without a head that fails beyond its hold', async () => {
    const rig = await startDeliveryRig({ policy: { holdMs: 500 } });
    const left: unknown[] = [];
    rig.events.on('delivery.left-lane', (event) => left.push(event));
    await rig.accept(...inLane('a', 'a1', 'a2'));
    await rig.answer('a1', 503);
    await rig.pass(500);
    expect(left).toEqual([]);
    await rig.answer('a1', 503);
    expect(left).toEqual([{ id: 'a1', pool: 'pool', handler: 'push' }]);
    expect(rig.open()).toEqual(['a2']);
    await rig.pass(5000);
    expect(rig.open()).toEqual(['a2', 'a1']);
  });

  test('continues when the outcome of its head is known, before that is on disk', async () => {
    const disk = createDeferred<void>();
    const rig = await startDeliveryRig({ openSpool: withSettlementsAfter(disk.promise) });
    await rig.accept(...inLane('a', 'a1', 'a2', 'a3'));
    await rig.answer('a1', 200);
    await rig.answer('a2', 422);
    expect([rig.open(), rig.dispositions]).toEqual([['a3'], []]);
    disk.resolve();
    await rig.pass(0);
    expect(rig.dispositions).toEqual(['a1 delivered', 'a2 dead']);
  });

  test('waits for its failing head even while earlier settlements are not on disk', async () => {
    const disk = createDeferred<void>();
    const rig = await startDeliveryRig({ openSpool: withSettlementsAfter(disk.promise) });
    await rig.accept(...inLane('a', 'a1', 'a2', 'a3'));
    await rig.answer('a1', 200);
    await rig.answer('a2', 503);
    await rig.accept(...inLane('a', 'a4'));
    expect(rig.open()).toEqual([]);
    disk.resolve();
    await rig.pass(1000);
    for (const id of ['a2', 'a3', 'a4']) {
      expect(rig.open()).toEqual([id]);
      await rig.answer(id, 200);
    }
    expect(rig.dispositions).toEqual(['a1 delivered', 'a2 retry', 'a2 delivered', 'a3 delivered', 'a4 delivered']);
  });

  test('has at most 64 settlements that are not on disk', async () => {
    const disk = createDeferred<void>();
    const rig = await startDeliveryRig({ openSpool: withSettlementsAfter(disk.promise) });
    const ids = Array.from({ length: 100 }, (_nothing, index) => `a${index}`);
    await rig.accept(...inLane('a', ...ids));
    for (let [id] = rig.open(); id !== undefined; [id] = rig.open()) await rig.answer(id, 200);
    expect(rig.threads.sent.length).toBe(64);
    disk.resolve();
    await rig.pass(0);
    for (let [id] = rig.open(); id !== undefined; [id] = rig.open()) await rig.answer(id, 200);
    expect(rig.threads.sent.map(({ id }) => id)).toEqual(ids);
    expect(rig.spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 0, dead: 0 }]);
  });

  test('continues after a head whose retry cannot be stored', async () => {
    const rig = await startDeliveryRig({
      openSpool: (deps) => {
        const spool = createMemorySpool(deps);
        const refused = new ServiceError('SPOOL_ROW_REFUSED', 'refused');
        const settle: typeof spool.settle = (settlement, completion) =>
          settlement.disposition.kind === 'retry' ? completion.failed(refused) : spool.settle(settlement, completion);
        return { ...spool, settle };
      },
    });
    await rig.accept(...inLane('a', 'a1', 'a2'));
    await rig.answer('a1', 503);
    expect([rig.dispositions, rig.open()]).toEqual([['a1 dead'], ['a2']]);
  });

  test('continues after a dead head', async () => {
    const rig = await startDeliveryRig({ policy: { scheduleMs: [] } });
    await rig.accept(...inLane('a', 'a1', 'a2'));
    await rig.answer('a1', 503);
    expect(rig.open()).toEqual(['a2']);
    expect(rig.dispositions).toEqual(['a1 dead']);
  });
});

test('under a steady load 99 % of the deliveries are claimed by the commit that stores them', async () => {
  const rig = await startDeliveryRig({ workers: 50 });
  const claimed = { append: 0, next: 0, spool: 0 };
  rig.events.on('delivery.claimed', ({ how, count }) => {
    claimed[how] += count;
  });
  const deliveries = Array.from({ length: 5000 }, (_nothing, index) => makeDelivery({ id: `d${index}`, lane: `lane ${index % 100}` }));
  for (let from = 0; from < deliveries.length; from += 100) {
    await rig.accept(...deliveries.slice(from, from + 100));
    for (const id of from < 600 ? [] : rig.open()) await rig.answer(id, 200);
  }
  for (let [id] = rig.open(); id !== undefined; [id] = rig.open()) await rig.answer(id, 200);
  expect(rig.dispositions.length).toBe(5000);
  expect(claimed.append).toBeGreaterThanOrEqual(4950);
});

test('deliveries without a lane do not wait for a failing one', async () => {
  const rig = await startDeliveryRig();
  await rig.accept(...inLane(null, 'd1'));
  await rig.answer('d1', 503);
  await rig.accept(...inLane(null, 'd2', 'd3'));
  expect(rig.open()).toEqual(['d2', 'd3']);
});

test('is dead after its last attempt, with the history of its attempts', async () => {
  const rig = await startDeliveryRig();
  await rig.accept(...inLane('a', 'a1'));
  await rig.answer('a1', 503);
  await rig.pass(1000);
  await rig.answer('a1', 429);
  await rig.pass(5000);
  await rig.answer('a1', 500);
  expect(rig.dispositions).toEqual(['a1 retry', 'a1 retry', 'a1 dead']);
  expect(rig.timers.pending).toBe(0);
  const letter = await rig.spool.deadLetter(idOf('a1'));
  expect(letter).toMatchObject({ reason: 'attempts-exhausted', detail: 'status 500', status: 500, attempts: 3 });
  expect(letter?.history.map(({ number, outcome }) => [number, outcome])).toMatchObject([
    [1, { status: 503 }],
    [2, { status: 429 }],
    [3, { status: 500 }],
  ]);
});

test('hands over two jobs per worker, and the next job when one ends', async () => {
  const rig = await startDeliveryRig({ workers: 2 });
  await rig.accept(...numbered(6));
  expect(rig.open()).toEqual(['d1', 'd2', 'd3', 'd4']);
  expect(rig.dispatcher.inFlight).toBe(2);
  await rig.answer('d3', 200);
  expect(rig.open()).toEqual(['d1', 'd2', 'd4', 'd5']);
});

describe('a backlog larger than the buffer', () => {
  test('is claimed in parts: each delivery is sent once, in order', async () => {
    const rig = await startDeliveryRig({ workers: 1, started: false });
    const backlog = numbered(1000);
    await appendTo(rig.spool, makeEntry(backlog));
    await rig.dispatcher.start();
    await rig.pass(0); // the first claim ends
    while (rig.dispositions.length < backlog.length) {
      const [next] = rig.threads.open;
      await rig.answer(next?.id ?? 'nothing', 200);
    }
    expect(rig.threads.sent.map(({ id }) => id)).toEqual(backlog.map(({ id }) => id));
    expect(rig.spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 0, dead: 0 }]);
  });

  test('is not overtaken: no reservation succeeds until all of it is claimed', async () => {
    const rig = await startDeliveryRig({ workers: 1, started: false });
    await appendTo(rig.spool, makeEntry(numbered(3000)));
    await rig.dispatcher.start();
    await rig.pass(0); // the first claim ends
    await rig.accept(makeDelivery({ id: 'late' }));
    expect(rig.dispatcher.reserve(makeDelivery())).toBe(false);
    while (rig.dispositions.length < 3001) await rig.answer(rig.open()[0] ?? 'nothing', 200);
    expect(rig.threads.sent.at(-1)?.id).toBe('late');
    expect(rig.dispatcher.reserve(makeDelivery())).toBe(true);
  });
});

test('pending deliveries are sent while slow commits hold the maximum of reservations', async () => {
  const rig = await startDeliveryRig({ workers: 1 });
  await rig.accept(...inLane('a', 'a1', 'a2'));
  while (rig.dispatcher.reserve(makeDelivery()));
  await rig.answer('a1', 503);
  await rig.pass(1000);
  expect(rig.open()).toEqual(['a1']);
  await rig.answer('a1', 200);
  expect(rig.open()).toEqual(['a2']);
});

test('pending deliveries are sent during slow commits for any distribution of slots', async () => {
  const rig = await startDeliveryRig({ handlers: ['push', 'b', 'c', 'd', 'e', 'f', 'g'] });
  while (rig.dispatcher.reserve(makeDelivery()));
  await appendTo(rig.spool, makeEntry(inLane(null, 'd1')));
  rig.dispatcher.wake();
  await rig.pass(0);
  expect(rig.open()).toEqual(['d1']);
});

test('sends the jobs of a dead thread again without spending attempts', async () => {
  const rig = await startDeliveryRig();
  await rig.accept(...inLane('a', 'a1'), ...inLane('b', 'b1'));
  const lost = rig.threads.open;
  rig.threads.lose(lost);
  expect(rig.threads.open.map(({ id, attempt }) => [id, attempt])).toEqual([
    ['a1', 1],
    ['b1', 1],
  ]);
  for (const job of lost) rig.threads.answer(job, { kind: 'timed-out', phase: 'call', durationMs: 1 });
  expect(rig.dispositions).toEqual([]);
  await rig.answer('a1', 200);
  expect(rig.dispositions).toEqual(['a1 delivered']);
});

describe('stopping', () => {
  test('waits for the attempts in flight, and leaves the other deliveries in the spool', async () => {
    const rig = await startDeliveryRig({ workers: 1 });
    await rig.accept(...inLane('a', 'a1', 'a2'), ...inLane(null, 'd1', 'd2'));
    expect(rig.open()).toEqual(['a1', 'd1']);
    let stopped = false;
    const stopping = rig.dispatcher.stop({ graceMs: 1000, release: false }).then(() => {
      stopped = true;
    });
    await rig.answer('a1', 200);
    expect(stopped).toBe(false);
    await rig.answer('d1', 503);
    await stopping;
    expect(rig.threads.ended).toBe('stopped');
    expect(rig.threads.sent.map(({ id }) => id)).toEqual(['a1', 'd1']);
    expect(rig.dispositions).toEqual(['a1 delivered', 'd1 retry']);
    expect(rig.spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 3, dead: 0 }]);
    expect(rig.timers.pending).toBe(0);
    expect(rig.dispatcher.reserve(makeDelivery())).toBe(false);
  });

  test('kills the threads after the grace period', async () => {
    const rig = await startDeliveryRig();
    await rig.accept(...inLane('a', 'a1'));
    const stopping = rig.dispatcher.stop({ graceMs: 1000, release: false });
    await rig.pass(1000);
    await stopping;
    expect(rig.threads.ended).toBe('killed');
    expect(rig.spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 1, dead: 0 }]);
  });

  test('releases what a settlement claims that is stored after the grace period', async () => {
    const disk = createDeferred<void>();
    const rig = await startDeliveryRig({ openSpool: withSettlementsAfter(disk.promise) });
    await rig.accept(...inLane('a', 'a1'));
    await appendTo(rig.spool, makeEntry(inLane('a', 'a2')));
    await rig.answer('a1', 200);
    const stopping = rig.dispatcher.stop({ graceMs: 1000, release: true });
    await rig.pass(1000);
    disk.resolve();
    await stopping;
    const { claimed } = await claimFrom(rig.spool, 'pool', { handlers: ['push'], limit: 9, bytes: 1e6, now: Number.MAX_SAFE_INTEGER });
    expect(claimed.map(({ id }) => id)).toEqual(['a2']);
  });

  test('ends at once if no attempt is in flight, even if retries wait', async () => {
    const rig = await startDeliveryRig();
    await rig.accept(...inLane('a', 'a1'));
    await rig.answer('a1', 503);
    await rig.dispatcher.stop({ graceMs: 1000, release: false });
    expect(rig.threads.ended).toBe('stopped');
    expect(rig.timers.pending).toBe(0);
  });
});

describe('a delivery created by a response', () => {
  const spawned = makeDelivery({ id: 'd2', lane: null });

  test('is stored with the disposition of the answered delivery, and sent at once', async () => {
    const rig = await startDeliveryRig({
      follow: ({ attempt }) =>
        attempt.delivery.id === 'd1'
          ? Promise.resolve({ disposition: { kind: 'delivered' }, spawn: [spawned], failedPackets: [] })
          : undefined,
    });
    await rig.accept(makeDelivery({ id: 'd1', lane: null }));
    await rig.answer('d1', 503);
    expect(rig.dispositions).toEqual(['d1 delivered']);
    expect(rig.open()).toEqual(['d2']);
    await rig.answer('d2', 200);
    expect(rig.dispositions).toEqual(['d1 delivered', 'd2 delivered']);
  });

  test('can be slow: the lane waits, and the pool does not stop before it is stored', async () => {
    const come = createDeferred<FollowResult>();
    const rig = await startDeliveryRig({ follow: () => come.promise });
    await rig.accept(...inLane('a', 'a1', 'a2'), ...inLane('b', 'b1'));
    await rig.answer('a1', 200);
    expect(rig.open()).toEqual(['b1']);
    await rig.answer('b1', 200);
    let stopped = false;
    const stopping = rig.dispatcher.stop({ graceMs: 1000, release: false }).then(() => {
      stopped = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([stopped, rig.dispositions]).toEqual([false, []]);
    come.resolve({ disposition: { kind: 'dead', reason: 'refused', detail: 'it said no' }, spawn: [], failedPackets: [] });
    await stopping;
    expect(rig.dispositions).toEqual(['a1 dead', 'b1 dead']);
  });
});
