/**
 * The queues of a pool, one per handler: claimed deliveries between the spool and a worker. A delivery enters in one of three ways:
 * - *on append*: the commit that stored it claimed it, so its body never left memory;
 * - *as next*: the commit that settled the last claimed delivery of its lane claimed it;
 * - *by claim*: it waited in the spool, because the buffer was full, because it was not due yet, or because its lane failed.
 *
 * Once the buffer was full (*backlogged*), the first two ways are closed until all due deliveries in the spool have been claimed,
 * so that no delivery overtakes these. The spool itself keeps the order of each lane; {@link Lanes} keeps it in memory.
 */
import type { Clock, EpochMs } from '../kit/clock.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { ClaimResult, Spool } from '../spool/spool.ts';
import type { Admission, HandlerAdmission } from './admission.ts';
import { type DeliveryAge, DeliveryBuffer, type Limits, PoolUsage } from './delivery-buffer.ts';
import { Lanes } from './lanes.ts';

interface PoolQueuesOptions extends Limits {
  readonly pool: string;
  /** Whether the deliveries of a queue have deadlines: they are claimed even while they may not be sent. */
  readonly hasDeadlines: (handler: string) => boolean;
  readonly admission: Admission;
  readonly spool: Spool;
  readonly clock: Clock;
  /** A claim has ended, with this number of deliveries. */
  readonly onClaimed: (count: number) => void;
  /** The next delivery in the spool is due at `at`: `wakeDue` is called then. */
  readonly onNextAt: (at: EpochMs) => void;
  readonly onFailed: (error: Error) => void;
}

/** The queues that a pump looks at: one without deliveries is in none of these, so many idle handlers cost nothing. */
class ActiveQueues {
  /** With deliveries that wait for a worker, by age, in the order of their turns. */
  readonly fresh = new Set<Queue>();
  readonly retry = new Set<Queue>();
  /** Those that may have ready deliveries in the spool. */
  readonly toClaim = new Set<Queue>();
  /** When the next delivery in the spool is due. */
  readonly dueAt = new Map<Queue, EpochMs>();
}

/**
 * `slots` and `bytes` are for the whole pool. A queue is opened for its first delivery. The queues of removed handlers are kept, since
 * their reservations are still released.
 */
export class PoolQueues {
  readonly #options: PoolQueuesOptions;
  readonly #known = new Map<string, Queue>();
  readonly #withDeadlines: Queue[] = [];
  readonly #active = new ActiveQueues();
  readonly #usage: PoolUsage;
  #served: ReadonlySet<string> = new Set();
  #sharers = 1;
  /** Whether the spool may hold ready deliveries of any queue. */
  #isWoken = true;

  constructor(options: PoolQueuesOptions) {
    this.#options = options;
    this.#usage = new PoolUsage(options);
  }

  /** The queue of a handler, new if it is not known. A new one has an equal share of the limits. */
  #open(handler: string, { isBacklogged = false } = {}): Queue {
    const known = this.#known.get(handler);
    if (known !== undefined) return known;
    const { slots, bytes, admission, hasDeadlines } = this.#options;
    const queue = new Queue(this.#options, {
      ...{ handler, isServed: this.#served.has(handler), hasDeadlines: hasDeadlines(handler), admission: admission.handler(handler) },
      buffer: new DeliveryBuffer({ slots: Math.ceil(slots / this.#sharers), bytes: Math.ceil(bytes / this.#sharers) }, this.#usage),
      ...{ active: this.#active, isBacklogged },
    });
    this.#known.set(handler, queue);
    if (queue.hasDeadlines) this.#withDeadlines.push(queue);
    return queue;
  }

  /** The next delivery that may be sent at `now`: round-robin over the handlers, retries first unless they have used their share. */
  next(now: number, { retriesUsedShare }: { readonly retriesUsedShare: boolean }): Claimed | undefined {
    return retriesUsedShare
      ? (this.#takeFrom('fresh', now) ?? this.#takeFrom('retry', now))
      : (this.#takeFrom('retry', now) ?? this.#takeFrom('fresh', now));
  }

  #takeFrom(age: DeliveryAge, now: number): Claimed | undefined {
    for (const queue of this.#active[age]) {
      if (queue.isServed && queue.admission.capacity(now) >= 1) return queue.take(age);
    }
    return undefined;
  }

  /** Removes and returns the head of a queue with deadlines if `test` returns true for it. */
  nextWithDeadline(test: (head: Claimed) => boolean): Claimed | undefined {
    for (const queue of this.#withDeadlines) {
      const head = queue.isServed ? queue.buffer.first('fresh') : undefined;
      if (head !== undefined && test(head)) return queue.take('fresh');
    }
    return undefined;
  }

  /** Whether deliveries wait, in memory or possibly in the spool. */
  isNeeded(): boolean {
    const { fresh, retry, toClaim } = this.#active;
    return fresh.size + retry.size + toClaim.size > 0;
  }

  reserve(delivery: NewDelivery): boolean {
    return this.#served.has(delivery.handler) && this.#open(delivery.handler).reserve(delivery);
  }

  release(delivery: NewDelivery): void {
    this.#known.get(delivery.handler)?.buffer.release(delivery);
  }

  /** A delivery was stored without being claimed. */
  unclaimed(delivery: NewDelivery): void {
    const { handler } = delivery;
    if (this.#served.has(handler) || this.#known.has(handler)) this.#open(handler, { isBacklogged: true }).unclaimed(delivery);
  }

  /** Takes a claimed delivery. False if the handler is not served, for example because it is paused or was moved to another pool. */
  put(delivery: Claimed): boolean {
    const queue = this.#open(delivery.handler);
    queue.put(delivery);
    return queue.isServed;
  }

  /** Takes back a delivery that was not sent. False if its handler is not served any more. */
  putBack(delivery: Claimed): boolean {
    const queue = this.#known.get(delivery.handler);
    queue?.putBack(delivery);
    return queue?.isServed === true;
  }

  /** The queue of a delivery that is claimed here. */
  of(delivery: Claimed): Queue | undefined {
    return this.#known.get(delivery.handler);
  }

  /** The spool may hold ready deliveries of any queue. */
  wake(): void {
    this.#isWoken = true;
  }

  /** Wakes the queues whose next delivery in the spool is due. */
  wakeDue(now: EpochMs): void {
    for (const [queue, at] of this.#active.dueAt) {
      if (at <= now) queue.wake();
      else this.#options.onNextAt(at);
    }
  }

  /** Claims deliveries for each queue that has capacity. `now` is monotonic. */
  refill(now: number): void {
    if (this.#isWoken) this.#wakeWaiting();
    const { toClaim } = this.#active;
    for (const queue of toClaim) {
      if (queue.isServed) queue.refill(now);
      else toClaim.delete(queue); // it is woken when it is served again
    }
  }

  /** Wakes the queues with pending deliveries, according to the last commit. */
  #wakeWaiting(): void {
    const { pool, spool } = this.#options;
    this.#isWoken = false;
    for (const depth of spool.stats().depths) {
      if (depth.pool === pool && depth.waiting > 0 && this.#served.has(depth.handler))
        this.#open(depth.handler, { isBacklogged: true }).wake();
    }
  }

  /** Changes the served handlers. Those removed or paused keep their deliveries until {@link withdrawUnserved}. */
  serve(handlers: readonly string[], isPaused: (handler: string) => boolean): void {
    this.#sharers = Math.max(1, handlers.length);
    this.#served = new Set(isPaused('') ? [] : handlers.filter((handler) => !isPaused(handler)));
    for (const queue of this.#known.values()) queue.isServed = this.#served.has(queue.handler);
    this.wake();
  }

  /** Resolves when the claims in progress have ended. */
  async claimed(): Promise<void> {
    await Promise.all(Array.from(this.#known.values(), (queue) => queue.claimed()));
  }

  /** Removes the deliveries of all handlers, as {@link withdraw} does. */
  withdrawAll(): readonly Claimed[] {
    return [...this.#known.keys()].flatMap((handler) => this.withdraw(handler));
  }

  /** The same for the handlers that are not served. */
  withdrawUnserved(): readonly Claimed[] {
    return [...this.#known.values()].flatMap(({ handler, isServed }) => (isServed ? [] : this.withdraw(handler)));
  }

  /**
   * Removes the deliveries of a handler, and returns those to give back to the spool, which takes back their followers as well. They must be
   * given back in the same turn: an outcome in between would send a follower.
   */
  withdraw(handler: string): readonly Claimed[] {
    const queue = this.#known.get(handler);
    queue?.wake();
    return queue?.takeAll() ?? [];
  }
}

interface QueueParts {
  readonly handler: string;
  readonly isServed: boolean;
  readonly hasDeadlines: boolean;
  readonly admission: HandlerAdmission;
  readonly buffer: DeliveryBuffer;
  readonly active: ActiveQueues;
  /** Whether the spool holds ready deliveries of the queue. */
  readonly isBacklogged: boolean;
}

/** Deliveries to claim for each attempt that may begin: while few may begin, few are claimed. */
const claimsPerAttempt = 8;

/** Small enough that retries, which get at most half of a claim, leave the rest of the buffer almost free. */
const claimsForFresh = 8;

/** Deliveries of one claim, at most: other commands wait for its transaction. */
const maxClaims = 512;

/** The queue of one handler. */
class Queue {
  readonly handler: string;
  readonly admission: HandlerAdmission;
  readonly hasDeadlines: boolean;
  readonly buffer: DeliveryBuffer;
  isServed: boolean;
  readonly #options: PoolQueuesOptions;
  readonly #active: ActiveQueues;
  readonly #lanes = new Lanes();
  /** Whether deliveries in the spool must be claimed before others enter. */
  #isBacklogged: boolean;
  /** Whether a first attempt may wait in the spool. */
  #freshWaits = false;
  #claiming: Promise<void> | undefined;

  constructor(options: PoolQueuesOptions, { handler, isServed, hasDeadlines, isBacklogged, admission, buffer, active }: QueueParts) {
    [this.#options, this.#active, this.admission, this.buffer] = [options, active, admission, buffer];
    [this.handler, this.isServed, this.hasDeadlines, this.#isBacklogged] = [handler, isServed, hasDeadlines, isBacklogged];
  }

  /** Reserves capacity for a delivery that may be claimed on append or as next; false while others wait before it. */
  reserve(delivery: NewDelivery): boolean {
    if (this.#isBacklogged || this.#isBlocked(this.#options.clock.monotonic())) return false;
    if (this.buffer.hasManyFollowers && this.#lanes.has(delivery)) return false;
    this.#isBacklogged = !this.buffer.reserve(delivery);
    return !this.#isBacklogged;
  }

  /** A delivery was stored without being claimed. It is ready, unless it waits for a claimed one of its lane. */
  unclaimed(delivery: NewDelivery): void {
    if (this.#lanes.has(delivery)) return;
    this.wake();
    this.#freshWaits = true;
  }

  put(delivery: Claimed): void {
    if (this.#lanes.enter(delivery)) this.putBack(delivery);
    else this.buffer.addFollower(delivery);
  }

  /** Takes back a delivery that was not sent. */
  putBack(delivery: Claimed): void {
    this.#active[this.buffer.put(delivery)].add(this);
  }

  take(age: DeliveryAge): Claimed | undefined {
    const delivery = this.buffer.take(age);
    const turns = this.#active[age];
    turns.delete(this);
    if (this.buffer.has(age)) turns.add(this); // its next turn is the last
    return delivery;
  }

  /** A delivery leaves its lane, whose next may be sent. Returns whether only the spool can hold further ones of the lane. */
  conclude(delivery: Claimed): boolean {
    if (delivery.lane === null) return false;
    this.#putHead(this.#lanes.conclude(delivery));
    return this.#lanes.isEnding(delivery);
  }

  /** The settlement of a delivery that has left its lane is on disk. */
  settled(delivery: Claimed): void {
    if (delivery.lane !== null) this.#putHead(this.#lanes.settle(delivery));
  }

  /** The settlement that returns a delivery to the spool, with its followers, is on its way to the disk. */
  startReturn(delivery: Claimed): void {
    this.#lanes.startReturn(delivery);
  }

  /** That settlement is on disk. If the delivery has `left` its lane instead of being returned, its followers stay. */
  endReturn(delivery: Claimed, { left }: { readonly left: boolean }): void {
    if (left) this.#putHead(this.#lanes.cancelReturn(delivery));
    else for (const follower of this.#lanes.endReturn(delivery)) this.buffer.removeFollower(follower);
  }

  #putHead(head: Claimed | undefined): void {
    if (head === undefined) return;
    this.buffer.removeFollower(head);
    this.putBack(head);
  }

  /** Removes and returns the deliveries to give back to the spool: the first follower of each lane returns the others with it. */
  takeAll(): readonly Claimed[] {
    const followers = this.#lanes.takeFollowers();
    for (const follower of followers) this.buffer.removeFollower(follower);
    this.#active.fresh.delete(this);
    this.#active.retry.delete(this);
    return [...followers, ...this.buffer.takeAll()];
  }

  /** The spool may hold ready deliveries. */
  wake(): void {
    this.#active.toClaim.add(this);
    this.#active.dueAt.delete(this); // the claim finds out again
  }

  /** A delivery in the spool is due at `at`. */
  deferred(at: EpochMs): void {
    const { clock, onNextAt } = this.#options;
    if (at <= clock.now()) return this.wake();
    const { dueAt, toClaim } = this.#active;
    if (!toClaim.has(this) && at < (dueAt.get(this) ?? Number.POSITIVE_INFINITY)) dueAt.set(this, at);
    onNextAt(at);
  }

  refill(now: number): void {
    if (this.#claiming !== undefined) return;
    const free = this.#freeToClaim();
    if (free === 0 || this.#isBlocked(now)) return;
    const allowed = this.hasDeadlines ? Number.POSITIVE_INFINITY : this.admission.capacity(now) * claimsPerAttempt;
    if (this.buffer.size < allowed) this.#claim(Math.min(free, allowed, maxClaims));
  }

  #isBlocked(now: number): boolean {
    return !this.hasDeadlines && this.admission.isBlocked(now);
  }

  /** Claims are large; but if the buffer is full of retries, first attempts get a small claim at once. */
  #freeToClaim(): number {
    const { free } = this.buffer;
    if (free >= this.buffer.slots / 2) return free;
    return this.#freshWaits && !this.buffer.has('fresh') ? Math.min(free, claimsForFresh) : 0;
  }

  #claim(limit: number): void {
    const { pool, spool, clock, onFailed, onClaimed } = this.#options;
    this.#active.toClaim.delete(this); // a wake-up from here on is for a delivery that this claim may miss
    this.#freshWaits = false;
    const ended = createDeferred<void>();
    this.#claiming = ended.promise;
    const end = (count: number): void => {
      this.#claiming = undefined;
      ended.resolve();
      onClaimed(count);
    };
    const done = (result: ClaimResult): void => {
      this.#takeClaimed(result);
      end(result.claimed.length);
    };
    const failed = (error: Error): void => {
      onFailed(error);
      end(0);
    };
    const request = { handlers: [this.handler], limit, bytes: this.buffer.freeBytes, now: clock.now() };
    spool.claim(pool, request, { done, failed });
  }

  #takeClaimed({ claimed, nextAt }: ClaimResult): void {
    for (const delivery of claimed) this.put(delivery);
    this.#freshWaits ||= claimed.some(({ attempts }) => attempts === 0);
    this.#isBacklogged = nextAt !== undefined && nextAt <= this.#options.clock.now();
    if (this.#isBacklogged) this.wake();
    else if (nextAt !== undefined) this.deferred(nextAt);
  }

  /** Resolves when no claim is in progress. */
  async claimed(): Promise<void> {
    await this.#claiming;
  }
}
