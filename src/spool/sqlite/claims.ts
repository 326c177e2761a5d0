import type { EpochMs } from '../../kit/clock.ts';
import type { QueueCounters } from './side-tables.ts';

/** Facts about a delivery that are needed to settle it without reading its row. */
export interface DeliveryFacts {
  readonly seq: number;
  /** Attempts on record, including those before a replay. */
  readonly spent: number;
  readonly queue: QueueCounters;
  readonly lane: string | null;
  readonly createdAt: EpochMs;
  /** Size of its content if it is hot, otherwise 0. */
  hotBytes: number;
}

/** The claimed deliveries of a lane, in its order. */
interface ClaimedLane {
  readonly claimed: DeliveryFacts[];
  /** Whether unclaimed deliveries may wait behind them. False is certain: the lane need not be looked up. */
  mayHaveWaiting: boolean;
}

/** The deliveries that this process has claimed. */
export class Claims {
  readonly #bySeq = new Map<number, DeliveryFacts>();
  readonly #byLane = new Map<string, ClaimedLane>();

  clear(): void {
    this.#bySeq.clear();
    this.#byLane.clear();
  }

  /** Adds a delivery at the tail of the claimed ones of its lane. `mayHaveWaiting` is for a lane that has none. */
  add(facts: DeliveryFacts, mayHaveWaiting: boolean): void {
    this.#bySeq.set(facts.seq, facts);
    if (facts.lane === null) return;
    const claimedLane = this.#byLane.get(facts.lane);
    if (claimedLane === undefined) this.#byLane.set(facts.lane, { claimed: [facts], mayHaveWaiting });
    else claimedLane.claimed.push(facts);
  }

  /** Removes a delivery; returns whether its lane has no claimed one left, and unclaimed ones may wait for it. */
  remove(facts: DeliveryFacts): boolean {
    this.#bySeq.delete(facts.seq);
    const claimedLane = facts.lane === null ? undefined : this.#byLane.get(facts.lane);
    if (facts.lane === null || claimedLane === undefined) return false;
    claimedLane.claimed.splice(claimedLane.claimed.indexOf(facts), 1);
    if (claimedLane.claimed.length > 0) return false;
    this.#byLane.delete(facts.lane);
    return claimedLane.mayHaveWaiting;
  }

  /** Removes and returns a delivery and those behind it in its lane. */
  removeFrom(facts: DeliveryFacts): readonly DeliveryFacts[] {
    const claimedLane = facts.lane === null ? undefined : this.#byLane.get(facts.lane);
    const removed = claimedLane === undefined ? [facts] : claimedLane.claimed.splice(claimedLane.claimed.indexOf(facts));
    for (const { seq } of removed) this.#bySeq.delete(seq);
    if (claimedLane !== undefined) claimedLane.mayHaveWaiting = true;
    if (facts.lane !== null && claimedLane?.claimed.length === 0) this.#byLane.delete(facts.lane);
    return removed;
  }

  find(seq: number): DeliveryFacts | undefined {
    return this.#bySeq.get(seq);
  }

  lane(name: string): ClaimedLane | undefined {
    return this.#byLane.get(name);
  }

  oldestAt(pool: string): EpochMs | undefined {
    let oldest: EpochMs | undefined;
    for (const { queue, createdAt } of this.#bySeq.values()) {
      if (queue.pool === pool && (oldest === undefined || createdAt < oldest)) oldest = createdAt;
    }
    return oldest;
  }
}
