import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import { type DeadReason, lastStatus } from '../../model/attempt.ts';
import type { DeliveryId } from '../../model/delivery.ts';
import type { FailedPacket } from '../spool.ts';
import type { DeliveryFacts } from './claims.ts';
import { type RefusedRow, rowHandler, rowPool } from './protocol.ts';
import type { AttemptHistories, Depths } from './side-tables.ts';
import { statements } from './statements.ts';

export interface Death {
  readonly reason: DeadReason;
  readonly detail: string;
  /** All attempts, including those before a replay. */
  readonly attempts: number;
  readonly diedAt: EpochMs;
}

/** Identifies a dead letter. */
export interface DeadKey {
  readonly nr: number;
  /** Key of its attempts; null if it has none. */
  readonly seq: number | null;
  readonly pool: string;
  readonly handler: string;
}

/** The dead letters; an operator's view of them is in `dead-letter-search.ts`. Everything here runs inside a transaction. */
export class DeadLetters {
  readonly #depths: Depths;
  readonly #histories: AttemptHistories;
  readonly #insertDead: Database.Statement;
  readonly #insertFailedPacket: Database.Statement;
  readonly #insertRefused: Database.Statement;
  readonly #byId: Database.Statement<[string], DeadKey>;
  readonly #remove: Database.Statement<[number]>;

  constructor(db: Database.Database, { depths, histories }: { readonly depths: Depths; readonly histories: AttemptHistories }) {
    this.#depths = depths;
    this.#histories = histories;
    this.#insertDead = db.prepare(statements.insertDead);
    this.#insertFailedPacket = db.prepare(statements.insertFailedPacket);
    this.#insertRefused = db.prepare(statements.insertRefused);
    this.#byId = db.prepare<[string], DeadKey>(statements.deadById);
    this.#remove = db.prepare<[number]>(statements.removeDead);
  }

  /** Copies a delivery; the caller removes the delivery. */
  add({ seq, queue }: DeliveryFacts, { reason, detail, attempts, diedAt }: Death): void {
    const status = attempts > 0 ? lastStatus(this.#histories.of(seq)) : null;
    this.#insertDead.run(attempts > 0 ? seq : null, reason, detail, status, attempts, diedAt, seq); // a seq without attempts may be reused
    this.#depths.addDead(queue, 1);
  }

  addFailedPacket(failed: FailedPacket, diedAt: EpochMs): void {
    const { id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, packet, facts = null } = failed;
    const times = [seenAt, createdAt, diedAt];
    this.#insertFailedPacket.run(id, packetId, host, handler, pool, sender, receiver, reason, detail, ...times, packet, facts);
    this.#depths.addDead(this.#depths.of(pool, handler), 1);
  }

  addRefused([row, reason, detail]: RefusedRow, diedAt: EpochMs): void {
    this.#insertRefused.run(...row, reason, detail, diedAt);
    this.#depths.addDead(this.#depths.of(row[rowPool], row[rowHandler]), 1);
  }

  /** Removes the row; its attempts stay. */
  remove({ nr, pool, handler }: DeadKey): void {
    this.#remove.run(nr);
    this.#depths.addDead(this.#depths.of(pool, handler), -1);
  }

  removeWithAttempts(key: DeadKey): void {
    if (key.seq !== null) this.#histories.remove(key.seq);
    this.remove(key);
  }

  /** Removes the newest dead letter of this id, if there is one, and its attempts. */
  removeNewest(id: DeliveryId): void {
    const key = this.#byId.get(id);
    if (key !== undefined) this.removeWithAttempts(key);
  }
}
