import type { EpochMs } from '../../kit/clock.ts';
import type { DeliveryId, QueueName } from '../../model/delivery.ts';
import { countByQueue, type DeadFilter } from '../dead-letter.ts';
import type { Counts } from './counts.ts';
import type { Grave, Graveyard } from './graveyard.ts';
import type { Owed, OwedDeliveries } from './owed.ts';

/** What an operator or an overflow does to many deliveries or dead letters. Each is one transaction. */
export interface Operations {
  replay(
    filter: DeadFilter,
    how: { readonly limit: number; readonly now: EpochMs },
  ): { readonly replayed: number; readonly failedPackets: number; readonly readyPools: readonly string[] };
  purgeDead(filter: DeadFilter): readonly (QueueName & { readonly count: number })[];
  /** Removes the newest dead letter of this id, if there is one. */
  end(id: DeliveryId): void;
  shed(
    pool: string,
    few: { readonly count: number; readonly detail: string; readonly diedAt: EpochMs },
  ): { readonly shed: readonly QueueName[]; readonly readyPools: readonly string[] };
  moveQueue(from: QueueName, to: QueueName): number;
  purgeQueue(queue: QueueName): number;
}

export function createOperations({
  owed,
  dead,
  counts,
}: {
  readonly owed: OwedDeliveries;
  readonly dead: Graveyard;
  readonly counts: Counts;
}): Operations {
  function replay(...[filter, { limit, now }]: Parameters<Operations['replay']>): ReturnType<Operations['replay']> {
    const readyPools = new Set<string>();
    let [replayed, failedPackets] = [0, 0];
    for (const grave of dead.graves(filter)) {
      const { delivery, letter } = grave;
      if (delivery === undefined) failedPackets += 1;
      else if (replayed === limit) break;
      else {
        replayed += 1;
        dead.remove([grave]);
        counts.dead(delivery, -1);
        counts.waiting(delivery, 1);
        const { place } = owed.add({ ...delivery, createdAt: now }, { take: false, history: letter.history });
        if (place === 'ready') readyPools.add(delivery.pool);
      }
    }
    return { replayed, failedPackets, readyPools: [...readyPools] };
  }

  function purge(graves: readonly Grave[]): ReturnType<Operations['purgeDead']> {
    dead.remove(graves);
    for (const { letter } of graves) counts.dead(letter, -1);
    return countByQueue(graves.map(({ letter }) => letter));
  }

  function shed(...[pool, { count, detail, diedAt }]: Parameters<Operations['shed']>): ReturnType<Operations['shed']> {
    const gone: QueueName[] = [];
    const readyPools = new Set<string>();
    while (gone.length < count) {
      const head = oldestReady(pool);
      if (head === undefined) break;
      const { handler } = head.delivery;
      dead.bury(head, { reason: 'overflow', detail, diedAt });
      counts.dead(head.delivery, 1);
      const next = discard(head);
      if (next !== undefined) readyPools.add(next.delivery.pool);
      gone.push({ pool, handler });
    }
    return { shed: gone, readyPools: [...readyPools] };
  }

  function oldestReady(pool: string): Owed | undefined {
    for (const row of owed.all()) if (row.place === 'ready' && row.delivery.pool === pool) return row;
    return undefined;
  }

  /** Gives the lane's next where it was the head. */
  function discard(row: Owed): Owed | undefined {
    const isHead = row.place === 'ready';
    owed.remove(row);
    counts.waiting(row.delivery, -1);
    return isHead ? owed.leaveLane(row, false) : undefined;
  }

  function unclaimed({ pool, handler }: QueueName): readonly Owed[] {
    return Array.from(owed.all()).filter(
      ({ delivery, place }) => place !== 'claimed' && delivery.pool === pool && delivery.handler === handler,
    );
  }

  return {
    replay,
    purgeDead: (filter) => purge(dead.graves(filter)),
    end: (id) => {
      purge([dead.find(id) ?? []].flat());
    },
    shed,
    moveQueue: (from, to) => {
      const rows = unclaimed(from);
      for (const row of rows) owed.move(row, to);
      counts.waiting(from, -rows.length);
      counts.waiting(to, rows.length);
      return rows.length;
    },
    purgeQueue: (queue) => {
      const rows = unclaimed(queue);
      for (const row of rows) discard(row);
      return rows.length;
    },
  };
}
