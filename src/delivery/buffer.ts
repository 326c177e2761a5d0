import { createFifo } from '../kit/fifo.ts';
import type { Claimed, NewDelivery } from '../spool/spool.ts';

/** Claimed deliveries on their way to a worker: first in, first out, bounded in number and bytes, reservations included. */
export interface DeliveryBuffer {
  /** Places free; 0 also when the bytes are used up. */
  readonly room: number;
  /** Bytes free. */
  readonly roomBytes: number;
  readonly size: number;
  /** Keeps a place for a delivery that may be claimed at birth; false when there is none. */
  reserve(delivery: NewDelivery): boolean;
  /** Gives the place back. */
  release(delivery: NewDelivery): void;
  /** Takes what has been claimed, also beyond the bounds: what is claimed must be held. */
  put(delivery: Claimed): void;
  take(): Claimed | undefined;
}

export function createDeliveryBuffer({ places, bytes }: { readonly places: number; readonly bytes: number }): DeliveryBuffer {
  const waiting = createFifo<Claimed>();
  let takenPlaces = 0;
  let takenBytes = 0;

  function occupy(delivery: NewDelivery, sign: 1 | -1): void {
    takenPlaces += sign;
    takenBytes += sign * costBytes(delivery);
  }

  return {
    get room() {
      return takenBytes >= bytes ? 0 : Math.max(0, places - takenPlaces);
    },
    get roomBytes() {
      return Math.max(0, bytes - takenBytes);
    },
    get size() {
      return waiting.size;
    },
    reserve: (delivery) => {
      if (takenPlaces >= places || takenBytes >= bytes) return false;
      occupy(delivery, 1);
      return true;
    },
    release: (delivery) => occupy(delivery, -1),
    put: (delivery) => {
      occupy(delivery, 1);
      waiting.push(delivery);
    },
    take: () => {
      const delivery = waiting.shift();
      if (delivery !== undefined) occupy(delivery, -1);
      return delivery;
    },
  };
}

/** What a delivery costs in memory, roughly: its body and the objects around it. */
export function costBytes(delivery: NewDelivery): number {
  return delivery.body.length + 1024;
}
