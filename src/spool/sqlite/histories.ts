import type Database from 'better-sqlite3';
import type { AttemptRecord, Judgement, Outcome } from '../../model/attempt.ts';
import { statements } from './statements.ts';

/** The attempts on disk, by the place of their delivery. Everything here runs inside a transaction. */
export interface Histories {
  add(seq: number, attempt: AttemptRecord): void;
  of(seq: number): AttemptRecord[];
  move(seq: number, to: number): void;
  remove(seq: number): void;
}

interface AttemptRow {
  readonly number: number;
  readonly at: number;
  readonly outcome: string;
  readonly judgement: string | null;
}

export function createHistories(db: Database.Database): Histories {
  const add = db.prepare<[number, number, number, string, string | null]>(statements.addAttempt);
  const of = db.prepare<[number], AttemptRow>(statements.attemptsOf);
  const move = db.prepare<[number, number]>(statements.moveAttempts);
  const remove = db.prepare<[number]>(statements.removeAttempts);

  return {
    add: (seq, { number, at, outcome, judgement }) => {
      add.run(seq, number, at, JSON.stringify(outcome), judgement === undefined ? null : JSON.stringify(judgement));
    },
    of: (seq) => of.all(seq).map(recordOf),
    move: (seq, to) => {
      move.run(to, seq);
    },
    remove: (seq) => {
      remove.run(seq);
    },
  };
}

/** What `add` has written. */
function recordOf({ number, at, outcome, judgement }: AttemptRow): AttemptRecord {
  const record = { number, at, outcome: JSON.parse(outcome) as Outcome };
  return judgement === null ? record : { ...record, judgement: JSON.parse(judgement) as Judgement };
}
