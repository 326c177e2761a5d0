import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { ContextVariables, QueueName } from '../../model/delivery.ts';
import type { ClaimRequest } from '../spool.ts';
import { Claims, type DeliveryFacts } from './claims.ts';
import { HotDeliveries, type HotFactsRow } from './hot-deliveries.ts';
import { type ClaimedRow, claimedRowBody, claimedRowHandler, claimedRowPool, type Row } from './protocol.ts';
import { type FactsRow, ReadyQueues } from './ready-queues.ts';
import type { Depths, QueueCounters } from './side-tables.ts';
import { statements } from './statements.ts';

/** The next deliveries of a lane that was freed: now claimed, the first one now ready (in this pool), or none waits. */
export type Promotion =
  | { readonly kind: 'claimed'; readonly rows: readonly ClaimedRow[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'ready'; readonly pool: string };

interface Deferral {
  readonly due: EpochMs;
  /** When the attempt failed; undefined if none was made. */
  readonly failedAt: EpochMs | undefined;
  readonly leaveLane: boolean;
  readonly context: ContextVariables;
}

/** Effect of a settlement on its delivery. `freesLane`: the next delivery of the lane can be promoted. `isReady`: the delivery itself can be claimed again. */
export interface SettlementEffect {
  readonly freesLane: boolean;
  readonly isReady: boolean;
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

/** Bytes of bodies after which no further delivery of a lane is claimed as next. */
const promotedBytes = 64 * 1024;

/**
 * The deliveries that are not settled yet, and their changes of state. Everything here runs inside a transaction.
 *
 * The claimed deliveries of a lane are its first ones, all of one queue. Behind them deliveries wait; a lane without a claimed
 * delivery has a ready one at its head.
 */
export class PendingDeliveries {
  readonly #depths: Depths;
  readonly #readyQueues: ReadyQueues;
  readonly #claims = new Claims();
  readonly hot: HotDeliveries;
  readonly #insert: Database.Statement;
  readonly #restoreDead: Database.Statement;
  readonly #remove: Database.Statement<[number]>;
  readonly #anyInLane: Database.Statement<[], number>;
  readonly #laneFirst: Database.Statement<[string], number>;
  readonly #claimRow: Database.Statement<[number], ClaimedRow>;
  readonly #makeReady: Database.Statement<[number], string>;
  readonly #makeWaiting: Database.Statement<[number]>;
  readonly #retry: Database.Statement;
  readonly #move: Database.Statement<[string, string, number]>;
  readonly #listWindow: Database.Statement<[number, number], readonly [...FactsRow, state: number]>;
  readonly #readClaims: Database.Statement<[], FactsRow>;
  readonly #lastSeqs: readonly Database.Statement<[], number | null>[];
  readonly #freeClaims: () => void;
  #lastSeq = 0;
  /** Whether a delivery that has a lane may be ready or waiting. False is certain: no lane need be looked up. */
  #lanesInUse = true;

  constructor(db: Database.Database, depths: Depths) {
    this.#depths = depths;
    this.#readyQueues = new ReadyQueues(db, depths);
    this.hot = new HotDeliveries(db);
    this.#insert = db.prepare(statements.insert);
    this.#restoreDead = db.prepare(statements.restoreDead);
    this.#remove = db.prepare<[number]>(statements.remove);
    this.#anyInLane = db.prepare<[], number>(statements.anyInLane).pluck();
    this.#laneFirst = db.prepare<[string], number>(statements.laneFirst).pluck();
    this.#claimRow = db.prepare<[number], ClaimedRow>(statements.claim).raw();
    this.#makeReady = db.prepare<[number], string>(statements.makeReady).pluck();
    this.#makeWaiting = db.prepare<[number]>(statements.makeWaiting);
    this.#retry = db.prepare(statements.retry);
    this.#move = db.prepare<[string, string, number]>(statements.move);
    this.#listWindow = db.prepare<[number, number], readonly [...FactsRow, state: number]>(statements.listWindow).raw();
    this.#readClaims = db.prepare<[], FactsRow>(statements.claims).raw();
    this.#lastSeqs = [statements.lastSeq, statements.lastHotSeq, statements.lastDeadSeq].map((sql) =>
      db.prepare<[], number | null>(sql).pluck(),
    );
    this.#freeClaims = db.transaction(() => this.#endClaims(db.prepare(statements.freeClaims)));
  }

  /** Ends the claims of an earlier process; once, at the start, outside a transaction. */
  freeClaims(): void {
    this.#freeClaims();
  }

  /** The first delivery of each lane becomes ready, and the others wait for it. */
  #endClaims(makeAllReady: Database.Statement): void {
    this.hot.allToRows();
    const lanes = new Set<string>();
    for (const [seq, , , , lane] of this.#readClaims.all()) {
      if (lane === null) continue;
      if (lanes.has(lane)) this.#makeWaiting.run(seq);
      lanes.add(lane);
    }
    makeAllReady.run();
  }

  /** Reads the claims and numbers that are kept in memory; at the start and after a rollback. */
  load(): void {
    this.checkLanes();
    this.hot.load();
    this.#lastSeq = Math.max(...this.#lastSeqs.map((statement) => statement.get() ?? 0));
    this.#claims.clear();
    const claims = [...this.#readClaims.all(), ...this.hot.claims()].sort(([one], [other]) => one - other);
    for (const row of claims) this.#claims.add(this.#factsOf(row), true);
  }

  /** Finds out whether any lane is in use; at each maintenance. */
  checkLanes(): void {
    this.#lanesInUse = this.#anyInLane.get() !== undefined;
  }

  /** Returns its `seq` if it was claimed, its pool if it is ready, 0 if it waits for its lane. */
  add(row: Row, claim: boolean): number | string {
    const [, , , handler, pool, lane, , , , createdAt, target, body] = row;
    this.#lastSeq += 1;
    const seq = this.#lastSeq;
    const queue = this.#depths.of(pool, handler);
    const state = this.#stateAtTail(lane, claim ? queue : undefined);
    this.#depths.addWaiting(queue, 1);
    if (state === claimed) {
      this.hot.add(seq, row);
      this.#claims.add({ seq, spent: 0, queue, lane, createdAt, hotBytes: target.length + body.length }, false);
      return seq;
    }
    this.#insert.run(seq, state, createdAt, ...row);
    if (lane !== null) this.#lanesInUse = true;
    return state === ready ? pool : 0;
  }

  /** Copies a dead letter to the tail of its lane; the caller removes the dead letter. */
  restore({ nr, pool, handler, lane }: RestoredLetter, now: EpochMs): { readonly seq: number; readonly ready: boolean } {
    this.#lastSeq += 1;
    const seq = this.#lastSeq;
    const state = this.#stateAtTail(lane, undefined);
    this.#restoreDead.run(seq, state, now, now, nr);
    this.#depths.addWaiting(this.#depths.of(pool, handler), 1);
    this.#lanesInUse = true;
    return { seq, ready: state === ready };
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

  /** Makes a claimed delivery a row of `deliveries`, if it is not one yet: only a row can change or be copied. */
  makeRow(facts: DeliveryFacts): void {
    if (facts.hotBytes > 0) this.hot.toRow(facts.seq);
    facts.hotBytes = 0;
  }

  /** Gives back a claimed delivery unchanged; returns whether it is ready. */
  release(facts: DeliveryFacts): boolean {
    const state = this.#returnToLane(facts);
    if (state === ready) this.#makeReady.get(facts.seq);
    else this.#makeWaiting.run(facts.seq);
    return state === ready;
  }

  /** Gives back a claimed delivery, due at a later time. */
  defer(facts: DeliveryFacts, { due, failedAt, leaveLane, context }: Deferral): SettlementEffect {
    this.makeRow(facts);
    const freesLane = leaveLane && this.#claims.remove(facts);
    const state = leaveLane ? ready : this.#returnToLane(facts);
    this.#lanesInUse = true;
    const variables = Object.keys(context).length === 0 ? null : JSON.stringify(context);
    const leaves = leaveLane ? 1 : 0;
    this.#retry.run(state, due, failedAt === undefined ? 0 : 1, failedAt ?? null, variables, leaves, leaves, facts.seq);
    return { freesLane, isReady: state === ready };
  }

  /** Removes a claimed delivery; returns whether its lane is free and its next delivery can be promoted. */
  remove(facts: DeliveryFacts): boolean {
    if (facts.hotBytes === 0) this.removeUnclaimed(facts);
    else {
      this.hot.settle(facts.seq, facts.hotBytes);
      this.#depths.addWaiting(facts.queue, -1);
    }
    return this.#claims.remove(facts);
  }

  removeUnclaimed({ seq, queue }: DeliveryFacts): void {
    this.#remove.run(seq);
    this.#depths.addWaiting(queue, -1);
  }

  /**
   * Promotes the next delivery of the free lane that this one has left. Up to `claimNext` deliveries are claimed, if they are of the same
   * queue; if it is 0, the first becomes ready.
   */
  promoteNext({ lane, queue }: DeliveryFacts, claimNext: number): Promotion {
    const first = lane === null ? undefined : this.#laneFirst.get(lane);
    if (lane === null || first === undefined) return noPromotion;
    const rows = claimNext > 0 ? this.#claimInLane(lane, queue, claimNext) : [];
    if (rows.length > 0) return { kind: 'claimed', rows };
    const pool = this.#makeReady.get(first);
    return pool === undefined ? noPromotion : { kind: 'ready', pool };
  }

  /** Claims the first deliveries of a lane without claims, up to the first one of another queue. */
  #claimInLane(lane: string, { pool, handler }: QueueName, limit: number): readonly ClaimedRow[] {
    const rows: ClaimedRow[] = [];
    let bytesLeft = promotedBytes;
    while (rows.length < limit && bytesLeft > 0) {
      const seq = this.#laneFirst.get(lane);
      const row = seq === undefined ? undefined : this.#claim(seq);
      if (row === undefined) break;
      if (row[claimedRowPool] !== pool || row[claimedRowHandler] !== handler) {
        this.#unclaim(row[0]);
        break;
      }
      bytesLeft -= Buffer.byteLength(row[claimedRowBody]);
      rows.push(row);
    }
    return rows;
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

  /** The state of a delivery at the tail of a lane; `claimFor`: the queue for which it may be claimed. */
  #stateAtTail(lane: string | null, claimFor: QueueCounters | undefined): typeof claimed | typeof ready | typeof waiting {
    const whenFree = claimFor === undefined ? ready : claimed;
    if (lane === null) return whenFree;
    const claimedLane = this.#claims.lane(lane);
    if (claimedLane === undefined) return this.#lanesInUse && this.#laneFirst.get(lane) !== undefined ? waiting : whenFree;
    if (claimedLane.mayHaveWaiting) claimedLane.mayHaveWaiting = this.#laneFirst.get(lane) !== undefined;
    if (!claimedLane.mayHaveWaiting && claimedLane.claimed[0]?.queue === claimFor) return claimed;
    claimedLane.mayHaveWaiting = true;
    return waiting;
  }

  /** Ends the claims of a delivery and of those behind it in its lane, which wait; returns its own new state. */
  #returnToLane(facts: DeliveryFacts): typeof ready | typeof waiting {
    for (const ended of this.#claims.removeFrom(facts)) {
      this.makeRow(ended);
      if (ended !== facts) this.#makeWaiting.run(ended.seq);
    }
    this.#lanesInUse = true;
    return facts.lane === null || this.#claims.lane(facts.lane) === undefined ? ready : waiting;
  }

  #claim(seq: number): ClaimedRow | undefined {
    const row = this.#claimRow.get(seq);
    if (row !== undefined) {
      const [, attempts, past, , , , , , handler, pool, lane, , , , createdAt] = row;
      this.#claims.add(this.#factsOf([seq, attempts + past, pool, handler, lane, createdAt]), true);
    }
    return row;
  }

  #unclaim(seq: number): void {
    const facts = this.#claims.find(seq);
    if (facts !== undefined) this.release(facts);
  }

  #factsOf([seq, spent, pool, handler, lane, createdAt, hotBytes = 0]: FactsRow | HotFactsRow): DeliveryFacts {
    return { seq, spent, queue: this.#depths.of(pool, handler), lane, createdAt, hotBytes };
  }
}
