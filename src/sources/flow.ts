import type { Accept, Packet, Receipt } from '../model/packet.ts';

/** Counts what has been handed over and is not on disk yet, and stops the reading before memory pays for it. */
export interface Flow {
  readonly uncommittedBytes: number;
  /** Reading is stopped. */
  readonly stopped: boolean;
  /** Hands a packet over; its bytes count until `landed` is told of them. */
  hand(packet: Packet | undefined, receipt: Receipt, bytes: number): void;
  /** So many bytes are committed: what a receipt's `committed` has to say. */
  landed(bytes: number): void;
}

/** Reading stops at `maxBytes` and goes on at half of it. */
export function createFlow(accept: Accept, { maxBytes, onStop, onGo }: { readonly maxBytes: number; onStop(): void; onGo(): void }): Flow {
  let uncommitted = 0;
  let stopped = false;

  function count(bytes: number): void {
    uncommitted += bytes;
    if (!stopped && uncommitted > maxBytes) {
      stopped = true;
      onStop();
    } else if (stopped && uncommitted <= maxBytes / 2) {
      stopped = false;
      onGo();
    }
  }

  return {
    get uncommittedBytes() {
      return uncommitted;
    },
    get stopped() {
      return stopped;
    },
    hand: (packet, receipt, bytes) => {
      count(bytes);
      accept(packet, receipt);
    },
    landed: (bytes) => count(-bytes),
  };
}
