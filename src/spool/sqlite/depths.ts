import type Database from 'better-sqlite3';
import type { QueueName } from '../../model/delivery.ts';
import type { Depth } from './protocol.ts';
import { statements, wholeTables } from './statements.ts';

/** One queue with its kept counters. There is one object for each, so that a claimed delivery can point at its own. */
export interface Queue extends QueueName {
  waiting: number;
  dead: number;
}

/** The kept counters of each queue, written in the transactions that change them. */
export interface Depths {
  /** Reads them anew: after the start, and after a transaction that was undone. Queues given before are void then. */
  load(): void;
  /** Forgets queues with nothing in them. Once, at the start. */
  forgetEmpty(): void;
  of(pool: string, handler: string): Queue;
  addWaiting(queue: Queue, count: number): void;
  addDead(queue: Queue, count: number): void;
  /** Writes what has changed since the last time; before a commit. */
  write(): void;
  /** What was written since the last time this was asked. */
  takeChanged(): Depth[];
  all(): Queue[];
}

export function createDepths(db: Database.Database): Depths {
  const read = db.prepare<[], Queue>(wholeTables.depths);
  const forgetEmpty = db.prepare(wholeTables.forgetEmptyDepths);
  const set = db.prepare<[string, string, number, number]>(statements.setDepth);
  const byPool = new Map<string, Map<string, Queue>>();
  const unwritten = new Set<Queue>();
  const untold = new Set<Queue>();

  function load(): void {
    byPool.clear();
    unwritten.clear();
    untold.clear();
    for (const { pool, handler, waiting, dead } of read.all()) {
      const queue = of(pool, handler);
      queue.waiting = waiting;
      queue.dead = dead;
      untold.add(queue);
    }
  }

  function of(pool: string, handler: string): Queue {
    const known = byPool.get(pool)?.get(handler);
    if (known !== undefined) return known;
    const queue = { pool, handler, waiting: 0, dead: 0 };
    byPool.set(pool, (byPool.get(pool) ?? new Map<string, Queue>()).set(handler, queue));
    return queue;
  }

  function write(): void {
    for (const queue of unwritten) {
      set.run(queue.pool, queue.handler, queue.waiting, queue.dead);
      untold.add(queue);
    }
    unwritten.clear();
  }

  function takeChanged(): Depth[] {
    const changed = Array.from(untold, depthOf);
    untold.clear();
    return changed;
  }

  return {
    load,
    forgetEmpty: () => {
      forgetEmpty.run();
    },
    of,
    addWaiting: (queue, count) => {
      queue.waiting += count;
      unwritten.add(queue);
    },
    addDead: (queue, count) => {
      queue.dead += count;
      unwritten.add(queue);
    },
    write,
    takeChanged,
    all: () => Array.from(byPool.values(), (queues) => [...queues.values()]).flat(),
  };
}

export function depthOf({ pool, handler, waiting, dead }: Queue): Depth {
  return [pool, handler, waiting, dead];
}
