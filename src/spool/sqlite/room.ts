import { statfsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Opening } from './protocol.ts';

/** How much room the spool takes, and whether there is room for more. */
export interface Room {
  /** Why intake is to be closed now; empty when there is room. */
  refusal(): string;
  /** Bytes of the file and its log on disk. */
  bytes(): number;
  /** Bytes that may be taken in until intake closes. The log counts as free, since a checkpoint empties it. */
  left(): number;
  /** Lets the log start anew, so that what is settled can be removed though the disk is full. */
  rewindLog(): void;
  /** Shrinks a file that is mostly empty by a bounded step, and empties the log. `spare`: empty pages that stay. */
  tidy(spare: number): void;
}

/** Pages given back in one step. */
const vacuumPages = 1024;

/**
 * What a batch may write, at most, to the log. So much of the disk stays free beside what the log holds: the log must
 * always fit into the file, or neither could grow and nothing could be settled any more.
 */
const reserveBytes = 16 * 1024 * 1024;

/** Settling writes too (attempts, dead letters): past `maxBytes` there is this much more, and an eighth of the whole. */
const headroomBytes = 8 * 1024 * 1024;

/** How long to wait for another process that writes to the spool's file, such as the sqlite3 shell, ms. */
export const busyTimeoutMs = 2000;

export function createRoom(db: Database.Database, { path, maxBytes, minFreeBytes }: Opening): Room {
  const pageBytes = Number(db.pragma('page_size', { simple: true }));
  const pageCount = db.prepare<[], number>('PRAGMA page_count').pluck();
  const freePages = db.prepare<[], number>('PRAGMA freelist_count').pluck();
  db.pragma(`max_page_count = ${Math.ceil((maxBytes + maxBytes / 8 + headroomBytes) / pageBytes)}`);

  const pages = () => pageCount.get() ?? 0;
  const empty = () => freePages.get() ?? 0;
  const diskBytes = () => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  const logBytes = () => statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const usedBytes = () => (pages() - empty()) * pageBytes + logBytes();

  function refusal(): string {
    if (shortage() !== '' && logBytes() > 0) checkpoint('TRUNCATE');
    return shortage();
  }

  function shortage(): string {
    const used = usedBytes();
    if (used >= maxBytes) return `the spool holds ${used} bytes, max_bytes is ${maxBytes}`;
    const left = diskBytes();
    const log = logBytes();
    if (left < minFreeBytes) return `the disk of ${path} has ${left} bytes left, min_free is ${minFreeBytes}`;
    const room = left + empty() * pageBytes;
    return room < log + reserveBytes ? `the disk of ${path} has ${left} bytes left, the spool needs ${log + reserveBytes}` : '';
  }

  /** A checkpoint that waits for an open reader would delay every commit. A later beat checkpoints the rest of the log. */
  function checkpoint(mode: 'RESTART' | 'TRUNCATE'): void {
    db.pragma('busy_timeout = 0');
    try {
      unlessFull(() => db.pragma(`wal_checkpoint(${mode})`)); // full: the log is kept until there is room
    } finally {
      db.pragma(`busy_timeout = ${busyTimeoutMs}`);
    }
  }

  return {
    refusal,
    bytes: () => pages() * pageBytes + logBytes(),
    left: () => {
      const onDisk = diskBytes() + logBytes() + empty() * pageBytes - Math.max(minFreeBytes, reserveBytes);
      return Math.max(0, Math.min(maxBytes - (pages() - empty()) * pageBytes, onDisk));
    },
    rewindLog: () => checkpoint('RESTART'),
    tidy: (spare) => {
      const surplus = empty() - spare;
      if (surplus > 0) unlessFull(() => db.pragma(`incremental_vacuum(${Math.min(surplus, vacuumPages)})`));
      if (logBytes() > 0) checkpoint('TRUNCATE');
    },
  };
}

/** Housekeeping that needs room itself waits for better times. */
export function unlessFull(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isOutOfRoom(error)) throw error;
  }
}

/** The disk or the spool is full, or the disk failed to write: worth trying again later. */
export function isOutOfRoom(error: unknown): boolean {
  return error instanceof Database.SqliteError && (error.code === 'SQLITE_FULL' || error.code.startsWith('SQLITE_IOERR'));
}

/** SQLite, or its driver, does not take a value that a command would store; other commands are not concerned. */
export function isAboutOneValue(error: unknown): boolean {
  if (error instanceof Database.SqliteError) return /^SQLITE_(CONSTRAINT|MISMATCH|RANGE|TOOBIG)/.test(error.code);
  return error instanceof RangeError || error instanceof TypeError;
}
