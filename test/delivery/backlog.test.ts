import { expect, test } from 'vitest';
import type { PoolConfig } from '../../src/config/config.ts';
import { createBacklog } from '../../src/delivery/backlog.ts';
import { createMemorySpool } from '../../src/spool/memory/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { idOf, makeDelivery, makeEntry } from '../spool/build.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A pool that owes so many deliveries, and may owe four. */
async function startBacklog(overflow: PoolConfig['overflow'], owed: number) {
  const events = createEventBus();
  const spool = createMemorySpool({ clock: createFakeClock(), events });
  await spool.start();
  const told: string[] = [];
  events.on('backlog.overflow', ({ handler, policy, count }) => told.push(`${policy} ${handler} ${count}`));
  const fail = (error: Error): never => {
    throw error;
  };
  const pool = { id: 'pool', maxBacklog: 4, overflow };
  const backlog = createBacklog({ pool, spool, events, onReady: () => undefined, onFailed: fail });

  async function arrive(id: string): Promise<boolean> {
    if (!backlog.enter('push')) return false;
    await spool.append(makeEntry([makeDelivery({ id })]));
    backlog.arrived();
    return true;
  }
  for (let number = 1; number <= owed; number += 1) await spool.append(makeEntry([makeDelivery({ id: `old${number}` })]));
  return { backlog, spool, told, arrive };
}

test('dead-letter-oldest makes room by ending the oldest', async () => {
  const { arrive, told, spool } = await startBacklog('dead-letter-oldest', 3);
  for (const id of ['a', 'b', 'c']) {
    expect(await arrive(id)).toBe(true);
    await turn();
  }
  expect(told).toEqual(['dead-letter-oldest push 1', 'dead-letter-oldest push 1']);
  expect(spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 4, dead: 2 }]);
  expect(await spool.deadLetter(idOf('old1'))).toMatchObject({ reason: 'overflow', attempts: 0, body: 'body of old1' });
});

test('dead-letter-oldest ends as many as there are too many, as after a bound was lowered', async () => {
  const { arrive, told, spool } = await startBacklog('dead-letter-oldest', 9);
  await arrive('a');
  await turn();
  expect(told).toEqual(['dead-letter-oldest push 6']);
  expect(spool.stats().depths).toMatchObject([{ waiting: 4, dead: 6 }]);
});

test('refuse turns the newest away, and lets in again when there is room', async () => {
  const { backlog, arrive, told, spool } = await startBacklog('refuse', 4);
  expect(await arrive('a')).toBe(false);
  expect(backlog.fullness).toContain('max_backlog (4)');
  const { claimed } = await spool.claim('pool', { handlers: ['push'], limit: 1, bytes: 1, now: Number.MAX_SAFE_INTEGER });
  await spool.settle({
    seq: claimed[0]?.seq ?? 0,
    disposition: { kind: 'delivered' },
    attempt: undefined,
    spawn: [],
    failedPackets: [],
    claimNext: false,
  });
  expect(await arrive('b')).toBe(true);
  expect(told).toEqual(['refuse push 1']);
});

test('hold-intake tells once that it holds, and again when it does so again', async () => {
  const { backlog, told, spool } = await startBacklog('hold-intake', 4);
  expect([backlog.holdsIntake('push'), backlog.holdsIntake('push')]).toEqual([true, true]);
  await spool.shed('pool', 1, 'room');
  expect(backlog.holdsIntake('push')).toBe(false);
  await spool.append(makeEntry([makeDelivery({ id: 'x' })]));
  backlog.enter('push');
  expect(told).toEqual(['hold-intake push 1']);
  expect(backlog.holdsIntake('push')).toBe(true);
  expect(told).toHaveLength(2);
});

test.each(['refuse', 'hold-intake'] as const)('%s counts what is on its way to the disk', async (overflow) => {
  const { backlog } = await startBacklog(overflow, 2);
  expect([backlog.enter('push'), backlog.enter('push')]).toEqual([true, true]);
  expect(overflow === 'refuse' ? backlog.enter('push') : !backlog.holdsIntake('push')).toBe(false);
});

test('a pool far from its bound asks the spool seldom', async () => {
  const events = createEventBus();
  const spool = createMemorySpool({ clock: createFakeClock(), events });
  let asked = 0;
  const stats = () => {
    asked += 1;
    return spool.stats();
  };
  const pool = { id: 'pool', maxBacklog: 1_000_000, overflow: 'refuse' } as const;
  const backlog = createBacklog({ pool, spool: { ...spool, stats }, events, onReady: () => undefined, onFailed: () => undefined });
  for (let number = 0; number < 100_000; number += 1) backlog.enter('push');
  expect(asked).toBe(1);
});
