import { describe, expect, test } from 'vitest';
import type { PoolConfig } from '../../src/config/config.ts';
import type { OpenCarrier } from '../../src/delivery/extensions.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { promised } from '../../src/kit/completion.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import { Secret } from '../../src/kit/secret.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { makeDelivery, makeFailedPacket } from '../spool/build.ts';
import { importBuilt } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { makeHandlerConfig } from '../support/make-handler.ts';
import { makePoolConfig } from '../support/make-pool.ts';
import { type Answer, startTarget } from '../support/target.ts';

// The build: the threads of a pool cannot load .ts here.
const { Dispatcher } = await importBuilt<typeof import('../../src/delivery/dispatcher.ts')>('src/delivery/dispatcher.js');

/** Appends wait for `storing`. */
async function startRig(
  pools: readonly PoolConfig[],
  { storing, carriers }: { readonly storing?: Promise<void>; readonly carriers?: ReadonlyMap<string, OpenCarrier> } = {},
) {
  const events = createEventBus();
  const memory = createMemorySpool({ clock: systemClock, events });
  const spool: Spool = {
    ...memory,
    append: (entry, completion) => {
      if (storing === undefined) memory.append(entry, completion);
      else void storing.then(() => memory.append(entry, completion));
    },
  };
  const dispositions: string[] = [];
  const failures: Error[] = [];
  events.on('delivery.settled', ({ id, disposition }) => dispositions.push(`${id} ${disposition}`));
  const notices: string[] = [];
  events.on('notice', ({ text }) => notices.push(text));
  const partsOf = (configured: readonly PoolConfig[]) => ({
    pools: configured,
    handlers: configured.map(({ id }) => makeHandlerConfig({ name: 'push', pool: id })),
    sessions: [],
  });
  const dispatcher = new Dispatcher({
    ...partsOf(pools),
    limits: { timeoutMs: 5000 },
    drainTimeoutMs: 1000,
    spool,
    clock: systemClock,
    random: () => 0.5,
    timers: systemTimers,
    events,
    userAgent: 'xmpp-event-pusher/test',
    ...(carriers && { carriers }),
    onFailed: (error) => failures.push(error),
  });
  await spool.start();
  await dispatcher.start();
  const acceptResult = (result: Parameters<typeof dispatcher.accept>[0]) =>
    promised<void>((completion) => dispatcher.accept(result, completion));
  const accept = (...deliveries: NewDelivery[]) => acceptResult({ deliveries, deadLetters: [], mark: undefined });
  const reconfigure = (next: readonly PoolConfig[]) => dispatcher.reconfigure(partsOf(next));
  return {
    dispatcher,
    spool,
    dispositions,
    failures,
    notices,
    accept,
    acceptResult,
    reconfigure,
    [Symbol.asyncDispose]: () => dispatcher.stop(0),
  };
}

/** Accepted now by the system clock, so that it does not expire. */
const deliveryTo = (pool: string, id: string, lane: string | null = null): NewDelivery =>
  makeDelivery({ id, pool, lane, createdAt: systemClock.now(), target: { kind: 'http', method: 'POST', path: `/${id}`, headers: [] } });

test('sends the deliveries of one packet to their pools', async () => {
  await using chats = await startTarget();
  await using calls = await startTarget();
  await using rig = await startRig([
    makePoolConfig({ id: 'chats', origin: chats.origin }),
    makePoolConfig({ id: 'calls', origin: calls.origin }),
  ]);

  await rig.accept(deliveryTo('chats', 'd1'), deliveryTo('calls', 'd2'));
  await eventually(() => rig.dispositions.length === 2);

  expect(chats.requests.map(({ path }) => path)).toEqual(['/d1']);
  expect(calls.requests.map(({ path }) => path)).toEqual(['/d2']);
  expect(calls.requests[0]?.header('user-agent')).toBe('xmpp-event-pusher/test');
  expect(rig.spool.stats().depths.map(({ waiting }) => waiting)).toEqual([0, 0]);
});

test('a pool with the name of a property that every object has sends like any other', async () => {
  await using target = await startTarget();
  await using rig = await startRig([makePoolConfig({ id: 'constructor', origin: target.origin })], { carriers: new Map() });

  await rig.accept(deliveryTo('constructor', 'd1'));
  await eventually(() => rig.dispositions.length === 1);

  expect(rig.dispositions).toEqual(['d1 delivered']);
});

test('a lane waits for its failing head on the wire', async () => {
  let asked = 0;
  await using target = await startTarget({
    script: ({ path }) => {
      asked += path === '/a1' ? 1 : 0;
      return { kind: 'answer', status: path === '/a1' && asked < 3 ? 503 : 200 };
    },
  });
  await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin, retry: { scheduleMs: [20, 20, 20] } })]);

  await rig.accept(deliveryTo('chats', 'a1', 'a'));
  await rig.accept(deliveryTo('chats', 'a2', 'a'));
  await rig.accept(deliveryTo('chats', 'b1', 'b'));
  await eventually(() => rig.spool.stats().depths.every(({ waiting }) => waiting === 0));

  const lane = target.requests.filter(({ path }) => path.startsWith('/a'));
  expect(lane.map((request) => `${request.path} ${request.header('event-pusher-attempt')}`)).toEqual(['/a1 1', '/a1 2', '/a1 3', '/a2 1']);
  expect(rig.failures).toEqual([]);
});

test('delivers a thousand deliveries once each, in the order of their lanes', async () => {
  await using target = await startTarget();
  await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin, workers: 20, threads: 2 })]);
  const deliveries = Array.from({ length: 1000 }, (_nothing, index) => deliveryTo('chats', `d${index}`, `lane ${index % 30}`));

  await Promise.all(deliveries.map((delivery) => rig.accept(delivery)));
  await eventually(() => rig.dispositions.length === 1000);

  const numbers = target.requests.map(({ path }) => Number(path.slice(2)));
  expect(new Set(numbers).size).toBe(1000);
  expect(numbers).toHaveLength(1000);
  for (let lane = 0; lane < 30; lane += 1) {
    const inLane = numbers.filter((number) => number % 30 === lane);
    expect(inLane).toEqual(inLane.toSorted((one, other) => one - other));
  }
  expect(target.counts.peakUnanswered).toBeLessThanOrEqual(20);
});

test('stores the dead letters of a packet, and deliveries to an unknown pool', async () => {
  await using rig = await startRig([makePoolConfig({ id: 'chats' })]);
  const failedPackets = makeFailedPacket({ id: 's1', pool: 'chats' });

  await rig.acceptResult({ deliveries: [deliveryTo('gone', 'd1')], deadLetters: [failedPackets], mark: undefined });

  expect(rig.spool.stats().depths).toEqual([
    { pool: 'gone', handler: 'push', waiting: 1, dead: 0 },
    { pool: 'chats', handler: 'push', waiting: 0, dead: 1 },
  ]);
});

test('an error in the completion of an entry that was stored in parts ends the service', async () => {
  await using rig = await startRig([makePoolConfig({ id: 'chats' })]);
  const deliveries = [{ ...deliveryTo('chats', 'd1'), seenAt: 0.5 }]; // the spool refuses it
  const broken = new Error('broken');
  const done = () => {
    throw broken;
  };

  rig.dispatcher.accept({ deliveries, deadLetters: [], mark: undefined }, { done, failed: done });
  await eventually(() => rig.failures.length > 0);

  expect(rig.failures).toEqual([broken]);
});

test('reports the number of busy workers, and stops when they are idle', async () => {
  const held = createDeferred<Answer>();
  await using target = await startTarget({ script: () => held.promise });
  await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin, workers: 2 })]);
  for (const id of ['d1', 'd2', 'd3']) await rig.accept(deliveryTo('chats', id));
  await target.received(2);
  expect(rig.dispatcher.inFlight()).toEqual([{ pool: 'chats', value: 2, workers: 2 }]);

  const stopped = rig.dispatcher.stop(60_000);
  held.resolve({ kind: 'answer' });
  await stopped;

  expect(rig.dispositions.toSorted()).toEqual(['d1 delivered', 'd2 delivered', 'd3 delivered']);
  await eventually(() => target.counts.open === 0);
});

describe('a full backlog', () => {
  test('makes the newest deliveries dead letters with overflow refuse, and a replay restores them', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: () => held.promise });
    await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin, maxBacklog: 2, overflow: 'refuse' })]);

    for (const id of ['d1', 'd2', 'd3']) await rig.accept(deliveryTo('chats', id));

    expect(await rig.spool.deadLetters({}, { limit: 9 })).toMatchObject([{ id: 'd3', reason: 'overflow', attempts: 0 }]);
    held.resolve({ kind: 'answer' });
    await eventually(() => rig.dispositions.length === 2);
    const { readyPools } = await rig.spool.replay({}, { limit: 9, now: systemClock.now() });
    rig.dispatcher.wake(readyPools);
    await eventually(() => rig.dispositions.includes('d3 delivered'));
  });

  test('holds intake in order with overflow hold-intake', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: () => held.promise });
    await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin, maxBacklog: 2, overflow: 'hold-intake' })]);
    for (const id of ['d1', 'd2']) await rig.accept(deliveryTo('chats', id, 'lane'));

    const accepted: string[] = [];
    const waiting = ['d3', 'd4', 'd5'].map((id) => rig.accept(deliveryTo('chats', id, 'lane')).then(() => accepted.push(id)));
    await target.received(1);
    expect(accepted).toEqual([]);
    held.resolve({ kind: 'answer' });
    await Promise.all(waiting);

    await eventually(() => rig.dispositions.length === 5);
    expect(target.requests.map(({ path }) => path)).toEqual(['/d1', '/d2', '/d3', '/d4', '/d5']);
  });
});

describe('a new configuration', () => {
  test('sends waiting deliveries to the new backend of a pool, and finishes attempts at the old one', async () => {
    const held = createDeferred<Answer>();
    await using before = await startTarget({ script: () => held.promise });
    await using after = await startTarget();
    const pool = makePoolConfig({ id: 'chats', origin: before.origin, workers: 1 });
    await using rig = await startRig([pool]);
    for (const id of ['d1', 'd2', 'd3', 'd4']) await rig.accept(deliveryTo('chats', id));
    await before.received(1);

    const reconfigured = rig.reconfigure([{ ...pool, origin: after.origin }]);
    held.resolve({ kind: 'answer' });
    await reconfigured;
    await rig.accept(deliveryTo('chats', 'd5'));
    await eventually(() => rig.dispositions.length === 5);

    const paths = [...before.requests, ...after.requests].map(({ path }) => path);
    expect(paths.toSorted()).toEqual(['/d1', '/d2', '/d3', '/d4', '/d5']);
    expect(after.requests.length).toBeGreaterThanOrEqual(3);
  });

  test('sends a delivery that a full disk delayed until its pool was replaced', async () => {
    await using target = await startTarget();
    const room = createDeferred<void>();
    const pool = makePoolConfig({ id: 'chats', origin: target.origin });
    await using rig = await startRig([pool], { storing: room.promise });
    const reconfigured = rig.reconfigure([{ ...pool, workers: 3 }]);
    const accepted = rig.accept(deliveryTo('chats', 'd1'));
    await reconfigured;
    room.resolve();
    await accepted;
    await eventually(() => rig.dispositions.length === 1);
  });

  test('signs with the new keys of a pool after it was replaced, and finishes attempts with the old ones', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: ({ path }) => (path === '/d1' ? held.promise : { kind: 'answer' }) });
    const [before, after] = ['a', 'b'].map((letter) => `whsec_${letter.repeat(32)}`) as [string, string];
    const pool = makePoolConfig({ id: 'chats', origin: target.origin, sign: [new Secret(before)] });
    await using rig = await startRig([pool]);
    await rig.accept(deliveryTo('chats', 'd1'));
    await target.received(1);

    const reconfigured = rig.reconfigure([{ ...pool, sign: [new Secret(after), new Secret(before)] }]);
    held.resolve({ kind: 'answer' });
    await reconfigured;
    await rig.accept(deliveryTo('chats', 'd2'));
    await eventually(() => rig.dispositions.length === 2);

    const signatures = target.requests.map(({ header }) => header('webhook-signature')?.split(' ').length);
    expect(signatures).toEqual([1, 2]);
    expect(JSON.stringify([rig.notices, rig.failures])).not.toContain('whsec_');
  });

  test('sends the new headers of a pool after it was replaced', async () => {
    await using target = await startTarget();
    const header = (value: string) => ({ name: 'x-key', value: new Secret(value), from: 'headers' }) as const;
    const pool = makePoolConfig({ id: 'chats', origin: target.origin, headers: [header('key-before')] });
    await using rig = await startRig([pool]);
    await rig.accept(deliveryTo('chats', 'd1'));
    await eventually(() => rig.dispositions.length === 1);
    const credentials = { name: 'authorization', value: new Secret('Bearer key-new'), from: 'auth.bearer' } as const;
    await rig.reconfigure([{ ...pool, headers: [header('key-after'), credentials] }]);
    await rig.accept(deliveryTo('chats', 'd2'));
    await eventually(() => rig.dispositions.length === 2);

    const sent = target.requests.map((request) => [request.header('x-key'), request.header('authorization')]);
    expect(sent).toEqual([
      ['key-before', undefined],
      ['key-after', 'Bearer key-new'],
    ]);
    expect(JSON.stringify([rig.notices, rig.failures])).not.toContain('key-');
  });

  test('keeps an unchanged pool and its connections', async () => {
    await using target = await startTarget();
    const pool = makePoolConfig({ id: 'chats', origin: target.origin, workers: 1 });
    await using rig = await startRig([pool]);
    await rig.accept(deliveryTo('chats', 'd1'));
    await eventually(() => rig.dispositions.length === 1);
    await rig.reconfigure([pool, makePoolConfig({ id: 'more' })]);
    await rig.accept(deliveryTo('chats', 'd2'));
    await eventually(() => rig.dispositions.length === 2);
    expect(target.counts.connections).toBe(1);
  });

  test('keeps and reports the deliveries of a removed pool, and delivers them when it is back', async () => {
    await using target = await startTarget({ script: ({ path }) => ({ kind: 'answer', status: path === '/d1' ? 503 : 200 }) });
    const pool = makePoolConfig({ id: 'chats', origin: target.origin, retry: { scheduleMs: [20, 20, 20, 20] } });
    await using rig = await startRig([pool]);
    await rig.accept(deliveryTo('chats', 'd1', 'lane'));
    await rig.accept(deliveryTo('chats', 'd2', 'lane'));
    await target.received(1);

    await rig.reconfigure([]);
    expect(rig.dispatcher.orphans()).toMatchObject([{ pool: 'chats', handler: 'push', waiting: 2 }]);
    expect(rig.notices.join()).toContain('2 deliveries wait for the handler push on the pool chats, which is not configured');
    await rig.accept(deliveryTo('chats', 'd3', 'lane'));

    await rig.reconfigure([pool]);
    await eventually(() => rig.spool.stats().depths.every(({ waiting }) => waiting === 0));
    const delivered = rig.dispositions.filter((disposition) => disposition.endsWith('delivered'));
    expect(delivered).toEqual(['d2 delivered', 'd3 delivered']);
  });
});

test('a paused pool stays paused for the next dispatcher of the same spool, until it is resumed', async () => {
  await using target = await startTarget();
  const pool = makePoolConfig({ id: 'chats', origin: target.origin });
  await using rig = await startRig([pool]);
  expect(await rig.dispatcher.setPaused('chats', true)).toBe(true);
  expect(await rig.dispatcher.setPaused('unknown', true)).toBe(false);
  await rig.reconfigure([]);
  await rig.reconfigure([pool]);
  await rig.accept(deliveryTo('chats', 'd1'));
  expect(rig.spool.stats().paused).toEqual(['chats']);
  expect(target.requests).toEqual([]);
  await rig.dispatcher.setPaused('chats', false);
  await eventually(() => rig.dispositions.length === 1);
});

test('a paused handler stays paused for the next dispatcher of the same spool, and other handlers are served', async () => {
  await using target = await startTarget();
  const pool = makePoolConfig({ id: 'chats', origin: target.origin });
  await using rig = await startRig([pool]);
  expect(await rig.dispatcher.setPaused('chats', true, 'push')).toBe(true);
  await rig.reconfigure([]);
  await rig.reconfigure([pool]);
  await rig.accept(deliveryTo('chats', 'd1'));
  expect(rig.spool.stats().paused).toEqual(['chats/push']);
  expect(target.requests).toEqual([]);
  await rig.dispatcher.setPaused('chats', false, 'push');
  await eventually(() => rig.dispositions.length === 1);
});

test('resumes a pool and a handler that are no longer configured', async () => {
  await using target = await startTarget();
  await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin })]);
  await rig.dispatcher.setPaused('chats', true);
  await rig.dispatcher.setPaused('chats', true, 'push');
  await rig.reconfigure([]);
  expect(await rig.dispatcher.setPaused('chats', false)).toBe(true);
  expect(await rig.dispatcher.setPaused('chats', false, 'push')).toBe(true);
  expect(rig.spool.stats().paused).toEqual([]);
  expect(await rig.dispatcher.setPaused('chats', false)).toBe(false);
});

test('sends a test request outside all queues, and returns its answer', async () => {
  await using target = await startTarget({ script: () => ({ kind: 'answer', status: 202 }) });
  await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin })]);
  await rig.dispatcher.setPaused('chats', true);
  expect(await rig.dispatcher.sendTest(deliveryTo('chats', 'd1'))).toMatchObject({ accepted: true, outcome: { status: 202 } });
  expect([rig.dispositions, rig.spool.stats().depths]).toEqual([[], []]);
  await expect(rig.dispatcher.sendTest(deliveryTo('unknown', 'd1'))).rejects.toThrow('no pool unknown');
});

test('410 pauses the pool if configured, and is reported', async () => {
  await using target = await startTarget({ script: ({ path }) => ({ kind: 'answer', status: path === '/d1' ? 410 : 200 }) });
  await using rig = await startRig([makePoolConfig({ id: 'chats', origin: target.origin, pauseOnGone: true })]);
  await rig.accept(deliveryTo('chats', 'd1'));
  await eventually(() => rig.spool.stats().paused.length === 1);
  await rig.accept(deliveryTo('chats', 'd2'));
  expect(rig.notices.join()).toContain('answered 410 (gone): the pool is paused');
  expect(rig.dispositions).toEqual(['d1 dead']);
  await rig.dispatcher.setPaused('chats', false);
  await eventually(() => rig.dispositions.includes('d2 delivered'));
});
