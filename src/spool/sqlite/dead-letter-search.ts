import type Database from 'better-sqlite3';
import type { DeadReason } from '../../model/attempt.ts';
import type { Body, DeliveryId } from '../../model/delivery.ts';
import { countByQueue, type DeadFilter, type DeadLetter } from '../spool.ts';
import type { Tables } from './command-runner.ts';
import type { DeadKey, DeadLetters } from './dead-letters.ts';
import { type Answers, afterAll, beforeAll, type Chunk, type DeadCursor, type DeadPage, type DeadRow, type Purged } from './protocol.ts';
import type { AttemptHistories, Depths } from './side-tables.ts';
import { statements } from './statements.ts';

/** A dead letter without its content. */
export interface LetterRow extends DeadKey {
  /** 1 if no delivery was made of its packet. */
  readonly still_born: 0 | 1;
  readonly id: DeliveryId;
  readonly host: string;
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

/** Finds, counts and purges dead letters. Everything here runs inside a transaction. */
export class DeadLetterSearch {
  readonly #dead: DeadLetters;
  readonly #depths: Depths;
  readonly #histories: AttemptHistories;
  readonly #byId: Database.Statement<[string], WholeRow>;
  readonly #allOfId: Database.Statement<[string], LetterRow>;
  readonly #forward: Database.Statement<[...DeadCursor, ...DeadCursor, number], LetterRow>;
  readonly #backward: Database.Statement<[...DeadCursor, ...DeadCursor, number], LetterRow>;
  readonly #bytesOf: Database.Statement<[number], number>;

  constructor(db: Database.Database, { dead, depths, histories }: Tables) {
    this.#dead = dead;
    this.#depths = depths;
    this.#histories = histories;
    this.#byId = db.prepare<[string], WholeRow>(statements.deadById);
    this.#allOfId = db.prepare<[string], LetterRow>(statements.deadOfId);
    this.#forward = db.prepare<[...DeadCursor, ...DeadCursor, number], LetterRow>(statements.deadForward);
    this.#backward = db.prepare<[...DeadCursor, ...DeadCursor, number], LetterRow>(statements.deadBackward);
    this.#bytesOf = db.prepare<[number], number>(statements.deadBytes).pluck();
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
      this.#dead.removeWithAttempts(row);
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
}

/** Returns a test that is true for the dead letters that the filter selects. */
function createDeadTest({ ids, pool, handler, host, reason, detail, diedBefore, diedSince }: DeadFilter): (letter: DeadLetter) => boolean {
  const idSet = ids && new Set(ids);
  return (letter) =>
    (idSet === undefined || idSet.has(letter.id)) &&
    (pool === undefined || letter.pool === pool) &&
    (handler === undefined || letter.handler === handler) &&
    (host === undefined || letter.host === host) &&
    (reason === undefined || letter.reason === reason) &&
    (detail === undefined || letter.detail === detail) &&
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
