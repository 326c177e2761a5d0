/** Reads a spool's file from another process, whether a service uses it or not, and disturbs neither. */

import { closeSync, existsSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { EpochMs } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Mark } from '../model/packet.ts';
import { flushToDisk } from './flush-to-disk.ts';
import { backUpHistory } from './history/backup.ts';
import type { QueueDepth } from './spool.ts';
import { isDamage } from './sqlite/errors.ts';
import { refuseOtherThanFile } from './sqlite/file.ts';
import { type FactsRow, ReadyQueues } from './sqlite/ready-queues.ts';
import { migrations, refuseForeign, versionOf } from './sqlite/schema.ts';
import { Depths } from './sqlite/side-tables.ts';
import { statements, wholeTables } from './sqlite/statements.ts';

/** Contents of a spool. */
export interface SpoolInfo {
  /** Path of the file, or schema and address of the database. */
  readonly path: string;
  /** Size of the file and its log, or of the tables and their indexes. */
  readonly bytes: number;
  readonly version: number;
  readonly isOld: boolean;
  /** Id of the process that uses the spool, with PostgreSQL its name; null if none does. */
  readonly holder: number | string | null;
  readonly queues: readonly QueueDepth[];
  /** When the oldest pending delivery was accepted, by pool. */
  readonly oldest: ReadonlyMap<string, EpochMs>;
  readonly marks: readonly Mark[];
  readonly paused: readonly string[];
}

/** Undefined if there is no file; of a file with an old schema only its size and version. Throws as {@link readFile}. */
export function readInfo(path: string): SpoolInfo | undefined {
  return readFile(path, (file) => ({
    path,
    bytes: sizeOf(path) + sizeOf(`${path}-wal`),
    version: file.version,
    isOld: file.isOld,
    holder: isHeld(path) ? holderOf(file.db) : null,
    ...(file.isOld ? { queues: [], oldest: new Map(), marks: [], paused: [] } : contentOf(file)),
  }));
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Whether a process holds the lock. Only reads it. */
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

function contentOf({ db }: OpenFile): Pick<SpoolInfo, 'marks' | 'oldest' | 'paused' | 'queues'> {
  const read = db.transaction(() => {
    const depths = new Depths(db);
    depths.load();
    const queues = depths.all().filter(({ waiting, dead }) => waiting > 0 || dead > 0);
    const marks = db.prepare<[], Mark>(wholeTables.marks).all();
    const paused = db.prepare<[], string>(wholeTables.paused).pluck().all();
    return { queues, marks, paused, oldest: oldestByPool(db, depths) };
  });
  return read();
}

/** Looks up ready deliveries by the indexes, and reads all claimed ones and hot ones, which are few. */
function oldestByPool(db: Database.Database, depths: Depths): ReadonlyMap<string, EpochMs> {
  const readyQueues = new ReadyQueues(db, depths);
  const claimed = [statements.claims, wholeTables.hotClaims].flatMap((sql) => db.prepare<[], FactsRow>(sql).raw().all());
  const ready = Array.from(new Set(depths.all().map(({ pool }) => pool)), (pool) => readyQueues.oldest(pool));
  const oldest = new Map<string, EpochMs>();
  for (const facts of [...claimed, ...ready]) {
    if (facts === undefined) continue;
    const [, , pool, , , createdAt] = facts;
    oldest.set(pool, Math.min(oldest.get(pool) ?? createdAt, createdAt));
  }
  return oldest;
}

/** A defect of a spool. */
export interface Fault {
  readonly what: string;
  readonly remedy: string;
}

/** Checks the whole file in one state; undefined if there is no file. Throws as {@link readFile}. */
export function checkFile(path: string): readonly Fault[] | undefined {
  try {
    return readFile(path, (file) => {
      const check = file.db.transaction(() => {
        const damages = findDamage(file.db);
        return damages.length > 0 ? damages : findViolations(file);
      });
      return check();
    });
  } catch (error) {
    if (error instanceof Error && isDamage(error.cause)) return [{ what: `the file is damaged: ${error.message}`, remedy: restore }];
    throw error;
  }
}

/** The first hundred defects that SQLite itself finds. */
function findDamage(db: Database.Database): Fault[] {
  const lines = db.prepare<[], string>('PRAGMA integrity_check(100)').pluck().all();
  return lines.filter((line) => line !== 'ok').map((line) => ({ what: `the file is damaged: ${line}`, remedy: restore }));
}

/** The rules are those of the newest schema; an older file is upgraded before it is used. */
function findViolations({ db, isOld }: OpenFile): Fault[] {
  if (isOld) return [];
  return rules.flatMap(({ sql, describe, remedy }) => {
    const rows = db.prepare<[], Row>(`SELECT * FROM (${sql}) LIMIT 100`).all();
    return rows.map((row) => ({ what: describe(row), remedy }));
  });
}

type Row = Readonly<Record<string, number | string | null>>;

const restore =
  'stop the service, keep this file, and start with a backup (`spool backup`) or an empty spool: deliveries that only this file holds are lost';
const miscounted =
  'no delivery is affected, but the displayed numbers and max_backlog are wrong: stop the service, run `spool backup`, and report it';
const stuck = 'the deliveries of this lane are not sent: stop the service, run `spool backup`, and report it with the copy';

/** Rules that SQLite does not check. Each statement returns one row per violation. */
const rules: readonly { readonly sql: string; readonly describe: (row: Row) => string; readonly remedy: string }[] = [
  {
    sql: `SELECT pool, handler, sum(waiting) AS waiting, sum(dead) AS dead, sum(counted_waiting) AS counted_waiting, sum(counted_dead) AS counted_dead
      FROM (
        SELECT pool, handler, 1 AS waiting, 0 AS dead, 0 AS counted_waiting, 0 AS counted_dead FROM deliveries
        UNION ALL SELECT pool, handler, 1, 0, 0, 0 FROM unsettled
        UNION ALL SELECT pool, handler, 0, 1, 0, 0 FROM dead
        UNION ALL SELECT pool, handler, 0, 0, waiting, dead FROM depths
      ) GROUP BY pool, handler HAVING sum(waiting) <> sum(counted_waiting) OR sum(dead) <> sum(counted_dead)`,
    describe: (row) =>
      `queue ${row['pool']} / ${row['handler']} holds ${row['waiting']} deliveries and ${row['dead']} dead letters, but its counters are ${row['counted_waiting']} and ${row['counted_dead']}`,
    remedy: miscounted,
  },
  {
    sql: `SELECT min(seq) AS seq FROM (SELECT seq, lane, state FROM deliveries UNION ALL SELECT seq, lane, 2 FROM unsettled)
      WHERE lane IS NOT NULL GROUP BY lane HAVING min(seq) <> min(iif(state > 0, seq, NULL))
      OR sum(state = 1) + max(state = 2) <> 1 OR max(iif(state = 2, seq, 0)) > min(iif(state = 0, seq, NULL))`,
    describe: (row) =>
      `the lane of delivery ${row['seq']} is out of order: its first delivery must be ready, or its first ones claimed, and all others waiting`,
    remedy: stuck,
  },
  {
    sql: 'SELECT count(*) AS count FROM deliveries WHERE (lane IS NULL AND state = 0) OR state NOT BETWEEN 0 AND 2 HAVING count(*) > 0',
    describe: (row) => `${row['count']} deliveries are neither ready nor claimed nor waiting for another delivery`,
    remedy: stuck,
  },
  {
    sql: `SELECT count(*) AS count FROM (SELECT target, context FROM deliveries UNION ALL SELECT target, NULL FROM unsettled)
      WHERE NOT json_valid(target) OR NOT json_valid(coalesce(context, '{}')) HAVING count(*) > 0`,
    describe: (row) => `${row['count']} deliveries have a target or a context that cannot be read`,
    remedy: restore,
  },
  {
    sql: `SELECT count(*) AS count FROM deliveries
      WHERE attempts + past <> (SELECT count(*) FROM attempts WHERE attempts.seq = deliveries.seq) HAVING count(*) > 0`,
    describe: (row) => `${row['count']} deliveries have a number of attempts that differs from their attempt records`,
    remedy: miscounted,
  },
  {
    sql: `SELECT count(*) AS count FROM attempts WHERE seq NOT IN (SELECT seq FROM deliveries)
      AND seq NOT IN (SELECT seq FROM dead WHERE seq IS NOT NULL) HAVING count(*) > 0`,
    describe: (row) => `${row['count']} attempt records belong to no delivery`,
    remedy: 'they only occupy space: run `spool backup`, and report it',
  },
];

/** Sizes of a backup; `historyBytes` is undefined if there is no history. */
export interface Backup {
  readonly bytes: number;
  readonly historyBytes: number | undefined;
}

/**
 * Copies one state of a spool into a new file (0600), and then its history into a new folder next to it; undefined if there is no spool.
 * A service that is started on the copy delivers what was pending at that time, under the same ids. Throws SPOOL_BACKUP_FAILED, and as
 * {@link readFile}; then there is no copy.
 */
export function backUp(path: string, target: string): Backup | undefined {
  return readFile(path, ({ db }) => {
    createTarget(target);
    try {
      db.prepare('VACUUM INTO ?').run(target);
      flushToDisk(target);
      const historyBytes = backUpHistory(path, target);
      flushToDisk(dirname(target));
      return { bytes: statSync(target).size, historyBytes };
    } catch (cause) {
      for (const partial of [target, `${target}-journal`]) rmSync(partial, { force: true });
      throw new ServiceError('SPOOL_BACKUP_FAILED', `cannot write the backup to ${target}: ${toError(cause).message}`, { cause });
    }
  });
}

/** SQLite writes into an empty file, and keeps its mode. */
function createTarget(target: string): void {
  try {
    closeSync(openSync(target, 'wx', 0o600));
  } catch (cause) {
    throw new ServiceError('SPOOL_BACKUP_FAILED', `cannot create ${target}: ${toError(cause).message}; a backup never overwrites a file`, {
      cause,
    });
  }
}

interface OpenFile {
  readonly db: Database.Database;
  readonly version: number;
  /** Whether an older version of the service wrote it last, so that tables or columns are missing. */
  readonly isOld: boolean;
}

/** How long a service that commits without pause may keep a reader waiting, ms. */
const readTimeoutMs = 5000;

/**
 * Reads one state of the file. Undefined if there is no file. Throws SPOOL_TOO_NEW, SPOOL_OPEN_FAILED if it is not a spool or
 * cannot be read, and the errors of `read`.
 */
function readFile<T>(path: string, read: (file: OpenFile) => T): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    refuseOtherThanFile(path);
    refuseForeign(path);
    return readOpen(path, read);
  } catch (cause) {
    if (!(cause instanceof Database.SqliteError)) throw cause;
    throw new ServiceError('SPOOL_OPEN_FAILED', `cannot read the spool at ${path}: ${cause.message}`, { cause });
  }
}

function readOpen<T>(path: string, read: (file: OpenFile) => T): T {
  const db = new Database(path, { readonly: true, timeout: readTimeoutMs });
  try {
    const version = versionOf(db);
    return read({ db, version, isOld: version < migrations.length });
  } finally {
    db.close();
  }
}
