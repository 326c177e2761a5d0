import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { Mark } from '../../model/packet.ts';
import type { QueueDepth } from '../spool.ts';
import { createDepths } from '../sqlite/depths.ts';
import { createOldest, type Facts } from '../sqlite/oldest.ts';
import { statements, wholeTables } from '../sqlite/statements.ts';
import { type OpenFile, readFile } from './open-read-only.ts';

/** What a spool's file says of itself. */
export interface SpoolInfo {
  readonly path: string;
  /** The file and its log. */
  readonly bytes: number;
  readonly version: number;
  readonly isOld: boolean;
  /** The process that holds it now; null: nobody does. */
  readonly holder: number | null;
  readonly queues: readonly QueueDepth[];
  /** When the oldest delivery still owed was accepted, by pool. */
  readonly oldest: Readonly<Record<string, EpochMs>>;
  readonly marks: readonly Mark[];
  readonly paused: readonly string[];
}

/** Undefined where there is no file; of an old file only what its schema has. Throws as {@link readFile}. */
export function readInfo(path: string): SpoolInfo | undefined {
  return readFile(path, (file) => ({
    path,
    bytes: sizeOf(path) + sizeOf(`${path}-wal`),
    version: file.version,
    isOld: file.isOld,
    holder: isHeld(path) ? holderOf(file.db) : null,
    ...(file.isOld ? { queues: [], oldest: {}, marks: [], paused: [] } : contentOf(file)),
  }));
}

function contentOf({ db }: OpenFile): Pick<SpoolInfo, 'marks' | 'oldest' | 'paused' | 'queues'> {
  const read = db.transaction(() => {
    const depths = createDepths(db);
    depths.load();
    const queues = depths.all().filter(({ waiting, dead }) => waiting > 0 || dead > 0);
    const marks = db.prepare<[], Mark>(wholeTables.marks).all();
    const paused = db.prepare<[], string>(wholeTables.paused).pluck().all();
    return { queues, marks, paused, oldest: oldestByPool() };

    /** The ready ones by their lines, the claimed ones one by one: there are few. */
    function oldestByPool(): Record<string, EpochMs> {
      const oldestReady = createOldest(db, depths);
      const claimed = db.prepare<[], Facts>(statements.claims).raw().all();
      const ready = Array.from(new Set(depths.all().map(({ pool }) => pool)), oldestReady);
      const oldest: Record<string, EpochMs> = {};
      for (const facts of [...claimed, ...ready]) {
        if (facts === undefined) continue;
        const [, , pool, , , createdAt] = facts;
        oldest[pool] = Math.min(oldest[pool] ?? createdAt, createdAt);
      }
      return oldest;
    }
  });
  return read();
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Whether somebody has the lock beside the file; it is only looked at. */
function isHeld(path: string): boolean {
  if (!existsSync(`${path}.lock`)) return false;
  const lock = new Database(`${path}.lock`, { readonly: true, timeout: 0 });
  try {
    lock.prepare('SELECT 1 FROM sqlite_schema').get();
    return false;
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return true;
    throw error;
  } finally {
    lock.close();
  }
}

function holderOf(db: Database.Database): number {
  return Number(db.prepare('SELECT pid FROM holder').pluck().get() ?? 0);
}
