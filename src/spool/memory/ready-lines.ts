import type { EpochMs } from '../../kit/clock.ts';
import type { QueueName } from '../../model/delivery.ts';
import { createHeap, type Heap } from './heap.ts';

/** What can stand in line. */
export interface Entrant<T> {
  readonly seq: number;
  readonly delivery: QueueName;
  readonly due: EpochMs;
  readonly attempts: number;
  /** Its present place in line. */
  standing: Standing<T> | undefined;
}

export interface Standing<T> {
  readonly entrant: T;
  readonly due: EpochMs;
  readonly seq: number;
}

export type LineKind = 'fresh' | 'retries';

/** The ready ones of each queue, earliest due first, those without an attempt apart from the others. */
export interface ReadyLines<T extends Entrant<T>> {
  enter(entrant: T): void;
  /** Forgets where it stands. */
  leave(entrant: T): void;
  /** The first of these queues that is in line, whether due or not. */
  first(kind: LineKind, pool: string, handlers: readonly string[]): T | undefined;
}

export function createReadyLines<T extends Entrant<T>>(): ReadyLines<T> {
  const lines = new Map<string, Heap<Standing<T>>>();

  function lineOf(kind: LineKind, { pool, handler }: QueueName): Heap<Standing<T>> {
    const key = JSON.stringify([kind, pool, handler]);
    const line = lines.get(key) ?? createHeap<Standing<T>>(isBefore);
    lines.set(key, line);
    return line;
  }

  /** Who has left still stands in the heap until it would be its turn. */
  function headOf(line: Heap<Standing<T>>): Standing<T> | undefined {
    for (;;) {
      const head = line.peek();
      if (head === undefined || head.entrant.standing === head) return head;
      line.pop();
    }
  }

  return {
    enter: (entrant) => {
      const standing = { entrant, due: entrant.due, seq: entrant.seq };
      entrant.standing = standing;
      lineOf(entrant.attempts > 0 ? 'retries' : 'fresh', entrant.delivery).push(standing);
    },
    leave: (entrant) => {
      entrant.standing = undefined;
    },
    first: (kind, pool, handlers) => {
      const heads = handlers.flatMap((handler) => headOf(lineOf(kind, { pool, handler })) ?? []);
      return heads.reduce<Standing<T> | undefined>((best, each) => (best === undefined || isBefore(each, best) ? each : best), undefined)
        ?.entrant;
    },
  };
}

function isBefore(one: Standing<unknown>, other: Standing<unknown>): boolean {
  return one.due < other.due || (one.due === other.due && one.seq < other.seq);
}
