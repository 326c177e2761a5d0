import { Fifo } from '../kit/fifo.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';

/** Limits on the claimed deliveries that wait in memory: their number, and their approximate bytes. */
export interface Limits {
  readonly slots: number;
  readonly bytes: number;
}

/** `fresh`: waits for its first attempt; `retry`: has failed before. */
export type DeliveryAge = 'fresh' | 'retry';

/** Deliveries that are in memory for one purpose, counted in a larger use as well. */
class Usage {
  readonly #within: Usage | undefined;
  slots = 0;
  bytes = 0;

  constructor(within?: Usage) {
    this.#within = within;
  }

  add(delivery: NewDelivery): void {
    this.#change(1, costBytes(delivery));
  }

  remove(delivery: NewDelivery): void {
    this.#change(-1, -costBytes(delivery));
  }

  #change(slots: number, bytes: number): void {
    this.slots += slots;
    this.bytes += bytes;
    if (this.#within !== undefined) this.#within.#change(slots, bytes);
  }
}

/** Total use of all buffers of a pool: a busy one may use what idle ones leave free. */
export class PoolUsage {
  readonly limits: Limits;
  readonly used = new Usage();

  constructor(limits: Limits) {
    this.limits = limits;
  }
}

/**
 * Claimed deliveries, first in, first out within each age, with limits that include reservations. Reservations get at most half of
 * each limit: they last as long as a commit, which can be long while the disk is full, and deliveries in the spool must still be
 * sent meanwhile.
 *
 * A buffer may always hold its equal share of the pool's limits, and half of what the others leave free if that is more: all
 * buffers together hold at most twice the limits, however many there are.
 */
export class DeliveryBuffer {
  /** Equal share of the pool's limits. */
  readonly #equalShare: Limits;
  readonly #pool: PoolUsage;
  readonly #waiting = { fresh: new Fifo<Claimed>(), retry: new Fifo<Claimed>() };
  readonly #used: Usage;
  /** Wait for their lanes outside this buffer. */
  readonly #followers: Usage;
  readonly #reserved: Usage;

  constructor(equalShare: Limits, pool: PoolUsage = new PoolUsage(equalShare)) {
    this.#equalShare = equalShare;
    this.#pool = pool;
    this.#used = new Usage(pool.used);
    this.#followers = new Usage(this.#used);
    this.#reserved = new Usage(this.#used);
  }

  /** Limit on slots at present. */
  get slots(): number {
    const { limits, used } = this.#pool;
    return Math.max(this.#equalShare.slots, Math.floor((limits.slots - used.slots + this.#used.slots) / 2));
  }

  get #bytes(): number {
    const { limits, used } = this.#pool;
    return Math.max(this.#equalShare.bytes, Math.floor((limits.bytes - used.bytes + this.#used.bytes) / 2));
  }

  /** Free slots; 0 also when the bytes are used up. */
  get free(): number {
    return this.freeBytes === 0 ? 0 : Math.max(0, this.slots - this.#used.slots);
  }

  get freeBytes(): number {
    return Math.max(0, this.#bytes - this.#used.bytes);
  }

  /** Whether followers take a quarter of a limit, so that further ones must wait in the spool. */
  get hasManyFollowers(): boolean {
    return this.#followers.slots >= this.slots / 4 || this.#followers.bytes >= this.#bytes / 4;
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
    const { slots, bytes } = this.#reserved;
    if (this.free === 0 || slots >= Math.floor(this.slots / 2) || bytes + costBytes(delivery) > this.#bytes / 2) return false;
    this.#reserved.add(delivery);
    return true;
  }

  release(delivery: NewDelivery): void {
    this.#reserved.remove(delivery);
  }

  addFollower(follower: Claimed): void {
    this.#followers.add(follower);
  }

  removeFollower(follower: Claimed): void {
    this.#followers.remove(follower);
  }

  /** Adds a claimed delivery, even beyond the limits, and returns its age. */
  put(delivery: Claimed): DeliveryAge {
    const age = delivery.attempts === 0 ? 'fresh' : 'retry';
    this.#waiting[age].push(delivery);
    this.#used.add(delivery);
    return age;
  }

  take(age: DeliveryAge): Claimed | undefined {
    const delivery = this.#waiting[age].shift();
    if (delivery === undefined) return undefined;
    this.#used.remove(delivery);
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
