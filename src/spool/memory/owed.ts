import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord, Claimed, NewDelivery } from '../spool.ts';
import { createHeap, type Heap } from './heap.ts';

/** A delivery still owed. Its place is `claimed`, `ready` or `waiting`, as the port describes them. */
export interface Owed {
  readonly delivery: NewDelivery;
  readonly seq: number;
  place: 'claimed' | 'ready' | 'waiting';
  /** Null once it has left its lane. */
  lane: string | null;
  /** The lane's next, behind this one. */
  follower: Owed | undefined;
  due: EpochMs;
  failingSince: EpochMs | undefined;
  attempts: number;
  history: readonly AttemptRecord[];
}

/** Every delivery still owed, and the moves between its places. */
export interface OwedDeliveries {
  /** At the tail of its lane: claimed if the lane is free and `take` says so, else ready or waiting. */
  add(delivery: NewDelivery, take: boolean): Owed;
  claimed(seq: number): Owed | undefined;
  /** The ready one that is due first. */
  earliest(pool: string): Owed | undefined;
  /** Claims that one. */
  takeEarliest(pool: string): void;
  /** Gives a claimed one back: ready at `due`. */
  giveBack(owed: Owed, due: EpochMs): void;
  /** Frees the lane of a claimed one and promotes the next, which is given; the freed one owes its lane nothing more. */
  leaveLane(owed: Owed, take: boolean): Owed | undefined;
  remove(owed: Owed): void;
  all(): Iterable<Owed>;
}

export function createOwedDeliveries(): OwedDeliveries {
  const bySeq = new Map<number, Owed>();
  const laneTails = new Map<string, Owed>();
  const readyByPool = new Map<string, Heap<Owed>>();
  let lastSeq = 0;

  function add(delivery: NewDelivery, take: boolean): Owed {
    lastSeq += 1;
    const owed: Owed = {
      delivery,
      seq: lastSeq,
      place: 'waiting',
      lane: delivery.lane,
      follower: undefined,
      due: delivery.createdAt,
      failingSince: undefined,
      attempts: 0,
      history: [],
    };
    bySeq.set(owed.seq, owed);
    if (joinLane(owed)) release(owed, take);
    return owed;
  }

  /** Whether nobody stands before it. */
  function joinLane(owed: Owed): boolean {
    if (owed.lane === null) return true;
    const tail = laneTails.get(owed.lane);
    laneTails.set(owed.lane, owed);
    if (tail === undefined) return true;
    tail.follower = owed;
    return false;
  }

  function release(owed: Owed, take: boolean): void {
    if (take) owed.place = 'claimed';
    else makeReady(owed);
  }

  function makeReady(owed: Owed): void {
    owed.place = 'ready';
    const { pool } = owed.delivery;
    const ready = readyByPool.get(pool) ?? createHeap<Owed>(earlier);
    readyByPool.set(pool, ready);
    ready.push(owed);
  }

  function takeEarliest(pool: string): void {
    const taken = readyByPool.get(pool)?.pop();
    if (taken !== undefined) taken.place = 'claimed';
  }

  function leaveLane(owed: Owed, take: boolean): Owed | undefined {
    const { lane, follower } = owed;
    if (lane === null) return undefined;
    owed.lane = null;
    owed.follower = undefined;
    if (follower === undefined) laneTails.delete(lane);
    else release(follower, take);
    return follower;
  }

  return {
    add,
    claimed: (seq) => {
      const owed = bySeq.get(seq);
      return owed?.place === 'claimed' ? owed : undefined;
    },
    earliest: (pool) => readyByPool.get(pool)?.peek(),
    takeEarliest,
    giveBack: (owed, due) => {
      owed.due = due;
      makeReady(owed);
    },
    leaveLane,
    remove: (owed) => {
      bySeq.delete(owed.seq);
    },
    all: () => bySeq.values(),
  };
}

/** The delivery as its claimer sees it. */
export function asClaimed({ delivery, seq, lane, attempts, failingSince }: Owed): Claimed {
  return { ...delivery, lane, seq, attempts, failingSince };
}

function earlier(one: Owed, other: Owed): boolean {
  return one.due < other.due || (one.due === other.due && one.seq < other.seq);
}
