import type { Clock, EpochMs } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { Mark } from '../../packet/receipt.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { AttemptRecord, Claimed, Entry, PoolDepth, Settlement, Spool } from '../spool.ts';
import { createGraveyard } from './graveyard.ts';
import { asClaimed, createOwedDeliveries, type Owed } from './owed.ts';

type Wanted = Parameters<Spool['claim']>[1];

/** The spool without a disk: the same rules, and nothing outlives the process. For tests and `engine = "memory"`. */
export function createMemorySpool({ clock, events }: { readonly clock: Clock; readonly events: EventSink }): Spool {
  const owed = createOwedDeliveries();
  const dead = createGraveyard();
  const marks = new Map<string, Mark>();
  const depths = new Map<string, { waiting: number; dead: number }>();
  let running = false;

  function append({ deliveries, deadLetters, mark, claim }: Entry): readonly Claimed[] {
    const claimed: Claimed[] = [];
    deliveries.forEach((delivery, index) => {
      const added = owed.add(delivery, claim[index] === true);
      depth(delivery.pool).waiting += 1;
      if (added.place === 'claimed') claimed.push(asClaimed(added));
    });
    for (const stillBorn of deadLetters) {
      dead.buryStillBorn(stillBorn, clock.now());
      depth(stillBorn.pool).dead += 1;
    }
    if (mark !== undefined) marks.set(JSON.stringify([mark.attachment, mark.host, mark.node]), mark);
    return claimed;
  }

  function claim(pool: string, { limit, bytes, now }: Wanted): { claimed: readonly Claimed[]; nextAt: EpochMs | undefined } {
    const claimed: Claimed[] = [];
    let room = bytes;
    while (claimed.length < limit) {
      const first = owed.earliest(pool);
      if (first === undefined || first.due > now) break;
      room -= Buffer.byteLength(first.delivery.body);
      if (room < 0 && claimed.length > 0) break;
      owed.takeEarliest(pool);
      claimed.push(asClaimed(first));
    }
    return { claimed, nextAt: owed.earliest(pool)?.due };
  }

  function settle(settlement: Settlement): { next: Claimed | undefined; readyPools: readonly string[] } {
    const row = owed.claimed(settlement.seq);
    if (row === undefined) throw new ServiceError('SPOOL_FAILED', `delivery ${settlement.seq} is not claimed: it cannot be settled`);
    const readyPools = new Set<string>();

    const next = decideFate(row, settlement, readyPools);
    if (next?.place === 'ready') readyPools.add(next.delivery.pool);
    for (const delivery of settlement.spawn) {
      if (owed.add(delivery, false).place === 'ready') readyPools.add(delivery.pool);
      depth(delivery.pool).waiting += 1;
    }
    return { next: next?.place === 'claimed' ? asClaimed(next) : undefined, readyPools: [...readyPools] };
  }

  /** Gives the lane's next if the lane moved on. */
  function decideFate(row: Owed, { fate, attempt, claimNext }: Settlement, readyPools: Set<string>): Owed | undefined {
    const { pool } = row.delivery;
    switch (fate.kind) {
      case 'delivered':
        end(row);
        return owed.leaveLane(row, claimNext);
      case 'dead': {
        record(row, attempt);
        const { attempts, history } = row;
        dead.bury(row, { reason: fate.reason, detail: fate.detail, diedAt: clock.now(), attempts, history });
        depth(pool).dead += 1;
        end(row);
        return owed.leaveLane(row, claimNext);
      }
      case 'retry':
        record(row, attempt);
        owed.giveBack(row, fate.notBefore);
        readyPools.add(pool);
        return fate.leaveLane ? owed.leaveLane(row, claimNext) : undefined;
      case 'released':
        owed.giveBack(row, row.due);
        readyPools.add(pool);
        return undefined;
      default:
        return fate satisfies never;
    }
  }

  function end(row: Owed): void {
    owed.remove(row);
    depth(row.delivery.pool).waiting -= 1;
  }

  function depth(pool: string): { waiting: number; dead: number } {
    const known = depths.get(pool) ?? { waiting: 0, dead: 0 };
    depths.set(pool, known);
    return known;
  }

  function purge(diedBefore: EpochMs): number {
    const ended = dead.purge(diedBefore);
    for (const { pool } of ended) depth(pool).dead -= 1;
    return ended.length;
  }

  /** What stands first was accepted first; the walk ends when every pool that owes something is found. */
  function oldest(): Record<string, EpochMs> {
    const byPool: Record<string, EpochMs> = {};
    let missing = Array.from(depths.values()).filter(({ waiting }) => waiting > 0).length;
    for (const { delivery } of owed.all()) {
      if (missing === 0) break;
      if (delivery.pool in byPool) continue;
      byPool[delivery.pool] = delivery.createdAt;
      missing -= 1;
    }
    return byPool;
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
    claim: (pool, wanted) => commit(() => claim(pool, wanted)),
    settle: (settlement) => commit(() => settle(settlement)),
    marks: () => commit(() => [...marks.values()]),
    deadLetters: (filter) => commit(() => dead.list(filter)),
    deadLetter: (id) => commit(() => dead.find(id)),
    findByJid: (host, bareJid) =>
      commit(() =>
        [...Array.from(owed.all(), (row) => row.delivery), ...dead.all()]
          .filter((row) => row.host === host && (row.sender === bareJid || row.receiver === bareJid))
          .map((row) => row.id),
      ),
    purgeDead: (diedBefore) => commit(() => purge(diedBefore)),
    stats: () => ({
      depths: Array.from(depths, ([pool, counts]): PoolDepth => ({ pool, ...counts })),
      bytes: 0,
      writable: running,
      reason: running ? '' : 'the spool is not running',
      oldest: oldest(),
    }),
  };
}

function record(row: Owed, attempt: AttemptRecord | undefined): void {
  if (attempt === undefined) return;
  row.attempts += 1;
  row.failingSince ??= attempt.at;
  row.history = [...row.history, attempt];
}
