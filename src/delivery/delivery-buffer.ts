import { Fifo } from '../kit/fifo.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';

/** Limits on the claimed deliveries that wait in memory: their number, and their approximate bytes. */
export interface Limits {
  readonly slots: number;
  readonly bytes: number;
}

/** `fresh`: waits for its first attempt; `retry`: has failed before. */
export type DeliveryAge = 'fresh' | 'retry';

/**
 * Claimed deliveries, first in, first out within each age, with limits that include reservations. Reservations get at most half of
 * each limit: they last as long as a commit, which can be long while the disk is full, and deliveries in the spool must still be
 * sent meanwhile.
 */
export class DeliveryBuffer {
  readonly #limits: Limits;
  readonly #waiting = { fresh: new Fifo<Claimed>(), retry: new Fifo<Claimed>() };
  #waitingBytes = 0;
  #held = 0;
  #heldBytes = 0;
  #reserved = 0;
  #reservedBytes = 0;

  constructor({ slots, bytes }: Limits) {
    this.#limits = { slots, bytes };
  }

  /** Free slots; 0 also when the bytes are used up. */
  get free(): number {
    return this.freeBytes === 0 ? 0 : Math.max(0, this.#limits.slots - this.size - this.#held - this.#reserved);
  }

  get freeBytes(): number {
    return Math.max(0, this.#limits.bytes - this.#waitingBytes - this.#heldBytes - this.#reservedBytes);
  }

  /** Whether followers take a quarter of a limit, so that further ones must wait in the spool. */
  get holdsMany(): boolean {
    return this.#held >= this.#limits.slots / 4 || this.#heldBytes >= this.#limits.bytes / 4;
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

  /** Counts a follower, which waits for its lane outside this buffer. */
  hold(follower: Claimed): void {
    this.#held += 1;
    this.#heldBytes += costBytes(follower);
  }

  letGo(follower: Claimed): void {
    this.#held -= 1;
    this.#heldBytes -= costBytes(follower);
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
