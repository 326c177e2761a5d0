import { expect, test } from 'vitest';
import type { Job, PoolThreadSettings } from '../../pools/contract.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { importBuilt } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { makeJob, makeThreadSettings } from '../support/make-job.ts';
import { startTarget } from '../support/target.ts';

// The build: real threads cannot load .ts here.
const { PoolThreads } = await importBuilt<typeof import('../../src/delivery/pool-threads.ts')>('src/delivery/pool-threads.js');
const { SharedThreads, ThreadHost } = await importBuilt<typeof import('../../src/delivery/thread-host.ts')>('src/delivery/thread-host.js');

type Host = InstanceType<typeof ThreadHost>;

function createPool(host: () => Host, settings: Partial<Omit<PoolThreadSettings, 'tls'>>) {
  const outcomes = new Map<number, string>();
  const lost: number[] = [];
  const threads = new PoolThreads({
    ...{ settings: makeThreadSettings(settings), threads: 1, host, clock: systemClock, timers: systemTimers, events: createEventBus() },
    onOutcome: (key, { outcome }) => outcomes.set(key, outcome.kind),
    onLost: (keys) => lost.push(...keys),
  });
  return { threads, outcomes, lost, [Symbol.asyncDispose]: () => threads.kill() };
}

/** A job that makes its thread throw an uncaught error: its headers are not a list. */
const poison: Job = { ...makeJob({ key: 2 }), headers: 1 as unknown as Job['headers'], wantsBody: true };

test('a pool that is killed abandons its requests, and leaves those of the others alone', async () => {
  const host = new ThreadHost(systemTimers);
  await using hanging = await startTarget({ script: () => ({ kind: 'silent' }) });
  await using target = await startTarget({ script: ({ path }) => ({ kind: path === '/hangs' ? 'silent' : 'answer' }) });
  await using first = createPool(() => host, { name: 'first', origin: hanging.origin });
  await using second = createPool(() => host, { name: 'second', origin: target.origin });
  await Promise.all([first.threads.start(), second.threads.start()]);
  first.threads.send(makeJob({ key: 1 }));
  second.threads.send(makeJob({ key: 1, path: '/hangs' }));
  await Promise.all([hanging.received(1), target.received(1)]);

  await first.threads.kill();

  await eventually(() => hanging.counts.open === 0);
  second.threads.send(makeJob({ key: 2 }));
  await eventually(() => second.outcomes.has(2));
  expect([target.counts.open, second.lost, first.outcomes.size]).toEqual([2, [], 0]);
});

test('a pool that stops waits for its own requests only', async () => {
  const host = new ThreadHost(systemTimers);
  await using hanging = await startTarget({ script: () => ({ kind: 'silent' }) });
  await using target = await startTarget();
  await using first = createPool(() => host, { name: 'first', origin: hanging.origin });
  await using second = createPool(() => host, { name: 'second', origin: target.origin });
  await Promise.all([first.threads.start(), second.threads.start()]);
  first.threads.send(makeJob({ key: 1 }));
  second.threads.send(makeJob({ key: 1 }));
  await hanging.received(1);

  await second.threads.stop();

  expect(second.outcomes.get(1)).toBe('answered');
  expect(hanging.counts.open).toBe(1);
});

test('if a shared thread dies, each pool loses its requests in flight, and continues', async () => {
  const host = new ThreadHost(systemTimers);
  await using target = await startTarget({ script: ({ path }) => ({ kind: path === '/hangs' ? 'silent' : 'answer' }) });
  await using first = createPool(() => host, { name: 'first', origin: target.origin });
  await using second = createPool(() => host, { name: 'second', origin: target.origin });
  await Promise.all([first.threads.start(), second.threads.start()]);
  for (const { threads } of [first, second]) threads.send(makeJob({ key: 1, path: '/hangs' }));
  await target.received(2);

  first.threads.send(poison);
  await eventually(() => second.lost.length > 0);

  expect([first.lost, second.lost]).toEqual([[1, 2], [1]]);
  for (const { threads } of [first, second]) threads.send(makeJob({ key: 3 }));
  await eventually(() => first.outcomes.has(3) && second.outcomes.has(3));
});

test('a pool with requests in flight at the death of a shared thread has a thread of its own afterwards', async () => {
  const host = new ThreadHost(systemTimers);
  await using target = await startTarget({ script: ({ path }) => ({ kind: path === '/hangs' ? 'silent' : 'answer' }) });
  await using first = createPool(() => host, { name: 'first', origin: target.origin });
  await using second = createPool(() => host, { name: 'second', origin: target.origin });
  await using idle = createPool(() => host, { name: 'idle', origin: target.origin });
  await Promise.all([first, second, idle].map(({ threads }) => threads.start()));
  for (let death = 1; death <= 3; death += 1) {
    if (death <= 2) second.threads.send(makeJob({ key: death, path: '/hangs' }));
    await target.received(Math.min(death, 2));
    first.threads.send(poison);
    await eventually(() => first.lost.length === death);
  }
  expect([second.lost, idle.lost]).toEqual([[1], []]);
  idle.threads.send(makeJob({ key: 9 }));
  await eventually(() => idle.outcomes.has(9));
});

test('a pool that cannot be loaded ends its thread less and less often, although another pool of the thread is served', async () => {
  const waitsMs: number[] = [];
  const after: typeof systemTimers.after = (delayMs, action) => {
    if (delayMs < 10_000) waitsMs.push(delayMs); // not the pings
    return systemTimers.after(delayMs, action);
  };
  const host = new ThreadHost({ after });
  await using target = await startTarget();
  const failures: (() => void)[] = [];
  await using gate = await startTarget({ script: () => new Promise((fail) => failures.push(() => fail({ kind: 'answer' }))) });
  const url = `data:text/javascript,${encodeURIComponent(`await fetch(${JSON.stringify(gate.origin)}); throw new Error("no");`)}`;
  const opts = { name: 'push', poolName: 'broken', path: '/', callbackModule: url };
  await using well = createPool(() => host, { name: 'well', origin: target.origin });
  await using broken = createPool(() => host, { name: 'broken', origin: target.origin, handlers: [{ name: 'push', url, opts }] });
  await Promise.all([well.threads.start(), broken.threads.start()]);
  for (let life = 1; life <= 3; life += 1) {
    well.threads.send(makeJob({ key: life }));
    await eventually(() => well.outcomes.has(life) && failures.length === life);
    failures.at(-1)?.();
    await eventually(() => waitsMs.length === life);
  }
  expect(waitsMs).toEqual([100, 200, 400]);
});

test('a pool that starts goes to the thread with the fewest workers', async () => {
  const shared = new SharedThreads(systemTimers, 4);
  const hosts = new Set<Host>();
  const next = () => {
    const host = shared.next();
    hosts.add(host);
    return host;
  };
  const pools = [9, 5, 5, 5, 3].map((workers, index) => createPool(next, { name: `pool${index}`, workers }));
  for (const { threads } of pools) await threads.start();

  expect([...hosts].map(({ workers }) => workers)).toEqual([9, 8, 5, 5]);
  await Promise.all(pools.map(({ threads }) => threads.kill()));
  expect([...hosts].map(({ workers }) => workers)).toEqual([0, 0, 0, 0]);
});
