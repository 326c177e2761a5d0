import { describe, expect, test } from 'vitest';
import type { PoolConfig } from '../../src/config/config.ts';
import { Backlog, IntakeQueue } from '../../src/delivery/backlog.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { idOf, makeDelivery, makeEntry } from '../spool/build.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A pool with `pending` deliveries and a `max_backlog` of 4. */
async function startBacklog(overflow: PoolConfig['overflow'], pending: number) {
  const events = createEventBus();
  const spool = createMemorySpool({ clock: createFakeClock(), events });
  await spool.start();
  const emitted: string[] = [];
  events.on('backlog.overflow', ({ handler, policy, count }) => emitted.push(`${policy} ${handler} ${count}`));
  const fail = (error: Error): never => {
    throw error;
  };
  const pool = { id: 'pool', maxBacklog: 4, overflow };
  const backlog = new Backlog({ pool, spool, events, onReady: () => undefined, onFailed: fail });

  async function arrive(id: string): Promise<boolean> {
    if (!backlog.enter('push')) return false;
    await appendTo(spool, makeEntry([makeDelivery({ id })]));
    backlog.stored();
    return true;
  }
  for (let number = 1; number <= pending; number += 1) await appendTo(spool, makeEntry([makeDelivery({ id: `old${number}` })]));
  return { backlog, spool, emitted, arrive };
}

test('dead-letter-oldest makes the oldest delivery a dead letter', async () => {
  const { arrive, emitted, spool } = await startBacklog('dead-letter-oldest', 3);
  for (const id of ['a', 'b', 'c']) {
    expect(await arrive(id)).toBe(true);
    await turn();
  }
  expect(emitted).toEqual(['dead-letter-oldest push 1', 'dead-letter-oldest push 1']);
  expect(spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 4, dead: 2 }]);
  expect(await spool.deadLetter(idOf('old1'))).toMatchObject({ reason: 'overflow', attempts: 0, body: 'body of old1' });
});

test('dead-letter-oldest removes the whole excess, for example after max_backlog was lowered', async () => {
  const { arrive, emitted, spool } = await startBacklog('dead-letter-oldest', 9);
  await arrive('a');
  await turn();
  expect(emitted).toEqual(['dead-letter-oldest push 6']);
  expect(spool.stats().depths).toMatchObject([{ waiting: 4, dead: 6 }]);
});

test('refuse rejects the newest delivery, and accepts again when the pool has capacity', async () => {
  const { backlog, arrive, emitted, spool } = await startBacklog('refuse', 4);
  expect(await arrive('a')).toBe(false);
  expect(backlog.fullness).toContain('max_backlog (4)');
  const { claimed } = await claimFrom(spool, 'pool', { handlers: ['push'], limit: 1, bytes: 1, now: Number.MAX_SAFE_INTEGER });
  await settleIn(spool, {
    seq: claimed[0]?.seq ?? 0,
    disposition: { kind: 'delivered' },
    attempt: undefined,
    spawn: [],
    failedPackets: [],
    claimNext: 0,
  });
  expect(await arrive('b')).toBe(true);
  expect(emitted).toEqual(['refuse push 1']);
});

test('hold-intake emits each change to full once', async () => {
  const { backlog, emitted, spool } = await startBacklog('hold-intake', 4);
  expect([backlog.holdsIntake('push'), backlog.holdsIntake('push')]).toEqual([true, true]);
  await spool.shed('pool', 1, 'room');
  expect(backlog.holdsIntake('push')).toBe(false);
  await appendTo(spool, makeEntry([makeDelivery({ id: 'x' })]));
  backlog.enter('push');
  expect(emitted).toEqual(['hold-intake push 1']);
  expect(backlog.holdsIntake('push')).toBe(true);
  expect(emitted).toHaveLength(2);
});

test.each(['refuse', 'hold-intake'] as const)('%s counts deliveries that are not on disk yet', async (overflow) => {
  const { backlog } = await startBacklog(overflow, 2);
  expect([backlog.enter('push'), backlog.enter('push')]).toEqual([true, true]);
  expect(overflow === 'refuse' ? backlog.enter('push') : !backlog.holdsIntake('push')).toBe(false);
});

test('a pool far below its limit rarely reads the counters of the spool', async () => {
  const events = createEventBus();
  const spool = createMemorySpool({ clock: createFakeClock(), events });
  let asked = 0;
  const stats = () => {
    asked += 1;
    return spool.stats();
  };
  const pool = { id: 'pool', maxBacklog: 1_000_000, overflow: 'refuse' } as const;
  const backlog = new Backlog({ pool, spool: { ...spool, stats }, events, onReady: () => undefined, onFailed: () => undefined });
  for (let number = 0; number < 100_000; number += 1) backlog.enter('push');
  expect(asked).toBe(1);
});

describe('the intake queue', () => {
  test('admits at once while it is empty', () => {
    const queue = new IntakeQueue(createFakeTimers());
    expect(queue.join(() => true)).toBeUndefined();
  });

  test('admits in the order of arrival', async () => {
    const timers = createFakeTimers();
    const queue = new IntakeQueue(timers);
    const through: string[] = [];
    let open = false;
    void queue.join(() => open)?.then(() => through.push('first'));
    void queue.join(() => true)?.then(() => through.push('second'));
    await turn();
    expect(through).toEqual([]);
    open = true;
    timers.fire();
    await turn();
    expect(through).toEqual(['first', 'second']);
    expect(queue.join(() => true)).toBeUndefined();
  });

  test('stops its checks when it is closed', async () => {
    const timers = createFakeTimers();
    const queue = new IntakeQueue(timers);
    void queue.join(() => false);
    await turn();
    expect(timers.pending).toBe(1);
    queue.close();
    expect(timers.pending).toBe(0);
  });
});
