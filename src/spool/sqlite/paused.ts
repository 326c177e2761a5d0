import type Database from 'better-sqlite3';
import { statements, wholeTables } from './statements.ts';

/** The pools that an operator has paused. */
export interface Paused {
  /** Gives all that are paused then. */
  set(pool: string, paused: boolean): string[];
  all(): string[];
}

export function createPaused(db: Database.Database): Paused {
  const pause = db.prepare<[string]>(statements.pause);
  const resume = db.prepare<[string]>(statements.resume);
  const read = db.prepare<[], string>(wholeTables.paused).pluck();

  return {
    set: (pool, paused) => {
      (paused ? pause : resume).run(pool);
      return read.all();
    },
    all: () => read.all(),
  };
}
