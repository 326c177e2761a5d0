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
import { toError } from '../kit/errors.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Spool } from '../spool/spool.ts';
import type { Admission, HandlerAdmission } from './admission.ts';
import { type DeliveryAge, DeliveryBuffer, type Limits, PoolUsage } from './delivery-buffer.ts';
import { Lanes } from './lanes.ts';

interface PoolQueuesOptions extends Limits {
  readonly pool: string;
  readonly handlers: readonly string[];
  /** Whether the deliveries of a queue have deadlines: they are claimed even while they may not be sent. */
  readonly hasDeadlines: (handler: string) => boolean;
  readonly admission: Admission;
  readonly spool: Spool;
  readonly clock: Clock;
  /** A claim has ended, with this number of deliveries. */
  readonly onClaimed: (count: number) => void;
  /** The next delivery in the spool is due at `at`. */
  readonly onNextAt: (at: EpochMs) => void;
  readonly onFailed: (error: Error) => void;
}

/** `slots` and `bytes` are for the whole pool. The queues of removed handlers are kept, since their reservations are still released. */
export class PoolQueues {
  readonly #options: PoolQueuesOptions;
  readonly #known = new Map<string, Queue>();
  readonly #usage: PoolUsage;
  #served: readonly Queue[];
  /** Index of the queue whose turn is next. */
  #turn = 0;

  constructor(options: PoolQueuesOptions) {
    this.#options = options;
    this.#usage = new PoolUsage(options);
    this.#served = this.#openAll(options.handlers);
  }

  #openAll(handlers: readonly string[]): readonly Queue[] {
    const queues = handlers.map((handler) => this.#open(handler, handlers.length));
    for (const queue of this.#known.values()) queue.isServed = queues.includes(queue);
    return queues;
  }

  /** The queue of a handler, new if it is not known. A new one has an equal share of the limits, which are for `count` queues. */
  #open(handler: string, count: number): Queue {
    const known = this.#known.get(handler);
    if (known !== undefined) return known;
    const { slots, bytes, admission, hasDeadlines } = this.#options;
    const equalShare = { slots: Math.ceil(slots / count), bytes: Math.ceil(bytes / count) };
    const own = { handler, admission: admission.handler(handler), hasDeadlines: hasDeadlines(handler), usage: this.#usage };
    const queue = new Queue({ ...this.#options, ...own, ...equalShare });
    this.#known.set(handler, queue);
    return queue;
  }

  /** The next delivery that may be sent at `now`: round-robin over the handlers, retries first unless they have used their share. */
  next(now: number, { retriesUsedShare }: { readonly retriesUsedShare: boolean }): Claimed | undefined {
    return retriesUsedShare
      ? (this.#takeFrom('fresh', now) ?? this.#takeFrom('retry', now))
      : (this.#takeFrom('retry', now) ?? this.#takeFrom('fresh', now));
  }

  #takeFrom(age: DeliveryAge, now: number): Claimed | undefined {
    if (this.#usage.waiting[age] === 0) return undefined; // there may be many queues
    const queues = this.#served;
    for (let step = 0; step < queues.length; step += 1) {
      const queue = queues[(this.#turn + step) % queues.length];
      if (queue?.buffer.has(age) !== true || queue.admission.capacity(now) < 1) continue;
      this.#turn = (this.#turn + step + 1) % queues.length;
      return queue.buffer.take(age);
    }
    return undefined;
  }

  /** Removes and returns the head of a queue with deadlines if `test` returns true for it. */
  nextWithDeadline(test: (head: Claimed) => boolean): Claimed | undefined {
    for (const { hasDeadlines, buffer } of this.#served) {
      const head = hasDeadlines ? buffer.first('fresh') : undefined;
      if (head !== undefined && test(head)) return buffer.take('fresh');
    }
    return undefined;
  }

  /** Whether deliveries wait, in memory or possibly in the spool. */
  isNeeded(): boolean {
    return this.#served.some((queue) => queue.isNeeded);
  }

  reserve(delivery: NewDelivery): boolean {
    return this.#known.get(delivery.handler)?.reserve(delivery) === true;
  }

  release(delivery: NewDelivery): void {
    this.#known.get(delivery.handler)?.buffer.release(delivery);
  }

  /** A delivery was stored without being claimed. */
  unclaimed(delivery: NewDelivery): void {
    this.#known.get(delivery.handler)?.unclaimed(delivery);
  }

  /** Takes a claimed delivery. False if the handler is not served here, for example after a reload or a move to another pool. */
  put(delivery: Claimed): boolean {
    const queue = this.#open(delivery.handler, 1);
    queue.put(delivery);
    return queue.isServed;
  }

  /** Takes back a delivery that was not sent. False if its handler is not served any more. */
  putBack(delivery: Claimed): boolean {
    const queue = this.#known.get(delivery.handler);
    queue?.buffer.put(delivery);
    return queue?.isServed === true;
  }

  /** The queue of a delivery that is claimed here. */
  of(delivery: Claimed): Queue | undefined {
    return this.#known.get(delivery.handler);
  }

  /** The spool may hold ready deliveries. */
  wake(): void {
    for (const queue of this.#served) queue.wake();
  }

  /** Claims deliveries for each queue that has capacity. `now` is monotonic. */
  refill(now: number): void {
    for (const queue of this.#served) queue.refill(now);
  }

  /** Changes the served handlers. Resolves with the deliveries held for others, after the end of all claims for them. */
  async serve(handlers: readonly string[]): Promise<readonly Claimed[]> {
    this.#served = this.#openAll(handlers);
    const isRemoved = ({ isServed }: Queue): boolean => !isServed;
    for (const queue of this.#known.values()) queue.wake();
    const removed = [...this.#known.values()].filter(isRemoved);
    await Promise.all(removed.map((queue) => queue.claimed()));
    return removed.filter(isRemoved).flatMap(({ handler }) => this.withdraw(handler)); // a handler may have been added again meanwhile
  }

  /** Removes the deliveries of a handler, and returns those to give back to the spool, which takes back their followers as well. */
  withdraw(handler: string): readonly Claimed[] {
    const queue = this.#known.get(handler);
    queue?.wake();
    return queue?.takeAll() ?? [];
  }

  /** Removes and returns all deliveries, after the end of all claims. */
  async withdrawAll(): Promise<readonly Claimed[]> {
    const queues = [...this.#known.values()];
    await Promise.all(queues.map((queue) => queue.claimed()));
    return queues.flatMap((queue) => queue.takeAll());
  }
}

interface QueueOptions extends Pick<PoolQueuesOptions, 'clock' | 'onClaimed' | 'onFailed' | 'onNextAt' | 'pool' | 'spool'>, Limits {
  readonly handler: string;
  readonly admission: HandlerAdmission;
  readonly hasDeadlines: boolean;
  readonly usage: PoolUsage;
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
  isServed = false;
  readonly #options: QueueOptions;
  readonly #lanes = new Lanes();
  /** Whether the spool may hold ready deliveries. */
  #mayWait = true;
  /** Whether deliveries in the spool must be claimed before others enter. */
  #isBacklogged = true;
  /** Whether a first attempt may wait in the spool. */
  #freshWaits = false;
  #claiming: Promise<void> | undefined;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.handler = options.handler;
    this.admission = options.admission;
    this.hasDeadlines = options.hasDeadlines;
    this.buffer = new DeliveryBuffer(options, options.usage);
  }

  /** Whether deliveries wait, in memory or possibly in the spool. */
  get isNeeded(): boolean {
    return this.#mayWait || this.buffer.size > 0;
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
    this.#mayWait = true;
    this.#freshWaits = true;
  }

  put(delivery: Claimed): void {
    if (this.#lanes.enter(delivery)) this.buffer.put(delivery);
    else this.buffer.addFollower(delivery);
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
    this.buffer.put(head);
  }

  /** Removes and returns the deliveries to give back to the spool: the first follower of each lane returns the others with it. */
  takeAll(): readonly Claimed[] {
    const followers = this.#lanes.takeFollowers();
    for (const follower of followers) this.buffer.removeFollower(follower);
    return [...followers, ...this.buffer.takeAll()];
  }

  wake(): void {
    this.#mayWait = true;
  }

  refill(now: number): void {
    if (!this.#mayWait || this.#claiming !== undefined) return;
    const free = this.#freeToClaim();
    if (free === 0 || this.#isBlocked(now)) return;
    const allowed = this.hasDeadlines ? Number.POSITIVE_INFINITY : this.admission.capacity(now) * claimsPerAttempt;
    if (this.buffer.size < allowed) this.#claiming = this.#claim(Math.min(free, allowed, maxClaims));
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

  async #claim(limit: number): Promise<void> {
    const { pool, spool, clock, onNextAt, onFailed, onClaimed } = this.#options;
    [this.#mayWait, this.#freshWaits] = [false, false]; // a wake-up from here on is for a delivery that this claim may miss
    let count = 0;
    try {
      const request = { handlers: [this.handler], limit, bytes: this.buffer.freeBytes, now: clock.now() };
      const { claimed, nextAt } = await spool.claim(pool, request);
      count = claimed.length;
      for (const delivery of claimed) this.put(delivery);
      this.#freshWaits ||= claimed.some(({ attempts }) => attempts === 0);
      this.#isBacklogged = nextAt !== undefined && nextAt <= clock.now();
      this.#mayWait ||= this.#isBacklogged;
      if (nextAt !== undefined && !this.#isBacklogged) onNextAt(nextAt);
    } catch (thrown) {
      onFailed(toError(thrown));
    }
    this.#claiming = undefined;
    onClaimed(count);
  }

  /** Resolves when no claim is in progress. */
  async claimed(): Promise<void> {
    await this.#claiming;
  }
}
