/** The small tables next to deliveries and dead letters. Everything here runs inside a transaction. */

import type Database from 'better-sqlite3';
import type { AttemptRecord, Judgement, Outcome } from '../../model/attempt.ts';
import type { QueueName } from '../../model/delivery.ts';
import type { Mark } from '../../model/packet.ts';
import type { DepthRow } from './protocol.ts';
import { statements, wholeTables } from './statements.ts';

/** The counters of one queue. Each queue has one object, so that a claimed delivery can refer to its own. */
export interface QueueCounters extends QueueName {
  waiting: number;
  dead: number;
}

/** The counters of all queues, written in the transactions that change them. */
export class Depths {
  readonly #read: Database.Statement<[], QueueCounters>;
  readonly #forgetEmpty: Database.Statement;
  readonly #set: Database.Statement<[string, string, number, number]>;
  readonly #byPool = new Map<string, Map<string, QueueCounters>>();
  readonly #unwritten = new Set<QueueCounters>();
  readonly #unreported = new Set<QueueCounters>();

  constructor(db: Database.Database) {
    this.#read = db.prepare<[], QueueCounters>(wholeTables.depths);
    this.#forgetEmpty = db.prepare(wholeTables.forgetEmptyDepths);
    this.#set = db.prepare<[string, string, number, number]>(statements.setDepth);
  }

  /** Reads the table at the start and after a rollback. Counters that were given out before are void. */
  load(): void {
    this.#byPool.clear();
    this.#unwritten.clear();
    this.#unreported.clear();
    for (const { pool, handler, waiting, dead } of this.#read.all()) {
      const queue = this.of(pool, handler);
      queue.waiting = waiting;
      queue.dead = dead;
      this.#unreported.add(queue);
    }
  }

  /** Deletes the rows of empty queues; once, at the start. */
  forgetEmpty(): void {
    this.#forgetEmpty.run();
  }

  of(pool: string, handler: string): QueueCounters {
    const known = this.#byPool.get(pool)?.get(handler);
    if (known !== undefined) return known;
    const queue = { pool, handler, waiting: 0, dead: 0 };
    this.#byPool.set(pool, (this.#byPool.get(pool) ?? new Map<string, QueueCounters>()).set(handler, queue));
    return queue;
  }

  all(): QueueCounters[] {
    return Array.from(this.#byPool.values(), (queues) => [...queues.values()]).flat();
  }

  addWaiting(queue: QueueCounters, count: number): void {
    queue.waiting += count;
    this.#unwritten.add(queue);
  }

  addDead(queue: QueueCounters, count: number): void {
    queue.dead += count;
    this.#unwritten.add(queue);
  }

  /** Writes the changes; before a commit. */
  write(): void {
    for (const queue of this.#unwritten) {
      this.#set.run(queue.pool, queue.handler, queue.waiting, queue.dead);
      this.#unreported.add(queue);
    }
    this.#unwritten.clear();
  }

  /** Returns the counters that were written since the last call. */
  takeChanged(): DepthRow[] {
    const changed = Array.from(this.#unreported, depthRowOf);
    this.#unreported.clear();
    return changed;
  }
}

export function depthRowOf({ pool, handler, waiting, dead }: QueueCounters): DepthRow {
  return [pool, handler, waiting, dead];
}

/** The marks of the feeds. If one transaction sets several marks of a node, only the last is written. */
export class Marks {
  readonly #set: Database.Statement<[string, string, string, string, number]>;
  readonly #read: Database.Statement<[], Mark>;
  readonly #unwritten = new Map<string, Mark>();

  constructor(db: Database.Database) {
    this.#set = db.prepare<[string, string, string, string, number]>(statements.setMark);
    this.#read = db.prepare<[], Mark>(wholeTables.marks);
  }

  set(mark: Mark): void {
    this.#unwritten.set(`${mark.attachment}\n${mark.host}\n${mark.node}`, mark);
  }

  /** Writes the marks that were set; before a commit. */
  write(): void {
    for (const { attachment, host, node, epoch, h } of this.#unwritten.values()) this.#set.run(attachment, host, node, epoch, h);
    this.#unwritten.clear();
  }

  /** Forgets the marks that were set; after a rollback. */
  forget(): void {
    this.#unwritten.clear();
  }

  all(): Mark[] {
    this.write(); // includes the marks of this transaction
    return this.#read.all();
  }
}

/** The pools that an operator has paused. */
export class PausedPools {
  readonly #pause: Database.Statement<[string]>;
  readonly #resume: Database.Statement<[string]>;
  readonly #read: Database.Statement<[], string>;

  constructor(db: Database.Database) {
    this.#pause = db.prepare<[string]>(statements.pause);
    this.#resume = db.prepare<[string]>(statements.resume);
    this.#read = db.prepare<[], string>(wholeTables.paused).pluck();
  }

  /** Returns all paused pools after the change. */
  set(pool: string, paused: boolean): string[] {
    (paused ? this.#pause : this.#resume).run(pool);
    return this.all();
  }

  all(): string[] {
    return this.#read.all();
  }
}

interface AttemptRow {
  readonly number: number;
  readonly at: number;
  readonly outcome: string;
  readonly judgement: string | null;
}

/** The attempts of each delivery or dead letter, by its `seq`. */
export class AttemptHistories {
  readonly #add: Database.Statement<[number, number, number, string, string | null]>;
  readonly #of: Database.Statement<[number], AttemptRow>;
  readonly #move: Database.Statement<[number, number]>;
  readonly #remove: Database.Statement<[number]>;

  constructor(db: Database.Database) {
    this.#add = db.prepare<[number, number, number, string, string | null]>(statements.addAttempt);
    this.#of = db.prepare<[number], AttemptRow>(statements.attemptsOf);
    this.#move = db.prepare<[number, number]>(statements.moveAttempts);
    this.#remove = db.prepare<[number]>(statements.removeAttempts);
  }

  add(seq: number, { number, at, outcome, judgement }: AttemptRecord): void {
    this.#add.run(seq, number, at, JSON.stringify(outcome), judgement === undefined ? null : JSON.stringify(judgement));
  }

  of(seq: number): AttemptRecord[] {
    return this.#of.all(seq).map(attemptOf);
  }

  move(seq: number, to: number): void {
    this.#move.run(to, seq);
  }

  remove(seq: number): void {
    this.#remove.run(seq);
  }
}

/** Parses a row that `add` has written. */
function attemptOf({ number, at, outcome, judgement }: AttemptRow): AttemptRecord {
  const record = { number, at, outcome: JSON.parse(outcome) as Outcome };
  return judgement === null ? record : { ...record, judgement: JSON.parse(judgement) as Judgement };
}
