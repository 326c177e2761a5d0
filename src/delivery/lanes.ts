import { Fifo } from '../kit/fifo.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';

/** Settlements of a lane that are not on disk yet, at most: after a crash the lane repeats these deliveries, in their order. */
const maxUnsettled = 64;

interface Lane {
  /** Waits for a worker, or for the outcome of its attempt. */
  head: Claimed | undefined;
  readonly followers: Fifo<Claimed>;
  /** Deliveries that the spool holds as claimed: the head, the followers, and those whose settlement is not on disk. */
  claimed: number;
  /** Settlements on their way to the disk that end the claim of a delivery in its lane. */
  unsettled: number;
  /** Settlements on their way to the disk that return a delivery and all followers to the spool. */
  returning: number;
}

/**
 * The lanes of claimed deliveries. The first delivery of a lane is its *head* and may be sent; the *followers* wait in memory. When the
 * outcome of the head is known and it leaves the lane, the next follower is the head, while the settlement is still on its way
 * to the disk. If the head stays in its lane, to be retried, the spool takes back all followers with it (`Spool.settle`), also those whose
 * claim is reported before that settlement is stored.
 */
export class Lanes {
  readonly #byName = new Map<string, Lane>();

  /** Adds a claimed delivery, in the order in which the spool has reported the claims; returns whether it is the head. */
  enter(delivery: Claimed): boolean {
    const lane = this.#laneOf(delivery) ?? this.#open(delivery);
    if (lane === undefined) return true;
    lane.claimed += 1;
    const isHead = lane.followers.size === 0 && mayHaveNewHead(lane);
    if (isHead) lane.head = delivery;
    else lane.followers.push(delivery);
    return isHead;
  }

  /** The head leaves its lane, and its settlement is on its way to the disk; returns the new head. */
  conclude(delivery: Claimed): Claimed | undefined {
    const lane = this.#laneOf(delivery);
    if (lane === undefined) return undefined;
    lane.head = undefined;
    lane.unsettled += 1;
    return nextHead(lane);
  }

  /** The settlement of a delivery that has left its lane is on disk; returns the new head if it waited for that. */
  settle(delivery: Claimed): Claimed | undefined {
    return this.#leave(delivery, 'unsettled');
  }

  /** A settlement that returns the delivery to the spool is on its way to the disk. */
  startReturn(delivery: Claimed): void {
    const lane = this.#laneOf(delivery);
    if (lane === undefined) return;
    lane.returning += 1;
    if (lane.head === delivery) lane.head = undefined;
  }

  /** The delivery is in the spool again, and so are its followers; returns these. */
  endReturn(delivery: Claimed): readonly Claimed[] {
    const lane = this.#laneOf(delivery);
    if (lane === undefined) return [];
    lane.returning -= 1;
    const followers = takeAll(lane.followers);
    lane.claimed -= 1 + followers.length;
    this.#closeIfEmpty(delivery, lane);
    return followers;
  }

  /** The delivery has left its lane instead of being returned; returns the new head. */
  cancelReturn(delivery: Claimed): Claimed | undefined {
    return this.#leave(delivery, 'returning');
  }

  /** The claim of a delivery has ended, and so has its settlement of this kind. */
  #leave(delivery: Claimed, kind: 'returning' | 'unsettled'): Claimed | undefined {
    const lane = this.#laneOf(delivery);
    if (lane === undefined) return undefined;
    lane[kind] -= 1;
    lane.claimed -= 1;
    this.#closeIfEmpty(delivery, lane);
    return nextHead(lane);
  }

  /** Removes and returns the first follower of each lane whose followers are not being returned. */
  takeFollowers(): readonly Claimed[] {
    return Array.from(this.#byName.values(), (lane) => (lane.returning === 0 ? lane.followers.shift() : undefined)).filter(
      (first) => first !== undefined,
    );
  }

  /** Whether the spool holds a delivery of this lane as claimed, so that an unclaimed one waits for its settlement. */
  has({ lane }: NewDelivery): boolean {
    return lane !== null && this.#byName.has(lane);
  }

  /** Whether no delivery of the lane is claimed, except those whose settlement is on its way to the disk. */
  isEnding(delivery: Claimed): boolean {
    const lane = this.#laneOf(delivery);
    return lane !== undefined && lane.claimed === lane.unsettled;
  }

  #laneOf({ lane }: Claimed): Lane | undefined {
    return lane === null ? undefined : this.#byName.get(lane);
  }

  #open({ lane: name }: Claimed): Lane | undefined {
    if (name === null) return undefined;
    const lane: Lane = { head: undefined, followers: new Fifo(), claimed: 0, unsettled: 0, returning: 0 };
    this.#byName.set(name, lane);
    return lane;
  }

  #closeIfEmpty({ lane: name }: Claimed, { claimed }: Lane): void {
    if (name !== null && claimed === 0) this.#byName.delete(name);
  }
}

function mayHaveNewHead({ head, returning, unsettled }: Lane): boolean {
  return head === undefined && returning === 0 && unsettled < maxUnsettled;
}

function nextHead(lane: Lane): Claimed | undefined {
  if (!mayHaveNewHead(lane)) return undefined;
  lane.head = lane.followers.shift();
  return lane.head;
}

function takeAll(followers: Fifo<Claimed>): readonly Claimed[] {
  const all: Claimed[] = [];
  for (let one = followers.shift(); one !== undefined; one = followers.shift()) all.push(one);
  return all;
}
