/**
 * The deliveries that are not settled yet, as facts in memory without their content. One process owns the spool, so all decisions (which
 * delivery of a lane comes first, which is due) are made here at once, and the database only stores what an append or a settlement
 * changes. A claim changes nothing in the database, since it ends with the process.
 *
 * A delivery is *claimed*, *ready* or *waiting*, as `spool.ts` describes. The claimed deliveries of a lane are its first ones, all of one
 * queue; a lane without a claimed one has a ready one at its head.
 */

import type { EpochMs } from '../../kit/clock.ts';
import type { QueueName } from '../../model/delivery.ts';
import type { ClaimRequest } from '../spool.ts';
import type { Lane, Pending, Queue } from './pending-delivery.ts';
import { Queues } from './queues.ts';

/** A delivery as it is loaded or added. */
export interface PendingFacts extends QueueName {
  readonly seq: number;
  readonly lane: string | null;
  readonly createdAt: EpochMs;
  readonly bytes: number;
  readonly due: EpochMs;
  readonly attempts: number;
  readonly past: number;
  readonly status: number | null;
}

/** The next deliveries of a lane that was freed: now claimed, or the first one now ready in this pool. */
export interface Promotion {
  readonly claimed: readonly Pending[];
  readonly readyPool: string | undefined;
}

const noPromotion: Promotion = { claimed: [], readyPool: undefined };

/** Bytes of bodies after which no further delivery of a lane is claimed as next. */
const promotedBytes = 64 * 1024;

export class PendingDeliveries {
  readonly queues = new Queues();
  readonly #bySeq = new Map<number, Pending>();
  readonly #claimed = new Map<number, Pending>();
  readonly #lanes = new Map<string, Lane>();

  /** Adds a delivery at the tail of its lane. With `claim` it is claimed if its lane is free or holds only claimed ones of its queue. */
  add(facts: PendingFacts, claim: boolean): Pending {
    const queue = this.queues.of(facts.pool, facts.handler);
    const lane = facts.lane === null ? undefined : this.#laneOf(facts.lane);
    const pending = pendingOf(facts, queue, lane);
    if (claim && mayJoin(lane, queue)) this.#setClaimed(pending);
    else if (lane?.first === undefined) this.#setReady(pending);
    if (lane !== undefined) {
      if (lane.last === undefined) lane.first = pending;
      else lane.last.behind = pending;
      lane.last = pending;
    }
    this.#bySeq.set(pending.seq, pending);
    this.queues.addWaiting(queue, 1);
    return pending;
  }

  claimed(seq: number): Pending | undefined {
    return this.#claimed.get(seq);
  }

  /** A few thousand at most. */
  allClaimed(): readonly Pending[] {
    return [...this.#claimed.values()];
  }

  find(seq: number): Pending | undefined {
    return this.#bySeq.get(seq);
  }

  /** All deliveries in order of acceptance. */
  all(): IterableIterator<Pending> {
    return this.#bySeq.values();
  }

  claim(pool: string, request: ClaimRequest): { readonly claimed: readonly Pending[]; readonly nextAt: EpochMs | undefined } {
    const { chosen, rest } = this.queues.take(pool, request);
    const claimed: Pending[] = [];
    let bytesLeft = request.bytes;
    let next = rest[0];
    for (const pending of chosen) {
      bytesLeft -= pending.bytes;
      if (bytesLeft < 0 && claimed.length > 0) {
        next = pending;
        break;
      }
      this.#setClaimed(pending);
      claimed.push(pending);
    }
    for (const pending of chosen.slice(claimed.length).concat(rest)) this.queues.offer(pending);
    return { claimed, nextAt: next?.due };
  }

  /** Removes a delivery from the spool; the lane's next one is not promoted yet. */
  remove(pending: Pending): void {
    this.#leaveLane(pending);
    this.#unclaim(pending);
    this.queues.withdraw(pending);
    this.#bySeq.delete(pending.seq);
    this.queues.addWaiting(pending.queue, -1);
  }

  /** Gives back a claimed delivery to its place in its lane: the claims of all later ones of the lane end as well. */
  release(pending: Pending): void {
    for (let each: Pending | undefined = pending; each?.state === 'claimed'; each = each.behind) {
      this.#unclaim(each);
      each.state = 'waiting';
    }
    if (pending.lane === undefined || pending.lane.first === pending) this.#setReady(pending);
  }

  /** Gives back a claimed delivery outside its lane. */
  releaseFromLane(pending: Pending): void {
    this.#leaveLane(pending);
    this.#unclaim(pending);
    this.#setReady(pending);
  }

  /**
   * Promotes the next deliveries of a lane, if no claimed one is left in it: up to `claimNext` are claimed if they are of the given
   * queue, otherwise the first becomes ready.
   */
  promote(name: string | undefined, queue: Queue, claimNext: number): Promotion {
    const lane = name === undefined ? undefined : this.#lanes.get(name);
    if (lane?.first === undefined || lane.claimed > 0) return noPromotion;
    const { first } = lane;
    const claimed: Pending[] = [];
    let bytesLeft = promotedBytes;
    for (let each: Pending | undefined = first; each?.queue === queue && claimed.length < claimNext && bytesLeft > 0; each = each.behind) {
      this.#setClaimed(each);
      bytesLeft -= each.bytes;
      claimed.push(each);
    }
    if (claimed.length > 0) return { claimed, readyPool: undefined };
    if (first.state !== 'ready') this.#setReady(first);
    return { claimed, readyPool: first.queue.pool };
  }

  /** Moves an unclaimed delivery to another queue. */
  move(pending: Pending, to: QueueName): void {
    const isReady = pending.state === 'ready';
    this.queues.withdraw(pending);
    this.queues.addWaiting(pending.queue, -1);
    pending.queue = this.queues.of(to.pool, to.handler);
    this.queues.addWaiting(pending.queue, 1);
    if (isReady) this.#setReady(pending);
  }

  /** Changes the time at which a ready delivery is due. */
  setDue(pending: Pending, due: EpochMs): void {
    this.queues.withdraw(pending);
    pending.due = due;
    this.#setReady(pending);
  }

  /** When the oldest delivery of each pool, ready or claimed, was accepted. */
  oldest(): ReadonlyMap<string, EpochMs> {
    const oldest = new Map<string, EpochMs>();
    const note = (pool: string, at: EpochMs) => oldest.set(pool, Math.min(at, oldest.get(pool) ?? at));
    for (const pool of this.queues.pools()) {
      const ready = this.queues.oldestReady(pool);
      if (ready !== undefined) note(pool, ready.createdAt);
    }
    for (const { queue, createdAt } of this.#claimed.values()) note(queue.pool, createdAt);
    return oldest;
  }

  #laneOf(name: string): Lane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const lane: Lane = { name, first: undefined, last: undefined, claimed: 0 };
    this.#lanes.set(name, lane);
    return lane;
  }

  #leaveLane(pending: Pending): void {
    const { lane, before, behind } = pending;
    if (lane === undefined) return;
    if (before === undefined) lane.first = behind;
    else before.behind = behind;
    if (behind === undefined) lane.last = before;
    else behind.before = before;
    if (pending.state === 'claimed') lane.claimed -= 1;
    if (lane.first === undefined) this.#lanes.delete(lane.name);
    [pending.lane, pending.before, pending.behind] = [undefined, undefined, undefined];
  }

  #setReady(pending: Pending): void {
    pending.state = 'ready';
    this.queues.offer(pending);
  }

  #setClaimed(pending: Pending): void {
    this.queues.withdraw(pending);
    pending.state = 'claimed';
    this.#claimed.set(pending.seq, pending);
    if (pending.lane !== undefined) pending.lane.claimed += 1;
  }

  #unclaim(pending: Pending): void {
    if (!this.#claimed.delete(pending.seq)) return;
    if (pending.lane !== undefined) pending.lane.claimed -= 1;
  }
}

/** Written out in full: an object made by a spread takes three times the memory. */
function pendingOf({ seq, createdAt, bytes, due, attempts, past, status }: PendingFacts, queue: Queue, lane: Lane | undefined): Pending {
  return {
    seq,
    createdAt,
    bytes,
    queue,
    state: 'waiting',
    due,
    attempts,
    past,
    status,
    ready: undefined,
    lane,
    before: lane?.last,
    behind: undefined,
  };
}

/** Whether a delivery at the tail of the lane may be claimed by its own append. */
function mayJoin(lane: Lane | undefined, queue: Queue): boolean {
  if (lane?.first === undefined) return true;
  return lane.last?.state === 'claimed' && lane.first.queue === queue;
}
