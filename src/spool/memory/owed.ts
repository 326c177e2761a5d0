import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord } from '../../model/attempt.ts';
import type { Claimed, ContextVariables, NewDelivery, QueueName } from '../../model/delivery.ts';
import { retryShare } from '../fair-share.ts';
import type { ClaimRequest } from '../spool.ts';
import { createReadyLines, type LineKind, type Standing } from './ready-lines.ts';

/** A delivery still owed. Its place is `claimed`, `ready` or `waiting`, as the port describes them; `gone` ends it. */
export interface Owed {
  readonly seq: number;
  delivery: NewDelivery;
  place: 'claimed' | 'gone' | 'ready' | 'waiting';
  standing: Standing<Owed> | undefined;
  /** Null once it has left its lane. */
  lane: string | null;
  /** The lane's next, behind this one. */
  follower: Owed | undefined;
  due: EpochMs;
  failingSince: EpochMs | undefined;
  attempts: number;
  /** Those before a replay too. */
  history: readonly AttemptRecord[];
  context: ContextVariables;
}

/** Every delivery still owed, and the moves between its places. */
export interface OwedDeliveries {
  /** At the tail of its lane: claimed if the lane is free and `take` says so, else ready or waiting. */
  add(delivery: NewDelivery, how: { readonly take: boolean; readonly history: readonly AttemptRecord[] }): Owed;
  claimed(seq: number): Owed | undefined;
  claim(pool: string, wanted: ClaimRequest): { readonly claimed: readonly Owed[]; readonly nextAt: EpochMs | undefined };
  /** Gives a claimed one back: ready at `due`. */
  giveBack(owed: Owed, due: EpochMs): void;
  /** Frees the lane of its head and promotes the next, which is given; the freed one owes its lane nothing more. */
  leaveLane(owed: Owed, take: boolean): Owed | undefined;
  /** Gives one that nobody has claimed to another queue. */
  move(owed: Owed, to: QueueName): void;
  /** Its lane is left to the caller. */
  remove(owed: Owed): void;
  /** In order of acceptance. */
  all(): Iterable<Owed>;
}

/** Shared by all that have none. */
const noContext: ContextVariables = Object.freeze({});

export function createOwedDeliveries(): OwedDeliveries {
  const bySeq = new Map<number, Owed>();
  const laneTails = new Map<string, Owed>();
  const lines = createReadyLines<Owed>();
  let lastSeq = 0;

  function add(delivery: NewDelivery, { take, history }: Parameters<OwedDeliveries['add']>[1]): Owed {
    lastSeq += 1;
    const owed: Owed = {
      seq: lastSeq,
      delivery,
      place: 'waiting',
      standing: undefined,
      lane: delivery.lane,
      follower: undefined,
      due: delivery.createdAt,
      failingSince: undefined,
      attempts: 0,
      history,
      context: noContext,
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
    lines.enter(owed);
  }

  function claim(pool: string, wanted: ClaimRequest): { claimed: readonly Owed[]; nextAt: EpochMs | undefined } {
    const [fresh, retries] = [takeDue('fresh', pool, wanted), takeDue('retries', pool, wanted)];
    const retriesTaken = retryShare(wanted.limit, { fresh: fresh.length, retries: retries.length });
    const chosen = [...fresh.slice(0, wanted.limit - retriesTaken), ...retries.slice(0, retriesTaken)].sort(byTurn);
    const claimed = chosen.slice(0, howMany(chosen, wanted.bytes));
    for (const owed of claimed) owed.place = 'claimed';
    for (const owed of [...fresh, ...retries]) if (owed.place === 'ready') lines.enter(owed);
    const left = [lines.first('fresh', pool, wanted.handlers), lines.first('retries', pool, wanted.handlers)];
    return { claimed, nextAt: left.flatMap((owed) => owed?.due ?? []).sort((one, other) => one - other)[0] };
  }

  /** Up to `limit` of one kind, out of their lines. */
  function takeDue(kind: LineKind, pool: string, { handlers, limit, now }: ClaimRequest): Owed[] {
    const due: Owed[] = [];
    while (due.length < limit) {
      const first = lines.first(kind, pool, handlers);
      if (first === undefined || first.due > now) break;
      lines.leave(first);
      due.push(first);
    }
    return due;
  }

  /** A follower that is gone stays in the chain until its turn would come. */
  function leaveLane(owed: Owed, take: boolean): Owed | undefined {
    const { lane } = owed;
    if (lane === null) return undefined;
    owed.lane = null;
    let next = owed.follower;
    while (next?.place === 'gone') next = next.follower;
    owed.follower = undefined;
    if (next === undefined) laneTails.delete(lane);
    else release(next, take);
    return next;
  }

  return {
    add,
    claimed: (seq) => {
      const owed = bySeq.get(seq);
      return owed?.place === 'claimed' ? owed : undefined;
    },
    claim,
    giveBack: (owed, due) => {
      owed.due = due;
      makeReady(owed);
    },
    leaveLane,
    move: (owed, { pool, handler }) => {
      lines.leave(owed);
      owed.delivery = { ...owed.delivery, pool, handler };
      if (owed.place === 'ready') lines.enter(owed);
    },
    remove: (owed) => {
      lines.leave(owed);
      owed.place = 'gone';
      bySeq.delete(owed.seq);
    },
    all: () => bySeq.values(),
  };
}

/** How many of the first have no more than so many bytes of bodies together; one at least. */
function howMany(owed: readonly Owed[], bytes: number): number {
  let room = bytes;
  const tooMany = owed.findIndex(({ delivery }, index) => {
    room -= Buffer.byteLength(delivery.body);
    return room < 0 && index > 0;
  });
  return tooMany === -1 ? owed.length : tooMany;
}

/** The delivery as its claimer sees it. */
export function asClaimed({ delivery, seq, lane, attempts, failingSince, context }: Owed): Claimed {
  return { ...delivery, lane, seq, attempts, failingSince, context };
}

function byTurn(one: Owed, other: Owed): number {
  return one.due - other.due || one.seq - other.seq;
}
