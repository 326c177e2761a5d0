import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { Depths } from './depths.ts';
import { statements } from './statements.ts';

/** What is known of a delivery without its content. `spent` counts attempts, those before a replay too. */
export type Facts = readonly [seq: number, spent: number, pool: string, handler: string, lane: string | null, createdAt: EpochMs];

/**
 * Finds the ready delivery of a pool that was accepted first. What was put off was accepted before it is due, and what was
 * not when it was due: so the first of each line and the oldest that was put off are enough.
 */
export function createOldest(db: Database.Database, depths: Depths): (pool: string) => Facts | undefined {
  const firstReady = db.prepare<[string, string, number], Facts>(statements.firstReady).raw();
  const oldestDeferred = db.prepare<[string], Facts>(statements.oldestDeferred).raw();

  return (pool) => {
    const queues = depths.all().filter((queue) => queue.pool === pool && queue.waiting > 0);
    const firsts = queues.flatMap(({ handler }) => [firstReady.get(pool, handler, 0), firstReady.get(pool, handler, 1)]);
    return [...firsts, oldestDeferred.get(pool)].reduce(older, undefined);
  };
}

function older(one: Facts | undefined, other: Facts | undefined): Facts | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const [seq, , , , , createdAt] = one;
  const [otherSeq, , , , , otherCreatedAt] = other;
  return createdAt < otherCreatedAt || (createdAt === otherCreatedAt && seq < otherSeq) ? one : other;
}
