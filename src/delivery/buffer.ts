import { Fifo } from '../kit/fifo.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';

/** What is tried for the first time, and what has failed before. */
export type DeliveryAge = 'fresh' | 'retry';

/**
 * Claimed deliveries on their way to a worker: of either age first in, first out, bounded in number and bytes,
 * reservations included. Reservations get half of either at most: they last as long as a commit, and that can be long while the disk is full,
 * when what is owed must still go out.
 */
export interface DeliveryBuffer {
  /** Places free; 0 also when the bytes are used up. */
  readonly room: number;
  /** Bytes free. */
  readonly roomBytes: number;
  readonly size: number;
  has(age: DeliveryAge): boolean;
  /** The one that `take` would give. */
  first(age: DeliveryAge): Claimed | undefined;
  /** Keeps a place for a delivery that may be claimed at birth; false when there is none. */
  reserve(delivery: NewDelivery): boolean;
  /** Gives the place back. */
  release(delivery: NewDelivery): void;
  /** Takes what has been claimed, also beyond the bounds: what is claimed must be held. */
  put(delivery: Claimed): void;
  take(age: DeliveryAge): Claimed | undefined;
}

export function createDeliveryBuffer({ places, bytes }: { readonly places: number; readonly bytes: number }): DeliveryBuffer {
  const waiting = { fresh: new Fifo<Claimed>(), retry: new Fifo<Claimed>() };
  let waitingBytes = 0;
  let reserved = 0;
  let reservedBytes = 0;

  const size = (): number => waiting.fresh.size + waiting.retry.size;
  const roomBytes = (): number => Math.max(0, bytes - waitingBytes - reservedBytes);
  const room = (): number => (roomBytes() === 0 ? 0 : Math.max(0, places - size() - reserved));

  return {
    get room() {
      return room();
    },
    get roomBytes() {
      return roomBytes();
    },
    get size() {
      return size();
    },
    has: (age) => waiting[age].size > 0,
    first: (age) => waiting[age].first,
    reserve: (delivery) => {
      const cost = costBytes(delivery);
      if (room() === 0 || reserved >= Math.floor(places / 2) || reservedBytes + cost > bytes / 2) return false;
      reserved += 1;
      reservedBytes += cost;
      return true;
    },
    release: (delivery) => {
      reserved -= 1;
      reservedBytes -= costBytes(delivery);
    },
    put: (delivery) => {
      waitingBytes += costBytes(delivery);
      waiting[delivery.attempts === 0 ? 'fresh' : 'retry'].push(delivery);
    },
    take: (age) => {
      const delivery = waiting[age].shift();
      if (delivery !== undefined) waitingBytes -= costBytes(delivery);
      return delivery;
    },
  };
}

/** What a delivery costs in memory, roughly: its body, the packet of a question, and the objects around it. */
export function costBytes({ body, target: { purpose } }: NewDelivery): number {
  return body.length + (purpose?.kind === 'ask' ? purpose.packet.length : 0) + 1024;
}
