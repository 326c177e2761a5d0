import type Database from 'better-sqlite3';
import type { Depth } from './protocol.ts';
import { statements, wholeTables } from './statements.ts';

/** The kept counters of each pool, written in the transactions that change them. */
export interface Depths {
  /** Reads them anew: after the start, and after a transaction that was undone. */
  load(): void;
  add(pool: string, change: { readonly waiting?: number; readonly dead?: number }): void;
  /** Writes what has changed since the last time; before a commit. */
  write(): void;
  /** What was written since the last time this was asked. */
  takeChanged(): Depth[];
  all(): Depth[];
}

export function createDepths(db: Database.Database): Depths {
  const read = db.prepare<[], { pool: string; waiting: number; dead: number }>(wholeTables.depths);
  const set = db.prepare<[string, number, number]>(statements.setDepth);
  const byPool = new Map<string, { waiting: number; dead: number }>();
  const unwritten = new Set<string>();
  const untold = new Set<string>();

  function load(): void {
    byPool.clear();
    unwritten.clear();
    for (const { pool, waiting, dead } of read.all()) {
      byPool.set(pool, { waiting, dead });
      untold.add(pool);
    }
  }

  function add(pool: string, { waiting = 0, dead = 0 }: { readonly waiting?: number; readonly dead?: number }): void {
    const depth = byPool.get(pool) ?? { waiting: 0, dead: 0 };
    depth.waiting += waiting;
    depth.dead += dead;
    byPool.set(pool, depth);
    unwritten.add(pool);
  }

  function write(): void {
    for (const pool of unwritten) {
      const [, waiting, dead] = depthOf(pool);
      set.run(pool, waiting, dead);
      untold.add(pool);
    }
    unwritten.clear();
  }

  function takeChanged(): Depth[] {
    const changed = Array.from(untold, depthOf);
    untold.clear();
    return changed;
  }

  function depthOf(pool: string): Depth {
    const { waiting, dead } = byPool.get(pool) ?? { waiting: 0, dead: 0 };
    return [pool, waiting, dead];
  }

  return { load, add, write, takeChanged, all: () => Array.from(byPool.keys(), depthOf) };
}
