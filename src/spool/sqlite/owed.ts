import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { Depths } from './depths.ts';
import { createHolding, type Held } from './holding.ts';
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
  claim(pool: string, wanted: Wanted): readonly [claimed: ClaimedRow[], nextAt: EpochMs | undefined];
  held(seq: number): Held | undefined;
  /** Ready again at `due` (undefined: as it was); with an attempt that failed at `failedAt`, where one was made. */
  giveBack(
    held: Held,
    back: { readonly due: EpochMs | undefined; readonly failedAt: EpochMs | undefined; readonly leaveLane: boolean },
  ): void;
  remove(held: Held): void;
  /** Promotes the next of the lane that `held` has left, where it had one. */
  moveOn(held: Held, take: boolean): Released;
  oldest(pool: string): EpochMs | undefined;
  /** Finds out whether lanes need be looked up at all; now and then. */
  look(): void;
}

export interface Wanted {
  readonly limit: number;
  readonly bytes: number;
  readonly now: EpochMs;
}

const none: Released = { kind: 'none' };

export function createOwedDeliveries(db: Database.Database, depths: Depths): OwedDeliveries {
  const insert = db.prepare(statements.insert);
  const remove = db.prepare<[number]>(statements.remove);
  const anyInLane = db.prepare<[], number>(statements.anyInLane).pluck();
  const laneFirst = db.prepare<[string], number>(statements.laneFirst).pluck();
  const readyFirst = db.prepare<[string, number], readonly [seq: number, due: number, bytes: number]>(statements.readyFirst).raw();
  const claimRow = db.prepare<[number], ClaimedRow>(statements.claim).raw();
  const makeReady = db.prepare<[number], string>(statements.makeReady).pluck();
  const retry = db.prepare<[number, number, number | null, number, number]>(statements.retry);
  const oldestReady = db.prepare<[string], number>(statements.oldestReady).pluck();
  const oldestDeferred = db.prepare<[string], number>(statements.oldestDeferred).pluck();
  const claims = db.prepare<[], readonly [number, number, string, string | null, number]>(statements.claims).raw();
  const lastSeqOf = [statements.lastSeq, statements.lastDeadSeq].map((sql) => db.prepare<[], number | null>(sql).pluck());
  const freeClaims = db.prepare(statements.freeClaims);
  const holding = createHolding();
  let lastSeq = 0;
  /** Somebody of a lane may be ready or waiting. False is certain: while all keep up, no lane need be looked up. */
  let standing = true;

  function load(): void {
    look();
    lastSeq = Math.max(...lastSeqOf.map((statement) => statement.get() ?? 0));
    holding.clear();
    for (const [seq, attempts, pool, lane, createdAt] of claims.iterate()) {
      holding.take({ seq, attempts, pool, lane, createdAt, followed: true });
    }
  }

  function look(): void {
    standing = anyInLane.get() !== undefined;
  }

  function add(row: Row, take: boolean): number | string {
    const [id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body] = row;
    lastSeq += 1;
    const free = lane === null || isFree(lane);
    const state = free ? (take ? 2 : 1) : 0;
    insert.run(lastSeq, state, createdAt, id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body);
    depths.add(pool, { waiting: 1 });
    if (state === 2) holding.take({ seq: lastSeq, attempts: 0, pool, lane, createdAt, followed: false });
    else if (lane !== null) standing = true;
    return state === 2 ? lastSeq : state === 1 ? pool : 0;
  }

  /** A lane is held by its claimed head, which memory knows, or by a ready one, which stands in the index. */
  function isFree(lane: string): boolean {
    return !holding.follow(lane) && (!standing || laneFirst.get(lane) === undefined);
  }

  function claim(pool: string, { limit, bytes, now }: Wanted): readonly [claimed: ClaimedRow[], nextAt: EpochMs | undefined] {
    const claimed: ClaimedRow[] = [];
    let room = bytes;
    for (const [seq, due, size] of readyFirst.all(pool, limit + 1)) {
      room -= size;
      if (due > now || claimed.length === limit || (room < 0 && claimed.length > 0)) return [claimed, due];
      const row = take(seq);
      if (row !== undefined) claimed.push(row);
    }
    return [claimed, undefined];
  }

  function take(seq: number): ClaimedRow | undefined {
    const row = claimRow.get(seq);
    if (row !== undefined) {
      const [, attempts, , , , , , pool, lane, , , , createdAt] = row;
      holding.take({ seq, attempts, pool, lane, createdAt, followed: true });
    }
    return row;
  }

  function giveBack(held: Held, { due, failedAt, leaveLane }: Parameters<OwedDeliveries['giveBack']>[1]): void {
    holding.drop(held);
    standing = true;
    if (due === undefined) makeReady.get(held.seq);
    else retry.run(due, failedAt === undefined ? 0 : 1, failedAt ?? null, leaveLane ? 1 : 0, held.seq);
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

  /** A deferred one was accepted before it was due, a fresh one when it was due: so one row of each index is enough. */
  function oldest(pool: string): EpochMs | undefined {
    const candidates = [oldestReady.get(pool), oldestDeferred.get(pool), holding.oldest(pool)];
    return candidates.reduce((one, other) => (one === undefined || (other !== undefined && other < one) ? other : one), undefined);
  }

  return {
    freeClaims: () => {
      freeClaims.run();
    },
    load,
    add,
    claim,
    held: holding.find,
    giveBack,
    remove: (held) => {
      holding.drop(held);
      remove.run(held.seq);
      depths.add(held.pool, { waiting: -1 });
    },
    moveOn,
    oldest,
    look,
  };
}
