import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { ContextVariables, QueueName } from '../../model/delivery.ts';
import type { ClaimRequest } from '../spool.ts';
import { type ClaimedRow, claimedRowBody, type Row } from './protocol.ts';
import { type FactsRow, ReadyQueues } from './ready-queues.ts';
import type { Depths, QueueCounters } from './side-tables.ts';
import { statements } from './statements.ts';

/** Facts about a delivery that are needed to settle it without reading its row. */
export interface DeliveryFacts {
  readonly seq: number;
  /** Attempts on record, including those before a replay. */
  readonly spent: number;
  readonly queue: QueueCounters;
  readonly lane: string | null;
  readonly createdAt: EpochMs;
  /** Whether later deliveries may wait in its lane. False is certain: the lane need not be looked up. */
  hasFollowers: boolean;
}

/** The next delivery of a lane that was freed: now claimed, now ready (in this pool), or none waits. */
export type Promotion =
  | { readonly kind: 'claimed'; readonly row: ClaimedRow }
  | { readonly kind: 'none' }
  | { readonly kind: 'ready'; readonly pool: string };

interface Deferral {
  readonly due: EpochMs;
  /** When the attempt failed; undefined if none was made. */
  readonly failedAt: EpochMs | undefined;
  readonly leaveLane: boolean;
  readonly context: ContextVariables;
}

/** A dead letter that becomes a delivery again. */
interface RestoredLetter {
  readonly nr: number;
  readonly pool: string;
  readonly handler: string;
  readonly lane: string | null;
}

export interface ListedDelivery {
  readonly facts: DeliveryFacts;
  readonly state: (typeof stateNames)[number];
}

/** Values of the column `state`. */
const [waiting, ready, claimed] = [0, 1, 2] as const;
const stateNames = ['waiting', 'ready', 'claimed'] as const;

const noPromotion: Promotion = { kind: 'none' };

/** The deliveries that are not settled yet, and their changes of state. Everything here runs inside a transaction. */
export class PendingDeliveries {
  readonly #depths: Depths;
  readonly #readyQueues: ReadyQueues;
  readonly #claims = new Claims();
  readonly #insert: Database.Statement;
  readonly #restoreDead: Database.Statement;
  readonly #remove: Database.Statement<[number]>;
  readonly #anyInLane: Database.Statement<[], number>;
  readonly #laneFirst: Database.Statement<[string], number>;
  readonly #claimRow: Database.Statement<[number], ClaimedRow>;
  readonly #makeReady: Database.Statement<[number], string>;
  readonly #retry: Database.Statement;
  readonly #move: Database.Statement<[string, string, number]>;
  readonly #listWindow: Database.Statement<[number, number], readonly [...FactsRow, state: number]>;
  readonly #readClaims: Database.Statement<[], FactsRow>;
  readonly #lastSeqs: readonly Database.Statement<[], number | null>[];
  readonly #freeClaims: Database.Statement;
  #lastSeq = 0;
  /** Whether a delivery that has a lane may be ready or waiting. False is certain: no lane need be looked up. */
  #lanesInUse = true;

  constructor(db: Database.Database, depths: Depths) {
    this.#depths = depths;
    this.#readyQueues = new ReadyQueues(db, depths);
    this.#insert = db.prepare(statements.insert);
    this.#restoreDead = db.prepare(statements.restoreDead);
    this.#remove = db.prepare<[number]>(statements.remove);
    this.#anyInLane = db.prepare<[], number>(statements.anyInLane).pluck();
    this.#laneFirst = db.prepare<[string], number>(statements.laneFirst).pluck();
    this.#claimRow = db.prepare<[number], ClaimedRow>(statements.claim).raw();
    this.#makeReady = db.prepare<[number], string>(statements.makeReady).pluck();
    this.#retry = db.prepare(statements.retry);
    this.#move = db.prepare<[string, string, number]>(statements.move);
    this.#listWindow = db.prepare<[number, number], readonly [...FactsRow, state: number]>(statements.listWindow).raw();
    this.#readClaims = db.prepare<[], FactsRow>(statements.claims).raw();
    this.#lastSeqs = [statements.lastSeq, statements.lastDeadSeq].map((sql) => db.prepare<[], number | null>(sql).pluck());
    this.#freeClaims = db.prepare(statements.freeClaims);
  }

  /** Makes the claims of an earlier process ready; once, at the start. */
  freeClaims(): void {
    this.#freeClaims.run();
  }

  /** Reads what is kept in memory; at the start and after a rollback. */
  load(): void {
    this.checkLanes();
    this.#lastSeq = Math.max(...this.#lastSeqs.map((statement) => statement.get() ?? 0));
    this.#claims.clear();
    for (const row of this.#readClaims.iterate()) this.#claims.add(this.#factsOf(row));
  }

  /** Finds out whether any lane is in use; at each maintenance. */
  checkLanes(): void {
    this.#lanesInUse = this.#anyInLane.get() !== undefined;
  }

  /** Returns its `seq` if it was claimed, its pool if it is ready, 0 if it waits for its lane. */
  add(row: Row, claim: boolean): number | string {
    const [id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body] = row;
    this.#lastSeq += 1;
    const seq = this.#lastSeq;
    const isFree = lane === null || this.#isFree(lane);
    const state = isFree ? (claim ? claimed : ready) : waiting;
    this.#insert.run(seq, state, createdAt, id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body);
    const queue = this.#depths.of(pool, handler);
    this.#depths.addWaiting(queue, 1);
    if (state === claimed) this.#claims.add({ seq, spent: 0, queue, lane, createdAt, hasFollowers: false });
    else if (lane !== null) this.#lanesInUse = true;
    return state === claimed ? seq : state === ready ? pool : 0;
  }

  /** Copies a dead letter to the tail of its lane; the caller removes the dead letter. */
  restore({ nr, pool, handler, lane }: RestoredLetter, now: EpochMs): { readonly seq: number; readonly ready: boolean } {
    this.#lastSeq += 1;
    const seq = this.#lastSeq;
    const isReady = lane === null || this.#isFree(lane);
    this.#restoreDead.run(seq, isReady ? ready : waiting, now, now, nr);
    this.#depths.addWaiting(this.#depths.of(pool, handler), 1);
    this.#lanesInUse = true;
    return { seq, ready: isReady };
  }

  claim(pool: string, request: ClaimRequest): readonly [claimed: ClaimedRow[], nextAt: EpochMs | undefined] {
    const rows: ClaimedRow[] = [];
    const { positions, next } = this.#readyQueues.select(pool, request);
    let bytesLeft = request.bytes;
    for (const [due, seq] of positions) {
      const row = this.#claim(seq);
      if (row === undefined) continue;
      bytesLeft -= Buffer.byteLength(row[claimedRowBody]);
      if (bytesLeft < 0 && rows.length > 0) {
        this.#unclaim(seq);
        return [rows, Math.min(due, next?.[0] ?? due)];
      }
      rows.push(row);
    }
    return [rows, next?.[0]];
  }

  /** The claimed delivery of this `seq`. */
  claimed(seq: number): DeliveryFacts | undefined {
    return this.#claims.find(seq);
  }

  /** Makes a claimed delivery ready, otherwise unchanged. */
  release(facts: DeliveryFacts): void {
    this.#claims.remove(facts);
    this.#lanesInUse = true;
    this.#makeReady.get(facts.seq);
  }

  /** Makes a claimed delivery ready at a later time. */
  defer(facts: DeliveryFacts, { due, failedAt, leaveLane, context }: Deferral): void {
    this.#claims.remove(facts);
    this.#lanesInUse = true;
    const variables = Object.keys(context).length === 0 ? null : JSON.stringify(context);
    const leaves = leaveLane ? 1 : 0;
    this.#retry.run(due, failedAt === undefined ? 0 : 1, failedAt ?? null, variables, leaves, leaves, facts.seq);
  }

  /** Removes a claimed delivery. */
  remove(facts: DeliveryFacts): void {
    this.#claims.remove(facts);
    this.removeUnclaimed(facts);
  }

  removeUnclaimed({ seq, queue }: DeliveryFacts): void {
    this.#remove.run(seq);
    this.#depths.addWaiting(queue, -1);
  }

  /** Promotes the next delivery of the lane that this one has left, if it had a lane. */
  promoteNext({ lane, hasFollowers }: DeliveryFacts, claimNext: boolean): Promotion {
    if (lane === null || !hasFollowers) return noPromotion;
    const seq = this.#laneFirst.get(lane);
    if (seq === undefined) return noPromotion;
    if (claimNext) {
      const row = this.#claim(seq);
      return row === undefined ? noPromotion : { kind: 'claimed', row };
    }
    const pool = this.#makeReady.get(seq);
    return pool === undefined ? noPromotion : { kind: 'ready', pool };
  }

  /** The ready delivery of a pool that was accepted first. */
  oldestReady(pool: string): DeliveryFacts | undefined {
    const row = this.#readyQueues.oldest(pool);
    return row && this.#factsOf(row);
  }

  /** When the oldest delivery of a pool, ready or claimed, was accepted. */
  oldestAt(pool: string): EpochMs | undefined {
    const [oldestReady, oldestClaimed] = [this.oldestReady(pool)?.createdAt, this.#claims.oldestAt(pool)];
    return oldestReady === undefined || oldestClaimed === undefined ? (oldestReady ?? oldestClaimed) : Math.min(oldestReady, oldestClaimed);
  }

  /** Deliveries in order of acceptance, `after` excluded. */
  list(after: number, count: number): readonly ListedDelivery[] {
    return this.#listWindow.all(after, count).map(([seq, spent, pool, handler, lane, createdAt, state]) => ({
      facts: this.#factsOf([seq, spent, pool, handler, lane, createdAt]),
      state: stateNames[state] ?? 'claimed',
    }));
  }

  /** Moves an unclaimed delivery to another queue. */
  move({ seq, queue }: DeliveryFacts, { pool, handler }: QueueName): void {
    this.#move.run(pool, handler, seq);
    this.#depths.addWaiting(queue, -1);
    this.#depths.addWaiting(this.#depths.of(pool, handler), 1);
  }

  /** A lane is taken by its claimed head, which is known in memory, or by a ready one, which is in the index. */
  #isFree(lane: string): boolean {
    return !this.#claims.addFollower(lane) && (!this.#lanesInUse || this.#laneFirst.get(lane) === undefined);
  }

  #claim(seq: number): ClaimedRow | undefined {
    const row = this.#claimRow.get(seq);
    if (row !== undefined) {
      const [, attempts, past, , , , , , handler, pool, lane, , , , createdAt] = row;
      this.#claims.add(this.#factsOf([seq, attempts + past, pool, handler, lane, createdAt]));
    }
    return row;
  }

  #unclaim(seq: number): void {
    const facts = this.#claims.find(seq);
    if (facts !== undefined) this.release(facts);
  }

  #factsOf([seq, spent, pool, handler, lane, createdAt]: FactsRow): DeliveryFacts {
    return { seq, spent, queue: this.#depths.of(pool, handler), lane, createdAt, hasFollowers: true };
  }
}

/** The deliveries that this process has claimed. */
class Claims {
  readonly #bySeq = new Map<number, DeliveryFacts>();
  readonly #byLane = new Map<string, DeliveryFacts>();

  clear(): void {
    this.#bySeq.clear();
    this.#byLane.clear();
  }

  add(facts: DeliveryFacts): void {
    this.#bySeq.set(facts.seq, facts);
    if (facts.lane !== null) this.#byLane.set(facts.lane, facts);
  }

  remove({ seq, lane }: DeliveryFacts): void {
    this.#bySeq.delete(seq);
    if (lane !== null) this.#byLane.delete(lane);
  }

  find(seq: number): DeliveryFacts | undefined {
    return this.#bySeq.get(seq);
  }

  /** Whether a claimed delivery is the head of this lane; if so, it has followers from now on. */
  addFollower(lane: string): boolean {
    const head = this.#byLane.get(lane);
    if (head === undefined) return false;
    head.hasFollowers = true;
    return true;
  }

  oldestAt(pool: string): EpochMs | undefined {
    let oldest: EpochMs | undefined;
    for (const { queue, createdAt } of this.#bySeq.values()) {
      if (queue.pool === pool && (oldest === undefined || createdAt < oldest)) oldest = createdAt;
    }
    return oldest;
  }
}
