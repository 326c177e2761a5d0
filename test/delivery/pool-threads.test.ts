import { describe, expect, test } from 'vitest';
import type { Job, PoolThreadSettings } from '../../pools/contract.ts';
import { systemClock, systemTimers, type Timers } from '../../src/kit/clock.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { importBuilt } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { createSteppedTimers } from '../support/stepped-timers.ts';
import { type Answer, startTarget } from '../support/target.ts';

// The build: real threads cannot load .ts here.
const { PoolThreads } = await importBuilt<typeof import('../../src/delivery/pool-threads.ts')>('src/delivery/pool-threads.js');

function createRig(
  settings: Partial<Omit<PoolThreadSettings, 'tls'>>,
  { count = 1, timers = systemTimers }: { count?: number; timers?: Timers } = {},
) {
  const events = createEventBus();
  const outcomes = new Map<number, Outcome>();
  const lost: number[] = [];
  const emitted: Events['pool.thread'][] = [];
  const up: string[] = [];
  events.on('pool.thread', (event) => {
    if (event.state === 'up') up.push(event.pool);
    else emitted.push(event);
  });
  const threads = new PoolThreads({
    settings: makeThreadSettings(settings),
    threads: count,
    clock: systemClock,
    timers,
    events,
    onOutcome: (key, { outcome }) => outcomes.set(key, outcome),
    onLost: (keys) => lost.push(...keys),
  });
  return { threads, outcomes, lost, emitted, up, [Symbol.asyncDispose]: () => threads.kill() };
}

/** A job that makes its thread throw an uncaught error: its headers are not a list. */
function poison(key: number): Job {
  return { ...makeJob({ key }), headers: 1 as unknown as Job['headers'] };
}

test('each thread reports once that it is up, before its first job', async () => {
  await using rig = createRig({ origin: 'http://127.0.0.1:1', workers: 2 }, { count: 2 });
  await rig.threads.start();
  await eventually(() => rig.up.length === 2);
  expect(rig.up).toEqual(['http_pool', 'http_pool']);
});

describe('fifty workers', () => {
  test.each([1, 3])('on %i threads have fifty requests in flight, and report fast ones while a slow one hangs', async (count) => {
    const slow = createDeferred<Answer>();
    const gate = createDeferred<Answer>();
    await using target = await startTarget({ script: ({ path }) => (path === '/slow' ? slow.promise : gate.promise) });
    await using rig = createRig({ origin: target.origin, workers: 50 }, { count });
    await rig.threads.start();

    for (let key = 1; key <= 150; key += 1) rig.threads.send(makeJob({ key, path: key === 7 ? '/slow' : '/fast' }));
    await target.received(50);
    gate.resolve({ kind: 'answer' });
    await eventually(() => rig.outcomes.size === 149 || target.requests.length > 150);

    expect(rig.outcomes.has(7)).toBe(false);
    expect(rig.emitted).toHaveLength(count);
    slow.resolve({ kind: 'answer', status: 202 });
    await eventually(() => rig.outcomes.size === 150);
    expect(rig.outcomes.get(7)).toMatchObject({ kind: 'answered', status: 202 });
    expect(target.counts).toMatchObject({ peakUnanswered: 50, peakOpen: 50, connections: 50 });
  });
});

test('sends a job to the thread with the most free workers', async () => {
  await using target = await startTarget({ script: () => ({ kind: 'silent' }) });
  await using rig = createRig({ origin: target.origin, workers: 3 }, { count: 3 });
  await rig.threads.start();

  for (let key = 1; key <= 3; key += 1) rig.threads.send(makeJob({ key }));

  await target.received(3); // each thread has one worker: two jobs in one of them would wait
});

test('sends jobs from before the thread was up', async () => {
  await using target = await startTarget();
  await using rig = createRig({ origin: target.origin, workers: 1 });

  for (const key of [1, 2]) rig.threads.send(makeJob({ key, path: `/${key}` }));
  const started = rig.threads.start();
  rig.threads.send(makeJob({ key: 3, path: '/3' }));
  await started;

  await eventually(() => rig.outcomes.size === 3);
  expect(target.requests.map(({ path }) => path)).toEqual(['/1', '/2', '/3']);
});

describe('a thread that dies', () => {
  test('reports its jobs as lost with the reason, and is replaced', async () => {
    await using target = await startTarget({ script: ({ path }) => ({ kind: path === '/hangs' ? 'silent' : 'answer' }) });
    await using rig = createRig({ origin: target.origin });
    await rig.threads.start();
    rig.threads.send(makeJob({ key: 1, path: '/hangs' }));
    await target.received(1);

    rig.threads.send(poison(2));
    await eventually(() => rig.lost.length > 0);
    rig.threads.send(makeJob({ key: 3, path: '/next' }));
    await eventually(() => rig.outcomes.size > 0);

    expect(rig.lost).toEqual([1, 2]);
    expect([...rig.outcomes.keys()]).toEqual([3]);
    expect(rig.emitted.map(({ pool, state }) => `${pool} ${state}`)).toEqual(['http_pool started', 'http_pool died', 'http_pool started']);
    expect(rig.emitted[1]?.reason).not.toBe('');
  });

  test('does not affect the other threads of its pool', async () => {
    const held = createDeferred<Answer>();
    await using target = await startTarget({ script: () => held.promise });
    await using rig = createRig({ origin: target.origin, workers: 2 }, { count: 2 });
    await rig.threads.start();
    rig.threads.send(makeJob({ key: 1 }));
    await target.received(1);

    rig.threads.send(poison(2));
    await eventually(() => rig.lost.length > 0);
    held.resolve({ kind: 'answer' });
    await eventually(() => rig.outcomes.size > 0);

    expect(rig.lost).toEqual([2]);
    expect([...rig.outcomes.keys()]).toEqual([1]);
  });
});

describe('pings', () => {
  test('replace a thread that has not answered by the next ping', async () => {
    const timers = createSteppedTimers();
    await using target = await startTarget({ script: ({ path }) => ({ kind: path === '/hangs' ? 'silent' : 'answer' }) });
    await using rig = createRig({ origin: target.origin }, { timers });
    await rig.threads.start();
    rig.threads.send(makeJob({ key: 1, path: '/hangs' }));
    await target.received(1);

    timers.step();
    timers.step(); // at once: it had no time to answer
    expect(rig.lost).toEqual([1]);
    expect(rig.emitted.at(-1)).toEqual({ pool: 'http_pool', state: 'died', reason: 'it has not answered for 10000 ms' });
    timers.step();
    rig.threads.send(makeJob({ key: 2 }));
    await eventually(() => rig.outcomes.has(2));
  });

  test('keep a thread that sends any message', async () => {
    const timers = createSteppedTimers();
    await using target = await startTarget();
    await using rig = createRig({ origin: target.origin }, { timers });
    await rig.threads.start();
    for (let key = 1; key <= 3; key += 1) {
      timers.step();
      rig.threads.send(makeJob({ key }));
      await eventually(() => rig.outcomes.has(key));
    }
    expect(rig.emitted.map(({ state }) => state)).toEqual(['started']);
  });
});

test('stop waits for the jobs in flight, and closes the connections', async () => {
  const held = createDeferred<Answer>();
  await using target = await startTarget({ script: () => held.promise });
  await using rig = createRig({ origin: target.origin });
  await rig.threads.start();
  rig.threads.send(makeJob({ key: 1 }));
  await target.received(1);

  const stopped = rig.threads.stop();
  held.resolve({ kind: 'answer' });
  await stopped;

  await eventually(() => rig.outcomes.has(1) && target.counts.open === 0);
  expect(rig.emitted.map(({ state }) => state)).toEqual(['started']);
});

test('stop does not wait for a thread that does not answer', async () => {
  const timers = createSteppedTimers();
  await using target = await startTarget({ script: () => ({ kind: 'silent' }) });
  await using rig = createRig({ origin: target.origin, requestTimeoutMs: 3_600_000, callTimeoutMs: 3_600_000 }, { timers });
  await rig.threads.start();
  rig.threads.send(makeJob({ key: 1 }));
  await target.received(1);

  const stopped = rig.threads.stop();
  timers.step();
  timers.step(); // at once: it had no time to answer
  await stopped;
});

test('kill ends the threads at once while the backend hangs', async () => {
  await using target = await startTarget({ script: () => ({ kind: 'silent' }) });
  await using rig = createRig({ origin: target.origin }, { count: 2 });
  await rig.threads.start();
  for (let key = 1; key <= 4; key += 1) rig.threads.send(makeJob({ key }));
  await target.received(4);

  await rig.threads.kill();

  await eventually(() => target.counts.open === 0);
  expect([rig.outcomes.size, rig.lost.length]).toEqual([0, 0]);
  expect(rig.emitted.filter(({ state }) => state === 'died')).toEqual([]);
});
