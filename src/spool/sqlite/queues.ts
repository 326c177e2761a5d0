import type { EpochMs } from '../../kit/clock.ts';
import type { QueueName } from '../../model/delivery.ts';
import type { Graveyard } from './graveyard.ts';
import type { Histories } from './histories.ts';
import type { Held } from './holding.ts';
import type { OwedDeliveries, Standing } from './owed.ts';
import type { Answers, Chunk } from './protocol.ts';

/** What is done to whole queues, some rows in each transaction; what somebody has claimed is left alone. */
export interface Queues {
  /** Makes heads dead letters, the oldest first. */
  shed(pool: string, few: Few, diedAt: EpochMs): Answers['shed'];
  move(from: QueueName, to: QueueName, after: number): Chunk<number>;
  purge(queue: QueueName, after: number): Chunk<number>;
}

export interface Few {
  readonly count: number;
  readonly detail: string;
}

/** Rows looked at, and rows buried with their bodies, in one transaction. */
const windowRows = 1000;
const buriedAtOnce = 250;

export function createQueues({
  owed,
  dead,
  histories,
}: {
  readonly owed: OwedDeliveries;
  readonly dead: Graveyard;
  readonly histories: Histories;
}): Queues {
  function shed(pool: string, { count, detail }: Few, diedAt: EpochMs): Answers['shed'] {
    const gone: QueueName[] = [];
    const readyPools = new Set<string>();
    const most = Math.min(count, buriedAtOnce);
    while (gone.length < most) {
      const head = owed.oldestReady(pool);
      if (head === undefined) break;
      dead.bury(head, { reason: 'overflow', detail, attempts: head.spent, diedAt });
      owed.discard(head);
      const released = owed.moveOn(head, false);
      if (released.kind === 'ready') readyPools.add(released.pool);
      gone.push({ pool, handler: head.queue.handler });
    }
    return { shed: gone, readyPools: [...readyPools], more: gone.length === buriedAtOnce && gone.length < count };
  }

  function move(from: QueueName, to: QueueName, after: number): Chunk<number> {
    const { members, more } = look(from, after);
    for (const { held } of members) owed.move(held, to);
    return { count: members.length, more };
  }

  function purge(queue: QueueName, after: number): Chunk<number> {
    const { members, more } = look(queue, after);
    for (const { held } of members) {
      if (held.spent > 0) histories.remove(held.seq);
      owed.discard(held);
    }
    for (const { held, place } of members) if (place === 'ready') owed.moveOn(held, false);
    return { count: members.length, more };
  }

  function look({ pool, handler }: QueueName, after: number): { members: readonly Standing[]; more: number | undefined } {
    const window = owed.standing(after, windowRows);
    const isMember = ({ queue }: Held) => queue.pool === pool && queue.handler === handler;
    return {
      members: window.filter(({ held, place }) => place !== 'claimed' && isMember(held)),
      more: window.length === windowRows ? window.at(-1)?.held.seq : undefined,
    };
  }

  return { shed, move, purge };
}
