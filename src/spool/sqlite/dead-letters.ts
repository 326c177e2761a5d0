import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import { type DeadReason, lastStatus } from '../../model/attempt.ts';
import type { Body, DeliveryId } from '../../model/delivery.ts';
import { countByQueue, type DeadFilter, type DeadLetter, type FailedPacket } from '../spool.ts';
import type { DeliveryFacts } from './deliveries.ts';
import {
  type Answers,
  afterAll,
  beforeAll,
  type Chunk,
  type DeadCursor,
  type DeadPage,
  type DeadRow,
  type Purged,
  type RefusedRow,
  rowHandler,
  rowPool,
} from './protocol.ts';
import type { AttemptHistories, Depths } from './side-tables.ts';
import { statements } from './statements.ts';

/** A dead letter without its content. */
export interface LetterRow {
  readonly nr: number;
  /** Key of its attempts; null if it has none. */
  readonly seq: number | null;
  /** 1 if no delivery was made of its packet. */
  readonly still_born: 0 | 1;
  readonly id: DeliveryId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly lane: string | null;
  readonly sender: string;
  readonly receiver: string;
  readonly reason: DeadReason;
  readonly detail: string;
  readonly status: number | null;
  readonly attempts: number;
  readonly created_at: number;
  readonly died_at: number;
}

interface WholeRow extends LetterRow {
  readonly target: string | null;
  readonly packet: string | null;
  readonly body: Body | null;
}

export interface Death {
  readonly reason: DeadReason;
  readonly detail: string;
  /** All attempts, including those before a replay. */
  readonly attempts: number;
  readonly diedAt: EpochMs;
}

interface DeadWalk {
  readonly filter: DeadFilter;
  /** Both ends are excluded. */
  readonly after?: DeadCursor;
  readonly before?: DeadCursor;
  /** Newest first. */
  readonly backward?: boolean;
}

interface Walked {
  /** The rows that match the filter, in order of death. */
  readonly rows: readonly LetterRow[];
  /** The last row that was read; undefined if there are no more. */
  readonly more: DeadCursor | undefined;
}

/** Rows read in one transaction: an operator's request must not delay deliveries. */
const chunkRows = 1000;

/** Content deleted in one transaction, bytes. */
const purgedBytes = 4 * 1024 * 1024;

/** The dead letters. Everything here runs inside a transaction. */
export class DeadLetters {
  readonly #depths: Depths;
  readonly #histories: AttemptHistories;
  readonly #insertDead: Database.Statement;
  readonly #insertFailedPacket: Database.Statement;
  readonly #insertRefused: Database.Statement;
  readonly #byId: Database.Statement<[string], WholeRow>;
  readonly #allOfId: Database.Statement<[string], LetterRow>;
  readonly #forward: Database.Statement<[...DeadCursor, ...DeadCursor, number], LetterRow>;
  readonly #backward: Database.Statement<[...DeadCursor, ...DeadCursor, number], LetterRow>;
  readonly #bytesOf: Database.Statement<[number], number>;
  readonly #remove: Database.Statement<[number]>;

  constructor(db: Database.Database, { depths, histories }: { readonly depths: Depths; readonly histories: AttemptHistories }) {
    this.#depths = depths;
    this.#histories = histories;
    this.#insertDead = db.prepare(statements.insertDead);
    this.#insertFailedPacket = db.prepare(statements.insertFailedPacket);
    this.#insertRefused = db.prepare(statements.insertRefused);
    this.#byId = db.prepare<[string], WholeRow>(statements.deadById);
    this.#allOfId = db.prepare<[string], LetterRow>(statements.deadOfId);
    this.#forward = db.prepare<[...DeadCursor, ...DeadCursor, number], LetterRow>(statements.deadForward);
    this.#backward = db.prepare<[...DeadCursor, ...DeadCursor, number], LetterRow>(statements.deadBackward);
    this.#bytesOf = db.prepare<[number], number>(statements.deadBytes).pluck();
    this.#remove = db.prepare<[number]>(statements.removeDead);
  }

  /** Copies a delivery; the caller removes the delivery. */
  add({ seq, queue }: DeliveryFacts, { reason, detail, attempts, diedAt }: Death): void {
    const status = attempts > 0 ? lastStatus(this.#histories.of(seq)) : null;
    this.#insertDead.run(attempts > 0 ? seq : null, reason, detail, status, attempts, diedAt, seq); // a seq without attempts may be reused
    this.#depths.addDead(queue, 1);
  }

  addFailedPacket(failed: FailedPacket, diedAt: EpochMs): void {
    const { id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, packet } = failed;
    this.#insertFailedPacket.run(id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, diedAt, packet);
    this.#depths.addDead(this.#depths.of(pool, handler), 1);
  }

  addRefused([row, reason, detail]: RefusedRow, diedAt: EpochMs): void {
    this.#insertRefused.run(...row, reason, detail, diedAt);
    this.#depths.addDead(this.#depths.of(row[rowPool], row[rowHandler]), 1);
  }

  /** Removes the row; its attempts stay. */
  remove({ nr, pool, handler }: Pick<LetterRow, 'handler' | 'nr' | 'pool'>): void {
    this.#remove.run(nr);
    this.#depths.addDead(this.#depths.of(pool, handler), -1);
  }

  /** Removes the newest dead letter of this id, if there is one, and its attempts. */
  removeNewest(id: DeliveryId): void {
    const row = this.#byId.get(id);
    if (row !== undefined) this.#removeWithAttempts(row);
  }

  find(id: DeliveryId): DeadRow | undefined {
    const row = this.#byId.get(id);
    if (row === undefined) return undefined;
    const { target, body, packet, seq } = row;
    return { letter: letterOf(row), target, body, packet, history: seq === null ? [] : this.#histories.of(seq) };
  }

  page({ filter, limit, backward, after }: DeadPage): Answers['dead-letters'] {
    const { rows, more } = this.walk({ filter, backward, ...(backward ? { before: after } : { after }) });
    return { letters: rows.slice(0, limit).map(letterOf), more: rows.length < limit ? more : undefined };
  }

  count(filter: DeadFilter, after: DeadCursor): Chunk<DeadCursor> {
    const { pool, handler, ...rest } = filter;
    if (Object.values(rest).some((value) => value !== undefined)) {
      const { rows, more } = this.walk({ filter, after });
      return { count: rows.length, more };
    }
    const queues = this.#depths
      .all()
      .filter((queue) => (pool ?? queue.pool) === queue.pool && (handler ?? queue.handler) === queue.handler);
    return { count: queues.reduce((sum, { dead }) => sum + dead, 0), more: undefined };
  }

  /** Deletes a chunk, smaller if the letters are large: deleted content is overwritten while other commits wait. */
  purge(filter: DeadFilter, after: DeadCursor): Purged {
    const { rows, more } = this.walk({ filter, after });
    const purged: LetterRow[] = [];
    let bytes = 0;
    for (const row of rows) {
      bytes += this.#bytesOf.get(row.nr) ?? 0;
      if (bytes > purgedBytes && purged.length > 0) break;
      this.#removeWithAttempts(row);
      purged.push(row);
    }
    return { deleted: countByQueue(purged), more: purged.length < rows.length ? cursorOf(purged.at(-1)) : more };
  }

  /** Reads the next chunk of dead letters in order of death. */
  walk({ filter, after = beforeAll, before = afterAll, backward = false }: DeadWalk): Walked {
    const low = later(after, [filter.diedSince ?? beforeAll[0], 0]);
    const high = earlier(before, [filter.diedBefore ?? afterAll[0], 0]);
    const rows =
      filter.ids === undefined
        ? (backward ? this.#backward : this.#forward).all(...low, ...high, chunkRows)
        : this.#ofIds(filter.ids, { low, high, backward });
    const matches = createDeadTest(filter);
    return { rows: rows.filter((row) => matches(letterOf(row))), more: rows.length === chunkRows ? cursorOf(rows.at(-1)) : undefined };
  }

  #ofIds(
    ids: readonly DeliveryId[],
    { low, high, backward }: { readonly low: DeadCursor; readonly high: DeadCursor; readonly backward: boolean },
  ): LetterRow[] {
    const within = [...new Set(ids)]
      .flatMap((id) => this.#allOfId.all(id))
      .filter((row) => byDeath(low, [row.died_at, row.nr]) < 0 && byDeath([row.died_at, row.nr], high) < 0)
      .sort((one, other) => byDeath([one.died_at, one.nr], [other.died_at, other.nr]));
    return (backward ? within.reverse() : within).slice(0, chunkRows);
  }

  #removeWithAttempts(row: LetterRow): void {
    if (row.seq !== null) this.#histories.remove(row.seq);
    this.remove(row);
  }
}

/** Returns a test that is true for the dead letters that the filter selects. */
function createDeadTest({ ids, pool, handler, host, reason, diedBefore, diedSince }: DeadFilter): (letter: DeadLetter) => boolean {
  const idSet = ids && new Set(ids);
  return (letter) =>
    (idSet === undefined || idSet.has(letter.id)) &&
    (pool === undefined || letter.pool === pool) &&
    (handler === undefined || letter.handler === handler) &&
    (host === undefined || letter.host === host) &&
    (reason === undefined || letter.reason === reason) &&
    (diedBefore === undefined || letter.diedAt < diedBefore) &&
    (diedSince === undefined || letter.diedAt >= diedSince);
}

function letterOf(row: LetterRow): DeadLetter {
  const { id, host, handler, pool, reason, detail, status, attempts, sender, receiver } = row;
  return { id, host, handler, pool, reason, detail, status, attempts, createdAt: row.created_at, diedAt: row.died_at, sender, receiver };
}

function cursorOf(row: LetterRow | undefined): DeadCursor | undefined {
  return row && [row.died_at, row.nr];
}

function later(one: DeadCursor, other: DeadCursor): DeadCursor {
  return byDeath(one, other) < 0 ? other : one;
}

function earlier(one: DeadCursor, other: DeadCursor): DeadCursor {
  return byDeath(one, other) < 0 ? one : other;
}

function byDeath([diedAt, nr]: DeadCursor, [otherDiedAt, otherNr]: DeadCursor): number {
  return diedAt - otherDiedAt || nr - otherNr;
}
