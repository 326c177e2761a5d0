import { statfsSync, statSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { unlessFull } from './errors.ts';
import type { Opening } from './protocol.ts';

/** The space that the spool takes, and the limits of intake. */
export interface Space {
  /** Why intake must close now; empty if there is space. Measures the space if `maintain` is set, or if much has been written since. */
  refusal(maintain: boolean): string;
  /** Size of the file and its log on disk. */
  bytes(): number;
  /** Bytes that can be stored before intake closes; undefined if there is no limit. The log counts as free, because a checkpoint empties it. */
  intakeBytes(): number | undefined;
  /** Restarts the log from its beginning, so that settled rows can be removed although the disk is full. */
  rewindLog(): void;
  /** Empties the log, unless another process reads the spool. */
  emptyLog(): void;
  /** Shrinks a mostly empty file by a bounded step, keeping `sparePages` empty pages, and empties the log. */
  shrink(sparePages: number): void;
}

/** The space of a spool in memory: not limited, and nothing to shrink. */
export const unlimitedSpace: Space = {
  refusal: () => '',
  bytes: () => 0,
  intakeBytes: () => undefined,
  rewindLog: () => undefined,
  emptyLog: () => undefined,
  shrink: () => undefined,
};

/** Pages freed in one step. */
const vacuumPages = 1024;

/**
 * The most that a batch may write to the log. This much of the disk stays free in addition to the size of the log: the log must
 * always fit into the file, otherwise neither could grow and nothing could be settled.
 */
const reserveBytes = 16 * 1024 * 1024;

/** Settling writes too (attempts, dead letters): this much, and an eighth of `maxBytes`, is allowed above `maxBytes`. */
const headroomBytes = 8 * 1024 * 1024;

/** How long to wait for another process that writes to the spool's file, such as the sqlite3 shell, ms. */
export const busyTimeoutMs = 2000;

/** A byte may count as often: it fills the file or a page that was empty, it fills the log, and it is gone from the disk. */
const countsPerByte = 3;

export class DiskSpace implements Space {
  readonly #db: Database.Database;
  readonly #opening: Opening;
  readonly #pageBytes: number;
  readonly #pageCount: Database.Statement<[], number>;
  readonly #freePageCount: Database.Statement<[], number>;
  /** Batches that cannot exceed a limit, since the last measurement. */
  #unmeasured = 0;

  constructor(db: Database.Database, opening: Opening) {
    this.#db = db;
    this.#opening = opening;
    this.#pageBytes = Number(db.pragma('page_size', { simple: true }));
    this.#pageCount = db.prepare<[], number>('PRAGMA page_count').pluck();
    this.#freePageCount = db.prepare<[], number>('PRAGMA freelist_count').pluck();
    const { maxBytes } = opening;
    db.pragma(`max_page_count = ${Math.ceil((maxBytes + maxBytes / 8 + headroomBytes) / this.#pageBytes)}`);
  }

  refusal(maintain: boolean): string {
    this.#unmeasured -= 1;
    if (this.#unmeasured >= 0 && !maintain) return '';
    if (this.#shortage() !== '' && this.#logBytes() > 0) this.#checkpoint('TRUNCATE');
    return this.#shortage();
  }

  bytes(): number {
    return this.#pages() * this.#pageBytes + this.#logBytes();
  }

  intakeBytes(): number {
    const { maxBytes, minFreeBytes } = this.#opening;
    const onDisk = this.#diskBytes() + this.#logBytes() + this.#emptyBytes() - Math.max(minFreeBytes, reserveBytes);
    return Math.max(0, Math.min(maxBytes - this.#filledBytes(), onDisk));
  }

  rewindLog(): void {
    this.#unmeasured = 0;
    this.#checkpoint('RESTART');
  }

  emptyLog(): void {
    if (this.#logBytes() > 0) this.#checkpoint('TRUNCATE');
  }

  shrink(sparePages: number): void {
    const surplus = this.#emptyPages() - sparePages;
    if (surplus > 0) unlessFull(() => this.#db.pragma(`incremental_vacuum(${Math.min(surplus, vacuumPages)})`));
    this.emptyLog();
  }

  #shortage(): string {
    const { path, maxBytes, minFreeBytes } = this.#opening;
    const [log, left, filled] = [this.#logBytes(), this.#diskBytes(), this.#filledBytes()];
    const [used, needed, usable] = [filled + log, log + reserveBytes, left + this.#emptyBytes()];
    this.#unmeasured = Math.floor(Math.min(maxBytes - used, left - minFreeBytes, usable - needed) / (countsPerByte * reserveBytes)) - 1;
    if (used >= maxBytes) return `the spool holds ${used} bytes, max_bytes is ${maxBytes}`;
    if (left < minFreeBytes) return `the disk of ${path} has ${left} bytes left, min_free is ${minFreeBytes}`;
    return usable < needed ? `the disk of ${path} has ${left} bytes left, the spool needs ${needed}` : '';
  }

  /** Does not wait for an open reader, which would delay every commit. A later maintenance checkpoints the rest of the log. */
  #checkpoint(mode: 'RESTART' | 'TRUNCATE'): void {
    this.#db.pragma('busy_timeout = 0');
    try {
      unlessFull(() => this.#db.pragma(`wal_checkpoint(${mode})`)); // on a full disk the log is kept until there is space
    } finally {
      this.#db.pragma(`busy_timeout = ${busyTimeoutMs}`);
    }
  }

  #pages(): number {
    return this.#pageCount.get() ?? 0;
  }

  #emptyPages(): number {
    return this.#freePageCount.get() ?? 0;
  }

  #emptyBytes(): number {
    return this.#emptyPages() * this.#pageBytes;
  }

  #filledBytes(): number {
    return (this.#pages() - this.#emptyPages()) * this.#pageBytes;
  }

  #logBytes(): number {
    return statSync(`${this.#opening.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  #diskBytes(): number {
    const { bavail, bsize } = statfsSync(this.#opening.path);
    return bavail * bsize;
  }
}
