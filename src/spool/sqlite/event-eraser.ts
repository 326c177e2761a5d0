import { statfsSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { EraseChunk, ErasedChunk, ErasureRequest, FileState } from '../erasure-requests.ts';
import type { DeliveryFacts } from './claims.ts';
import type { Tables } from './command-runner.ts';
import { busyTimeoutMs } from './disk-space.ts';

/** Limits of one transaction: rows read, rows removed, and bytes of content overwritten. Deliveries continue between two. */
const chunkRows = 500;
const removedRows = 100;
const removedBytes = 1024 * 1024;

/** The largest content that is copied in memory when the file is rewritten. */
const copiedInMemoryBytes = 16 * 1024 * 1024;

/**
 * An event concerns a user who sent or receives it, and a message also the user in whose name it is sent. Other members of a target, such
 * as headers, may be the same for all users. Lanes name the users of a conversation after the name of a handler, which contains no `@`:
 * `@word` is the JID between spaces, or null if it is not one word with an `@`. Earlier versions stored the receivers of messages unprepared.
 */
function concerns(...lanes: readonly string[]): string {
  const inLane = lanes.map((lane) => `OR instr(' ' || ${lane} || ' ', @word) > 0`).join(' ');
  const inMessage = `CASE WHEN instr(target, @quoted) > 0 AND json_valid(target) THEN target ->> 'kind' = 'xmpp' AND target ->> 'from' = @jid END`;
  return `(@jid IN (sender, receiver, lower(receiver)) OR ${inMessage} ${inLane})`;
}

/** Each finds its rows by the table's key or an index. `…Edge` finds the end of a chunk without reading its rows. */
export const eraserStatements = {
  pendingEdge: 'SELECT seq FROM deliveries WHERE seq < ? ORDER BY seq DESC LIMIT 1 OFFSET ?',
  pending: `SELECT seq, attempts + past AS spent, pool, handler, lane, created_at, state, octet_length(body) AS bytes FROM deliveries
    WHERE seq >= @low AND seq < @below AND (state < 2 OR created_at < @before) AND ${concerns('lane', 'left_lane')} ORDER BY seq DESC`,
  deadEdge: 'SELECT nr FROM dead WHERE nr < ? ORDER BY nr DESC LIMIT 1 OFFSET ?',
  dead: `SELECT nr, seq, pool, handler, ifnull(octet_length(body), 0) + ifnull(octet_length(packet), 0) AS bytes FROM dead
    WHERE nr >= @low AND nr < @below AND ${concerns('lane')} ORDER BY nr DESC`,
  held: `SELECT count(*) FROM deliveries INDEXED BY claimed WHERE state = 2 AND created_at < @before AND ${concerns('lane', 'left_lane')}`,
} as const;

/** On the view `unsettled`, whose few thousand rows this process has claimed. */
const heldHot = `SELECT count(*) FROM unsettled WHERE created_at < @before AND ${concerns('lane')}`;

interface Row {
  readonly pool: string;
  readonly handler: string;
  readonly bytes: number;
}

interface PendingRow extends Row {
  readonly seq: number;
  readonly spent: number;
  readonly lane: string | null;
  readonly created_at: EpochMs;
  readonly state: number;
}

interface DeadRow extends Row {
  readonly nr: number;
  readonly seq: number | null;
}

type Given = Readonly<Record<string, number | string | null>>;

/** Finds and removes the rows of one table. */
interface TableEraser<R extends Row> {
  readonly edge: Database.Statement<[number, number], number>;
  readonly rows: Database.Statement<[Given], R>;
  nrOf(row: R): number;
  isHeld(row: R): boolean;
  /** Returns the pools that gained ready deliveries. */
  remove(rows: readonly R[]): readonly string[];
}

/** Values of the column `state`. */
const ready = 1;
const claimed = 2;

/** Erases the events of a user. Everything here runs inside a transaction, except the cleaning of the file. */
export class EventEraser {
  readonly #db: Database.Database;
  readonly #tables: Tables;
  readonly #pending: TableEraser<PendingRow>;
  readonly #dead: TableEraser<DeadRow>;
  readonly #held: readonly Database.Statement<[Given], number>[];
  #file: FileState | undefined;

  constructor(db: Database.Database, tables: Tables) {
    const sql = eraserStatements;
    this.#db = db;
    this.#tables = tables;
    this.#pending = {
      edge: db.prepare<[number, number], number>(sql.pendingEdge).pluck(),
      rows: db.prepare<[Given], PendingRow>(sql.pending),
      nrOf: ({ seq }) => seq,
      isHeld: ({ state }) => state === claimed,
      remove: (rows) => this.#removePending(rows),
    };
    this.#dead = {
      edge: db.prepare<[number, number], number>(sql.deadEdge).pluck(),
      rows: db.prepare<[Given], DeadRow>(sql.dead),
      nrOf: ({ nr }) => nr,
      isHeld: () => false,
      remove: (rows) => this.#removeDead(rows),
    };
    this.#held = [sql.held, heldHot].map((statement) => db.prepare<[Given], number>(statement).pluck());
  }

  run(request: ErasureRequest): ErasedChunk | FileState | number | undefined {
    switch (request.kind) {
      case 'chunk':
        return request.table === 'dead' ? erase(this.#dead, request) : erase(this.#pending, request);
      case 'held': {
        const given = { ...aboutJid(request.jid), before: request.before };
        return this.#held.reduce((sum, statement) => sum + (statement.get(given) ?? 0), 0);
      }
      case 'clean':
        return this.#cleanSoon(request.rewriteBytes);
      case 'cleaned':
        return this.#file;
      default:
        return request satisfies never;
    }
  }

  /** Promotes the next deliveries of their lanes. */
  #removePending(rows: readonly PendingRow[]): readonly string[] {
    const { pending, histories } = this.#tables;
    for (const row of rows) {
      if (row.spent > 0) histories.remove(row.seq);
      pending.removeUnclaimed(this.#factsOf(row));
    }
    return rows.flatMap((row) => {
      const next = row.state === ready ? pending.promoteNext(this.#factsOf(row), 0) : undefined;
      return next?.kind === 'ready' ? [next.pool] : [];
    });
  }

  #factsOf({ seq, spent, pool, handler, lane, created_at: createdAt }: PendingRow): DeliveryFacts {
    return { seq, spent, queue: this.#tables.depths.of(pool, handler), lane, createdAt, hotBytes: 0 };
  }

  #removeDead(rows: readonly DeadRow[]): readonly string[] {
    for (const row of rows) this.#tables.dead.removeWithAttempts(row);
    return [];
  }

  /** SQLite can neither rewrite the file nor empty the log inside a transaction. */
  #cleanSoon(rewriteBytes: number): undefined {
    this.#tables.pending.hot.deleteSettled();
    this.#file = undefined;
    setImmediate(() => {
      if (!this.#db.open) return;
      try {
        this.#file = this.#clean(rewriteBytes);
      } catch (error) {
        if (!(error instanceof Database.SqliteError)) throw error;
        this.#file = 'failed'; // the disk is full, or another process writes: a repeated erasure cleans the file
      }
    });
  }

  #clean(rewriteBytes: number): FileState {
    const db = this.#db;
    const [pages, free, pageBytes] = ['page_count', 'freelist_count', 'page_size'].map((name) => Number(db.pragma(name, { simple: true })));
    const contentBytes = ((pages ?? 0) - (free ?? 0)) * (pageBytes ?? 0);
    const isSmall = contentBytes <= rewriteBytes;
    const hasSpace = isSmall && this.#hasSpace(contentBytes);
    if (hasSpace) this.#rewrite(contentBytes);
    if (!this.#emptyLog()) return 'in-use';
    if (!isSmall) return 'too-large';
    return hasSpace ? 'rewritten' : 'failed';
  }

  /** The log must hold the whole new content. */
  #hasSpace(contentBytes: number): boolean {
    if (this.#db.memory) return true;
    const { bavail, bsize } = statfsSync(this.#db.name);
    return contentBytes < bavail * bsize;
  }

  /** SQLite copies the content, and then copies it back. A large copy in memory could end the process. */
  #rewrite(contentBytes: number): void {
    if (contentBytes > copiedInMemoryBytes) this.#db.pragma('temp_store = FILE');
    try {
      this.#db.exec('VACUUM');
    } finally {
      this.#db.pragma('temp_store = MEMORY');
    }
  }

  /** Does not wait for an open reader: that would delay every commit. */
  #emptyLog(): boolean {
    this.#db.pragma('busy_timeout = 0');
    try {
      return Number(this.#db.pragma('wal_checkpoint(TRUNCATE)', { simple: true })) === 0;
    } finally {
      this.#db.pragma(`busy_timeout = ${busyTimeoutMs}`);
    }
  }
}

function erase<R extends Row>(table: TableEraser<R>, { jid, dryRun, below, before }: EraseChunk): ErasedChunk {
  const edge = table.edge.get(below, chunkRows - 1);
  const found = table.rows.all({ ...aboutJid(jid), low: edge ?? 0, below, before });
  const read = dryRun ? found : withinLimits(found);
  const rows = read.filter((row) => !table.isHeld(row));
  const readyPools = dryRun ? [] : table.remove(rows);
  const lastRow = read.at(-1);
  const more = read.length === found.length || lastRow === undefined ? edge : table.nrOf(lastRow);
  const erased = rows.map(({ pool, handler }) => ({ pool, handler }));
  return { erased, held: read.length - rows.length, readyPools: [...new Set(readyPools)], more };
}

function aboutJid(jid: string): Given {
  return { jid, quoted: JSON.stringify(jid), word: /^[^ ]*@[^ ]*$/.test(jid) ? ` ${jid} ` : null };
}

/** The first rows, at least one. */
function withinLimits<R extends Row>(rows: readonly R[]): readonly R[] {
  let bytes = 0;
  const end = rows.findIndex((row, index) => {
    bytes += row.bytes;
    return index === removedRows || (index > 0 && bytes > removedBytes);
  });
  return end === -1 ? rows : rows.slice(0, end);
}
