import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { ContextVariables, QueueName } from '../../model/delivery.ts';
import type { ClaimRequest } from '../spool.ts';
import type { Depths } from './depths.ts';
import { createHolding, type Held } from './holding.ts';
import { createTurns } from './line.ts';
import { createOldest, type Facts } from './oldest.ts';
import type { ClaimedRow, Row } from './protocol.ts';
import { statements } from './statements.ts';

/** What a freed lane or a new row comes to: claimed at once, ready for whoever claims (its pool), or nothing to tell. */
export type Released =
  | { readonly kind: 'claimed'; readonly row: ClaimedRow }
  | { readonly kind: 'none' }
  | { readonly kind: 'ready'; readonly pool: string };

/** The deliveries on disk, and the moves between their places. Everything here runs inside a transaction. */
export interface OwedDeliveries {
  /** Makes what a dead process had claimed ready again. Once, at the start. */
  freeClaims(): void;
  /** Reads anew what memory knows of the disk: after the start, and after a transaction that was undone. */
  load(): void;
  /** Its place in the spool where it was claimed, 0 where it waits, else its pool. */
  add(row: Row, take: boolean): number | string;
  /** Makes a dead letter a delivery at the tail of its lane; it is removed by the caller. Ready, or waiting behind its lane. */
  exhume(grave: Grave, now: EpochMs): { readonly seq: number; readonly ready: boolean };
  claim(pool: string, wanted: ClaimRequest): readonly [claimed: ClaimedRow[], nextAt: EpochMs | undefined];
  held(seq: number): Held | undefined;
  /** Ready again as it was. */
  release(held: Held): void;
  /** Ready again later. */
  putOff(held: Held, how: Later): void;
  /** The ready one that was accepted first. */
  oldestReady(pool: string): Held | undefined;
  /** Deliveries in order of acceptance, from behind `after`. */
  standing(after: number, count: number): readonly Standing[];
  /** Gives one that nobody has claimed to another queue. */
  move(held: Held, to: QueueName): void;
  /** Removes a claimed one. */
  remove(held: Held): void;
  /** Removes one that nobody has claimed. */
  discard(held: Held): void;
  /** Promotes the next of the lane that `held` has left, where it had one. */
  moveOn(held: Held, take: boolean): Released;
  oldest(pool: string): EpochMs | undefined;
  /** Finds out whether lanes need be looked up at all; now and then. */
  look(): void;
}

export interface Grave {
  readonly nr: number;
  readonly pool: string;
  readonly handler: string;
  readonly lane: string | null;
}

export interface Later {
  readonly due: EpochMs;
  /** When the attempt failed; undefined where none was made. */
  readonly failedAt: EpochMs | undefined;
  readonly leaveLane: boolean;
  readonly context: ContextVariables;
}

export interface Standing {
  readonly held: Held;
  readonly place: 'claimed' | 'ready' | 'waiting';
}

const none: Released = { kind: 'none' };
const places = ['waiting', 'ready', 'claimed'] as const;

export function createOwedDeliveries(db: Database.Database, depths: Depths): OwedDeliveries {
  const insert = db.prepare(statements.insert);
  const exhumeRow = db.prepare(statements.exhume);
  const removeRow = db.prepare<[number]>(statements.remove);
  const anyInLane = db.prepare<[], number>(statements.anyInLane).pluck();
  const laneFirst = db.prepare<[string], number>(statements.laneFirst).pluck();
  const claimRow = db.prepare<[number], ClaimedRow>(statements.claim).raw();
  const makeReady = db.prepare<[number], string>(statements.makeReady).pluck();
  const retry = db.prepare(statements.retry);
  const moveRow = db.prepare<[string, string, number]>(statements.move);
  const standWindow = db.prepare<[number, number], readonly [...Facts, state: number]>(statements.standWindow).raw();
  const claims = db.prepare<[], Facts>(statements.claims).raw();
  const lastSeqOf = [statements.lastSeq, statements.lastDeadSeq].map((sql) => db.prepare<[], number | null>(sql).pluck());
  const freeClaims = db.prepare(statements.freeClaims);
  const turnOf = createTurns(db);
  const oldestOf = createOldest(db, depths);
  const holding = createHolding();
  let lastSeq = 0;
  /** Somebody of a lane may be ready or waiting. False is certain: while all keep up, no lane need be looked up. */
  let standing = true;

  function load(): void {
    look();
    lastSeq = Math.max(...lastSeqOf.map((statement) => statement.get() ?? 0));
    holding.clear();
    for (const facts of claims.iterate()) holding.take(heldOf(facts));
  }

  function look(): void {
    standing = anyInLane.get() !== undefined;
  }

  /** What others may wait behind. */
  function heldOf([seq, spent, pool, handler, lane, createdAt]: Facts): Held {
    return { seq, spent, queue: depths.of(pool, handler), lane, createdAt, followed: true };
  }

  function add(row: Row, take: boolean): number | string {
    const [id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body] = row;
    lastSeq += 1;
    const free = lane === null || isFree(lane);
    const state = free ? (take ? 2 : 1) : 0;
    insert.run(lastSeq, state, createdAt, id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body);
    const queue = depths.of(pool, handler);
    depths.addWaiting(queue, 1);
    if (state === 2) holding.take({ seq: lastSeq, spent: 0, queue, lane, createdAt, followed: false });
    else if (lane !== null) standing = true;
    return state === 2 ? lastSeq : state === 1 ? pool : 0;
  }

  /** A lane is held by its claimed head, which memory knows, or by a ready one, which stands in the index. */
  function isFree(lane: string): boolean {
    return !holding.follow(lane) && (!standing || laneFirst.get(lane) === undefined);
  }

  function exhume({ nr, pool, handler, lane }: Grave, now: EpochMs): { seq: number; ready: boolean } {
    lastSeq += 1;
    const ready = lane === null || isFree(lane);
    exhumeRow.run(lastSeq, ready ? 1 : 0, now, now, nr);
    depths.addWaiting(depths.of(pool, handler), 1);
    standing = true;
    return { seq: lastSeq, ready };
  }

  function claim(pool: string, wanted: ClaimRequest): readonly [claimed: ClaimedRow[], nextAt: EpochMs | undefined] {
    const claimed: ClaimedRow[] = [];
    const { places, next } = turnOf(pool, wanted);
    let room = wanted.bytes;
    for (const [due, seq] of places) {
      const row = take(seq);
      if (row === undefined) continue;
      room -= Buffer.byteLength(row[16]);
      if (room < 0 && claimed.length > 0) {
        putBack(seq);
        return [claimed, Math.min(due, next?.[0] ?? due)];
      }
      claimed.push(row);
    }
    return [claimed, next?.[0]];
  }

  function putBack(seq: number): void {
    const held = holding.find(seq);
    if (held !== undefined) release(held);
  }

  function release(held: Held): void {
    holding.drop(held);
    standing = true;
    makeReady.get(held.seq);
  }

  function take(seq: number): ClaimedRow | undefined {
    const row = claimRow.get(seq);
    if (row !== undefined) {
      const [, attempts, past, , , , , , handler, pool, lane, , , , createdAt] = row;
      holding.take(heldOf([seq, attempts + past, pool, handler, lane, createdAt]));
    }
    return row;
  }

  function putOff(held: Held, { due, failedAt, leaveLane, context }: Later): void {
    holding.drop(held);
    standing = true;
    const variables = Object.keys(context).length === 0 ? null : JSON.stringify(context);
    const leaves = leaveLane ? 1 : 0;
    retry.run(due, failedAt === undefined ? 0 : 1, failedAt ?? null, variables, leaves, leaves, held.seq);
  }

  function moveOn({ lane, followed }: Held, takeNext: boolean): Released {
    if (lane === null || !followed) return none;
    const seq = laneFirst.get(lane);
    if (seq === undefined) return none;
    if (takeNext) {
      const row = take(seq);
      return row === undefined ? none : { kind: 'claimed', row };
    }
    const pool = makeReady.get(seq);
    return pool === undefined ? none : { kind: 'ready', pool };
  }

  function discard({ seq, queue }: Held): void {
    removeRow.run(seq);
    depths.addWaiting(queue, -1);
  }

  function oldestReady(pool: string): Held | undefined {
    const facts = oldestOf(pool);
    return facts && heldOf(facts);
  }

  function oldest(pool: string): EpochMs | undefined {
    const [ready, claimed] = [oldestReady(pool)?.createdAt, holding.oldest(pool)];
    return ready === undefined || claimed === undefined ? (ready ?? claimed) : Math.min(ready, claimed);
  }

  return {
    freeClaims: () => {
      freeClaims.run();
    },
    load,
    add,
    exhume,
    claim,
    held: holding.find,
    release,
    putOff,
    oldestReady,
    standing: (after, count) =>
      standWindow.all(after, count).map(([seq, spent, pool, handler, lane, createdAt, state]) => ({
        held: heldOf([seq, spent, pool, handler, lane, createdAt]),
        place: places[state] ?? 'claimed',
      })),
    move: ({ seq, queue }, { pool, handler }) => {
      moveRow.run(pool, handler, seq);
      depths.addWaiting(queue, -1);
      depths.addWaiting(depths.of(pool, handler), 1);
    },
    remove: (held) => {
      holding.drop(held);
      discard(held);
    },
    discard,
    moveOn,
    oldest,
    look,
  };
}
