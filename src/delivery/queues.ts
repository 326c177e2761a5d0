/**
 * The queues of a pool, one per handler: claimed deliveries between the spool and a worker. A delivery enters in one of three ways:
 * - *on append*: the commit that stored it claimed it, so its body never left memory;
 * - *as next*: the commit that settled the head of its lane claimed it;
 * - *by claim*: it waited in the spool, because the buffer was full or because it was not due yet.
 *
 * While more ready deliveries wait in the spool than the buffer can take (`backlogged`), the first two ways are closed, so that
 * no delivery overtakes those in the spool.
 */
import type { Clock, EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { Fifo } from '../kit/fifo.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Spool } from '../spool/spool.ts';
import type { Admission, HandlerAdmission } from './admission.ts';

interface PoolQueuesOptions extends Limits {
  readonly pool: string;
  readonly handlers: readonly string[];
  /** Whether the deliveries of a queue have deadlines: they are claimed even while they may not be sent. */
  readonly hasDeadlines: (handler: string) => boolean;
  readonly admission: Admission;
  readonly spool: Spool;
  readonly clock: Clock;
  /** A claim has ended. */
  readonly onClaimed: () => void;
  /** The next delivery in the spool is due at `at`. */
  readonly onNextAt: (at: EpochMs) => void;
  readonly onFailed: (error: Error) => void;
}

/** Limits on the claimed deliveries that wait in memory: their number, and their approximate bytes. */
interface Limits {
  readonly slots: number;
  readonly bytes: number;
}

/** `slots` and `bytes` are for the whole pool. The queues of removed handlers are kept, since their reservations are still released. */
export class PoolQueues {
  readonly #options: PoolQueuesOptions;
  readonly #known = new Map<string, Queue>();
  #served: readonly Queue[];
  /** Index of the queue whose turn is next. */
  #turn = 0;

  constructor(options: PoolQueuesOptions) {
    this.#options = options;
    this.#served = this.#open(options.handlers);
  }

  #open(handlers: readonly string[]): readonly Queue[] {
    const { slots, bytes, admission, hasDeadlines } = this.#options;
    const limits = { slots: Math.ceil(slots / handlers.length), bytes: Math.ceil(bytes / handlers.length) };
    return handlers.map((handler) => {
      const own = { handler, admission: admission.handler(handler), hasDeadlines: hasDeadlines(handler), ...limits };
      const queue = this.#known.get(handler) ?? new Queue({ ...this.#options, ...own });
      this.#known.set(handler, queue);
      return queue;
    });
  }

  /** The next delivery that may be sent at `now`: round-robin over the handlers, retries first unless they have used their share. */
  next(now: number, { retriesUsedShare }: { readonly retriesUsedShare: boolean }): Claimed | undefined {
    return retriesUsedShare
      ? (this.#takeFrom('fresh', now) ?? this.#takeFrom('retry', now))
      : (this.#takeFrom('retry', now) ?? this.#takeFrom('fresh', now));
  }

  #takeFrom(age: DeliveryAge, now: number): Claimed | undefined {
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

  readonly release = (delivery: NewDelivery): void => this.#known.get(delivery.handler)?.buffer.release(delivery);

  /** False if the handler is not served here, for example after a reload or a move to another pool. */
  put(delivery: Claimed): boolean {
    const queue = this.#known.get(delivery.handler);
    if (queue === undefined || !this.#served.includes(queue)) return false;
    queue.buffer.put(delivery);
    return true;
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
    this.#served = this.#open(handlers);
    const isRemoved = (queue: Queue): boolean => !this.#served.includes(queue);
    for (const queue of this.#known.values()) queue.wake();
    const removed = [...this.#known.values()].filter(isRemoved);
    await Promise.all(removed.map((queue) => queue.claimed()));
    return removed.filter(isRemoved).flatMap(({ handler }) => this.withdraw(handler)); // a handler may have been added again meanwhile
  }

  /** Removes and returns the deliveries of a handler. */
  withdraw(handler: string): readonly Claimed[] {
    const queue = this.#known.get(handler);
    queue?.wake();
    return queue?.buffer.takeAll() ?? [];
  }

  /** Removes and returns all deliveries, after the end of all claims. */
  async withdrawAll(): Promise<readonly Claimed[]> {
    const queues = [...this.#known.values()];
    await Promise.all(queues.map((queue) => queue.claimed()));
    return queues.flatMap(({ buffer }) => buffer.takeAll());
  }
}

interface QueueOptions extends Pick<PoolQueuesOptions, 'clock' | 'onClaimed' | 'onFailed' | 'onNextAt' | 'pool' | 'spool'>, Limits {
  readonly handler: string;
  readonly admission: HandlerAdmission;
  readonly hasDeadlines: boolean;
}

/** Deliveries to claim for each attempt that may begin: while few may begin, few are claimed. */
const claimsPerAttempt = 8;

/** Small enough that retries, which get at most half of a claim, leave the rest of the buffer almost free. */
const claimsForFresh = 8;

/** The queue of one handler. */
class Queue {
  readonly handler: string;
  readonly admission: HandlerAdmission;
  readonly hasDeadlines: boolean;
  readonly buffer: DeliveryBuffer;
  readonly #options: QueueOptions;
  #backlogged = true;
  /** Whether a first attempt may wait in the spool. */
  #freshWaits = false;
  #claiming: Promise<void> | undefined;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.handler = options.handler;
    this.admission = options.admission;
    this.hasDeadlines = options.hasDeadlines;
    this.buffer = new DeliveryBuffer(options);
  }

  /** Whether deliveries wait, in memory or possibly in the spool. */
  get isNeeded(): boolean {
    return this.#backlogged || this.buffer.size > 0;
  }

  /** Reserves capacity for a delivery that may be claimed on append or as next; false while others wait before it. */
  reserve(delivery: NewDelivery): boolean {
    const reserved = !this.#backlogged && !this.#isBlocked(this.#options.clock.monotonic()) && this.buffer.reserve(delivery);
    this.#freshWaits ||= !reserved;
    return reserved;
  }

  wake(): void {
    this.#backlogged = true;
  }

  refill(now: number): void {
    const free = this.#freeToClaim();
    if (!this.#backlogged || this.#claiming !== undefined || free === 0 || this.#isBlocked(now)) return;
    const allowed = this.hasDeadlines ? Number.POSITIVE_INFINITY : this.admission.capacity(now) * claimsPerAttempt;
    if (this.buffer.size < allowed) this.#claiming = this.#claim(Math.min(free, allowed));
  }

  #isBlocked(now: number): boolean {
    return !this.hasDeadlines && this.admission.isBlocked(now);
  }

  /** Claims are large; but if the buffer is full of retries, first attempts get a small claim at once. */
  #freeToClaim(): number {
    const { free } = this.buffer;
    if (free >= this.#options.slots / 2) return free;
    return this.#freshWaits && !this.buffer.has('fresh') ? Math.min(free, claimsForFresh) : 0;
  }

  async #claim(limit: number): Promise<void> {
    const { pool, spool, clock, onNextAt, onFailed, onClaimed } = this.#options;
    [this.#backlogged, this.#freshWaits] = [false, false]; // a wake-up from here on is for a delivery that this claim may miss
    try {
      const request = { handlers: [this.handler], limit, bytes: this.buffer.freeBytes, now: clock.now() };
      const { claimed, nextAt } = await spool.claim(pool, request);
      for (const delivery of claimed) this.buffer.put(delivery);
      this.#freshWaits ||= claimed.some(({ attempts }) => attempts === 0);
      if (nextAt !== undefined && nextAt <= clock.now()) this.#backlogged = true;
      else if (nextAt !== undefined) onNextAt(nextAt);
    } catch (thrown) {
      onFailed(toError(thrown));
    }
    this.#claiming = undefined;
    onClaimed();
  }

  /** Resolves when no claim is in progress. */
  async claimed(): Promise<void> {
    await this.#claiming;
  }
}

/** `fresh`: waits for its first attempt; `retry`: has failed before. */
type DeliveryAge = 'fresh' | 'retry';

/**
 * Claimed deliveries, first in, first out within each age, with limits that include reservations. Reservations get at most half of
 * each limit: they last as long as a commit, which can be long while the disk is full, and deliveries in the spool must still be
 * sent meanwhile.
 */
export class DeliveryBuffer {
  readonly #limits: Limits;
  readonly #waiting = { fresh: new Fifo<Claimed>(), retry: new Fifo<Claimed>() };
  #waitingBytes = 0;
  #reserved = 0;
  #reservedBytes = 0;

  constructor({ slots, bytes }: Limits) {
    this.#limits = { slots, bytes };
  }

  /** Free slots; 0 also when the bytes are used up. */
  get free(): number {
    return this.freeBytes === 0 ? 0 : Math.max(0, this.#limits.slots - this.size - this.#reserved);
  }

  get freeBytes(): number {
    return Math.max(0, this.#limits.bytes - this.#waitingBytes - this.#reservedBytes);
  }

  get size(): number {
    return this.#waiting.fresh.size + this.#waiting.retry.size;
  }

  has(age: DeliveryAge): boolean {
    return this.#waiting[age].size > 0;
  }

  /** The delivery that `take` would return. */
  first(age: DeliveryAge): Claimed | undefined {
    return this.#waiting[age].first;
  }

  /** Reserves a slot for a delivery that may be claimed on append; false if there is none. */
  reserve(delivery: NewDelivery): boolean {
    const { slots, bytes } = this.#limits;
    const cost = costBytes(delivery);
    if (this.free === 0 || this.#reserved >= Math.floor(slots / 2) || this.#reservedBytes + cost > bytes / 2) return false;
    this.#reserved += 1;
    this.#reservedBytes += cost;
    return true;
  }

  release(delivery: NewDelivery): void {
    this.#reserved -= 1;
    this.#reservedBytes -= costBytes(delivery);
  }

  /** Adds a claimed delivery, even beyond the limits. */
  put(delivery: Claimed): void {
    this.#waitingBytes += costBytes(delivery);
    this.#waiting[delivery.attempts === 0 ? 'fresh' : 'retry'].push(delivery);
  }

  take(age: DeliveryAge): Claimed | undefined {
    const delivery = this.#waiting[age].shift();
    if (delivery !== undefined) this.#waitingBytes -= costBytes(delivery);
    return delivery;
  }

  takeAll(): Claimed[] {
    const all: Claimed[] = [];
    for (const age of ['fresh', 'retry'] as const) {
      for (let one = this.take(age); one !== undefined; one = this.take(age)) all.push(one);
    }
    return all;
  }
}

/** Approximate memory of a delivery: its body, the packet of a question, and the objects around them. */
export function costBytes({ body, target: { purpose } }: NewDelivery): number {
  return body.length + (purpose?.kind === 'ask' ? purpose.packet.length : 0) + 1024;
}
