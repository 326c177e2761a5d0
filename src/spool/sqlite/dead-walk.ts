import type Database from 'better-sqlite3';
import type { DeadReason } from '../../model/attempt.ts';
import type { DeliveryId } from '../../model/delivery.ts';
import type { DeadFilter, DeadLetter } from '../dead-letter.ts';
import { createDeadTest } from '../dead-letter.ts';
import { afterAll, beforeAll, type DeadCursor } from './protocol.ts';
import { statements } from './statements.ts';

/** A dead letter without its content. */
export interface LetterRow {
  readonly nr: number;
  /** Under which its attempts are kept; null where there are none. */
  readonly seq: number | null;
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

export interface DeadWalk {
  readonly filter: DeadFilter;
  /** Both ends are left out. */
  readonly after?: DeadCursor;
  readonly before?: DeadCursor;
  /** Newest first. */
  readonly backward?: boolean;
}

export interface Walked {
  /** Those that the filter means, in order of dying. */
  readonly rows: readonly LetterRow[];
  /** The last that was looked at; undefined: there are no more. */
  readonly more: DeadCursor | undefined;
}

/** Rows looked at in one transaction: what an operator asks for must not hold up the deliveries. */
const chunk = 1000;

/** Goes through the dead letters in order of dying, a chunk at a time. */
export function createDeadWalk(db: Database.Database): (walk: DeadWalk) => Walked {
  const forward = db.prepare<[...DeadCursor, ...DeadCursor, number], LetterRow>(statements.deadForward);
  const backward = db.prepare<[...DeadCursor, ...DeadCursor, number], LetterRow>(statements.deadBackward);
  const ofId = db.prepare<[string], LetterRow>(statements.deadOfId);

  return ({ filter, after = beforeAll, before = afterAll, backward: goesBack = false }) => {
    const [low, high] = [later(after, [filter.diedSince ?? beforeAll[0], 0]), earlier(before, [filter.diedBefore ?? afterAll[0], 0])];
    const rows = filter.ids === undefined ? (goesBack ? backward : forward).all(...low, ...high, chunk) : named(filter.ids);
    const isMeant = createDeadTest(filter);
    return { rows: rows.filter((row) => isMeant(letterOf(row))), more: rows.length === chunk ? cursorOf(rows.at(-1)) : undefined };

    function named(ids: readonly DeliveryId[]): LetterRow[] {
      const within = [...new Set(ids)]
        .flatMap((id) => ofId.all(id))
        .filter((row) => inOrder(low, [row.died_at, row.nr]) < 0 && inOrder([row.died_at, row.nr], high) < 0)
        .sort((one, other) => inOrder([one.died_at, one.nr], [other.died_at, other.nr]));
      return (goesBack ? within.reverse() : within).slice(0, chunk);
    }
  };
}

export function letterOf(row: LetterRow): DeadLetter {
  const { id, host, handler, pool, reason, detail, status, attempts, sender, receiver } = row;
  return { id, host, handler, pool, reason, detail, status, attempts, createdAt: row.created_at, diedAt: row.died_at, sender, receiver };
}

export function cursorOf(row: LetterRow | undefined): DeadCursor | undefined {
  return row && [row.died_at, row.nr];
}

function later(one: DeadCursor, other: DeadCursor): DeadCursor {
  return inOrder(one, other) < 0 ? other : one;
}

function earlier(one: DeadCursor, other: DeadCursor): DeadCursor {
  return inOrder(one, other) < 0 ? one : other;
}

function inOrder([diedAt, nr]: DeadCursor, [otherDiedAt, otherNr]: DeadCursor): number {
  return diedAt - otherDiedAt || nr - otherNr;
}
