import type { QueueName } from '../../model/delivery.ts';
import type { QueueDepth } from '../spool.ts';

/** The kept counters of each queue. */
export interface Counts {
  waiting(queue: QueueName, change: number): void;
  dead(queue: QueueName, change: number): void;
  all(): readonly QueueDepth[];
}

export function createCounts(): Counts {
  const queues = new Map<string, { pool: string; handler: string; waiting: number; dead: number }>();

  function of({ pool, handler }: QueueName) {
    const key = JSON.stringify([pool, handler]);
    const known = queues.get(key) ?? { pool, handler, waiting: 0, dead: 0 };
    queues.set(key, known);
    return known;
  }

  return {
    waiting: (queue, change) => {
      of(queue).waiting += change;
    },
    dead: (queue, change) => {
      of(queue).dead += change;
    },
    all: () => Array.from(queues.values(), (queue) => ({ ...queue })),
  };
}
