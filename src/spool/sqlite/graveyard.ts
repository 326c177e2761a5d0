import type Database from 'better-sqlite3';
import type { Body, DeliveryId, Outcome } from '../../../pools/contract.ts';
import type { EpochMs } from '../../kit/clock.ts';
import { lastStatus } from '../dead-letter.ts';
import type { AttemptRecord, DeadLetter, DeadReason, StillBorn } from '../spool.ts';
import type { Depths } from './depths.ts';
import type { Held } from './holding.ts';
import type { Answers, DeadCursor, DeadPage, DeadRow } from './protocol.ts';
import { statements } from './statements.ts';

/** Dead letters and attempts on disk. Everything here runs inside a transaction. */
export interface Graveyard {
  addAttempt(seq: number, attempt: AttemptRecord): void;
  /** Removes the attempts of a delivery that was delivered in the end. */
  forget(held: Held): void;
  /** Copies a delivery, which is removed by the caller. */
  bury(
    held: Held,
    death: { readonly reason: DeadReason; readonly detail: string; readonly attempts: number; readonly diedAt: EpochMs },
  ): void;
  buryStillBorn(stillBorn: StillBorn, diedAt: EpochMs): void;
  page(page: DeadPage): Answers['dead-letters'];
  find(id: DeliveryId): DeadRow | undefined;
  purge(diedBefore: EpochMs): Answers['purge'];
}

/** Rows looked at in one transaction: what an operator asks for must not hold up the deliveries. */
const chunk = 1000;

interface LetterRow {
  readonly nr: number;
  readonly id: DeliveryId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
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
  readonly seq: number | null;
  readonly target: string | null;
  readonly packet: string | null;
  readonly body: Body | null;
}

export function createGraveyard(db: Database.Database, depths: Depths): Graveyard {
  const addAttempt = db.prepare<[number, number, number, string]>(statements.addAttempt);
  const attemptsOf = db.prepare<[number], { number: number; at: number; outcome: string }>(statements.attemptsOf);
  const removeAttempts = db.prepare<[number]>(statements.removeAttempts);
  const bury = db.prepare(statements.bury);
  const buryStillBorn = db.prepare(statements.buryStillBorn);
  const deadPage = db.prepare<[number, number, number], LetterRow>(statements.deadPage);
  const deadById = db.prepare<[string], WholeRow>(statements.deadById);
  const deadBefore = db.prepare<[number, number], { nr: number; seq: number | null; pool: string }>(statements.deadBefore);
  const removeDead = db.prepare<[number]>(statements.removeDead);

  function historyOf(seq: number): AttemptRecord[] {
    return attemptsOf.all(seq).map(({ number, at, outcome }) => ({ number, at, outcome: parseOutcome(outcome) }));
  }

  function page({ limit, pool, handler, after }: DeadPage): Answers['dead-letters'] {
    const letters: DeadLetter[] = [];
    let looked = 0;
    for (const row of deadPage.iterate(...after, chunk)) {
      if (letters.length === limit) return { letters, more: undefined };
      const wanted = (pool === undefined || row.pool === pool) && (handler === undefined || row.handler === handler);
      if (wanted) letters.push(letterOf(row));
      looked += 1;
      if (looked === chunk) return { letters, more: [row.died_at, row.nr] satisfies DeadCursor };
    }
    return { letters, more: undefined };
  }

  function find(id: DeliveryId): DeadRow | undefined {
    const row = deadById.get(id);
    if (row === undefined) return undefined;
    const { target, body, packet, seq } = row;
    return { letter: letterOf(row), target, body, packet, history: seq === null ? [] : historyOf(seq) };
  }

  function purge(diedBefore: EpochMs): Answers['purge'] {
    const ended = deadBefore.all(diedBefore, chunk);
    for (const { nr, seq, pool } of ended) {
      removeDead.run(nr);
      if (seq !== null) removeAttempts.run(seq);
      depths.add(pool, { dead: -1 });
    }
    return { removed: ended.length, more: ended.length === chunk };
  }

  return {
    addAttempt: (seq, { number, at, outcome }) => {
      addAttempt.run(seq, number, at, JSON.stringify(outcome));
    },
    forget: (held) => {
      if (held.attempts > 0) removeAttempts.run(held.seq);
    },
    bury: ({ seq, pool }, { reason, detail, attempts, diedAt }) => {
      const status = attempts > 0 ? lastStatus(historyOf(seq)) : null;
      bury.run(attempts > 0 ? seq : null, reason, detail, status, attempts, diedAt, seq); // a seq without attempts may be given anew
      depths.add(pool, { dead: 1 });
    },
    buryStillBorn: (born, diedAt) => {
      const { id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, packet } = born;
      buryStillBorn.run(id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, diedAt, packet);
      depths.add(pool, { dead: 1 });
    },
    page,
    find,
    purge,
  };
}

function letterOf(row: LetterRow): DeadLetter {
  const { id, host, handler, pool, reason, detail, status, attempts, sender, receiver } = row;
  return { id, host, handler, pool, reason, detail, status, attempts, createdAt: row.created_at, diedAt: row.died_at, sender, receiver };
}

function parseOutcome(text: string): Outcome {
  return JSON.parse(text) as Outcome; // written by `addAttempt` alone
}
