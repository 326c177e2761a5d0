import type { Clock, EpochMs } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { AttemptRecord } from '../../model/attempt.ts';
import type { Claimed, DeliveryId, NewDelivery, QueueName } from '../../model/delivery.ts';
import type { Mark } from '../../model/packet.ts';
import type { DeletionReason, EventSink } from '../../telemetry/events.ts';
import type { FailedPacket } from '../dead-letter.ts';
import type { Entry, Settlement, Spool } from '../spool.ts';
import { createCounts } from './counts.ts';
import { createGraveyard } from './graveyard.ts';
import { createOperations } from './operate.ts';
import { asClaimed, createOwedDeliveries, type Owed } from './owed.ts';

/** The spool without a disk: the same rules, and nothing outlives the process. For tests and `engine = "memory"`. */
export function createMemorySpool({ clock, events }: { readonly clock: Clock; readonly events: EventSink }): Spool {
  const owed = createOwedDeliveries();
  const dead = createGraveyard();
  const counts = createCounts();
  const operations = createOperations({ owed, dead, counts });
  const marks = new Map<string, Mark>();
  const paused = new Set<string>();
  let running = false;

  function append({ deliveries, deadLetters, mark, claim, refused, revives }: Entry): readonly Claimed[] {
    if (revives !== undefined) operations.end(revives);
    const added = deliveries.map((delivery, index) => add(delivery, claim[index] === true));
    for (const each of deadLetters) buryFailedPacket(each);
    for (const each of refused) {
      dead.buryRefused(each, clock.now());
      counts.dead(each.delivery, 1);
    }
    if (mark !== undefined) marks.set(JSON.stringify([mark.attachment, mark.host, mark.node]), mark);
    return added.filter(({ place }) => place === 'claimed').map(asClaimed);
  }

  function add(delivery: NewDelivery, take: boolean): Owed {
    counts.waiting(delivery, 1);
    return owed.add(delivery, { take, history: [] });
  }

  function buryFailedPacket(each: FailedPacket): void {
    dead.buryFailedPacket(each, clock.now());
    counts.dead(each, 1);
  }

  function settle(settlement: Settlement): { next: Claimed | undefined; readyPools: readonly string[] } {
    const row = owed.claimed(settlement.seq);
    if (row === undefined) throw new ServiceError('SPOOL_FAILED', `delivery ${settlement.seq} is not claimed: it cannot be settled`);
    const readyPools = new Set<string>();

    const next = applyDisposition(row, settlement, readyPools);
    if (next?.place === 'ready') readyPools.add(next.delivery.pool);
    for (const delivery of settlement.spawn) if (add(delivery, false).place === 'ready') readyPools.add(delivery.pool);
    for (const each of settlement.failedPackets) buryFailedPacket(each);
    return { next: next?.place === 'claimed' ? asClaimed(next) : undefined, readyPools: [...readyPools] };
  }

  /** Gives the lane's next if the lane moved on. */
  function applyDisposition(row: Owed, { disposition, attempt, claimNext }: Settlement, readyPools: Set<string>): Owed | undefined {
    switch (disposition.kind) {
      case 'delivered':
        remove(row);
        return owed.leaveLane(row, claimNext);
      case 'dead':
        record(row, attempt);
        dead.bury(row, { reason: disposition.reason, detail: disposition.detail, diedAt: clock.now() });
        counts.dead(row.delivery, 1);
        remove(row);
        return owed.leaveLane(row, claimNext);
      case 'retry':
        record(row, attempt);
        row.context = disposition.context;
        owed.giveBack(row, disposition.notBefore);
        readyPools.add(row.delivery.pool);
        return disposition.leaveLane ? owed.leaveLane(row, claimNext) : undefined;
      case 'released':
        owed.giveBack(row, row.due);
        readyPools.add(row.delivery.pool);
        return undefined;
      default:
        return disposition satisfies never;
    }
  }

  function remove(row: Owed): void {
    owed.remove(row);
    counts.waiting(row.delivery, -1);
  }

  /** What stands first was accepted first; the walk ends when every pool that owes something is found. */
  function oldest(): Record<string, EpochMs> {
    const byPool: Record<string, EpochMs> = {};
    let missing = new Set(counts.all().flatMap(({ pool, waiting }) => (waiting > 0 ? [pool] : []))).size;
    for (const { delivery } of owed.all()) {
      if (missing === 0) break;
      if (delivery.pool in byPool) continue;
      byPool[delivery.pool] = delivery.createdAt;
      missing -= 1;
    }
    return byPool;
  }

  function sayDeleted(queues: readonly (QueueName & { readonly count: number })[], reason: DeletionReason): number {
    for (const queue of queues) if (queue.count > 0) events.emit('spool.deleted', { ...queue, reason });
    return queues.reduce((total, { count }) => total + count, 0);
  }

  /** One call is one transaction. */
  async function commit<T>(work: () => T): Promise<T> {
    if (!running) throw new ServiceError('SPOOL_FAILED', 'the spool in memory is not running');
    const began = clock.monotonic();
    const result = work();
    events.emit('spool.committed', { durationMs: clock.monotonic() - began, commands: 1 });
    return result;
  }

  const lifecycle = createLifecycle({
    start: async () => {
      running = true;
    },
    stop: async () => {
      running = false;
    },
  });

  return {
    ...lifecycle,
    append: (entry) => commit(() => append(entry)),
    claim: (pool, wanted) =>
      commit(() => {
        const { claimed, nextAt } = owed.claim(pool, wanted);
        return { claimed: claimed.map(asClaimed), nextAt };
      }),
    settle: (settlement) => commit(() => settle(settlement)),
    marks: () => commit(() => [...marks.values()]),
    deadLetters: (filter, { limit, newest = false }) =>
      commit(() => {
        const letters = dead.list(filter);
        return newest ? letters.slice(Math.max(0, letters.length - limit)) : letters.slice(0, limit);
      }),
    deadLetter: (id) => commit(() => dead.find(id)?.letter),
    countDead: (filter) => commit(() => dead.graves(filter).length),
    replay: (filter, how) => commit(() => operations.replay(filter, how)),
    purgeDead: (filter, reason = 'purge') => commit(() => sayDeleted(operations.purgeDead(filter), reason)),
    shed: (pool, count, detail) => commit(() => operations.shed(pool, { count, detail, diedAt: clock.now() })),
    moveQueue: (from, to) => commit(() => operations.moveQueue(from, to)),
    purgeQueue: (queue) => commit(() => sayDeleted([{ ...queue, count: operations.purgeQueue(queue) }], 'orphan-purge')),
    setPaused: (pool, pause) =>
      commit(() => {
        if (pause) paused.add(pool);
        else paused.delete(pool);
      }),
    descendants: (of) =>
      commit(() => [
        ...descending(of, dead.list({})).map((id) => ({ id, state: 'dead' }) as const),
        ...descending(
          of,
          Array.from(owed.all(), (row) => row.delivery),
        ).map((id) => ({ id, state: 'owed' }) as const),
      ]),
    findByJid: (host, bareJid) =>
      commit(() =>
        [...Array.from(owed.all(), (row) => row.delivery), ...dead.list({})]
          .filter((row) => row.host === host && (row.sender === bareJid || row.receiver === bareJid))
          .map((row) => row.id),
      ),
    stats: () => ({
      depths: counts.all(),
      paused: [...paused],
      bytes: 0,
      writable: running,
      reason: running ? '' : 'the spool is not running',
      oldest: oldest(),
      fullInMs: undefined,
      loss: '',
    }),
  };
}

function descending(of: DeliveryId, rows: readonly { readonly id: DeliveryId }[]): readonly DeliveryId[] {
  return rows.map(({ id }) => id).filter((id) => id.startsWith(`${of}.`));
}

function record(row: Owed, attempt: AttemptRecord | undefined): void {
  if (attempt === undefined) return;
  row.attempts += 1;
  row.failingSince ??= attempt.at;
  row.history = [...row.history, attempt];
}
