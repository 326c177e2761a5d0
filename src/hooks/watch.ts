/**
 * Reports the thread's work to the watchdog. A blocked thread cannot run its own timers, so each callback call and each
 * evaluation of a handler's rules is announced before it starts. The watchdog runs in another thread.
 */
export interface CallbackWatch {
  /** A callback or the rules of `handler` are about to run for the packet named `packetKey` (`Packet.key`). */
  entering(handler: string, packetKey: string): void;
  /** The call gave the thread back. */
  left(): void;
  /** This handler has blocked the thread on this packet as often as is allowed: it is skipped and dead-lettered. */
  struckOut(handler: string, packetKey: string): boolean;
}

/** Announces work that holds the thread. */
export function watched<T>(watch: CallbackWatch, { handler, packetKey }: Watched, work: () => T): T {
  watch.entering(handler, packetKey);
  try {
    return work();
  } finally {
    watch.left();
  }
}

export interface Watched {
  readonly handler: string;
  readonly packetKey: string;
}

/** For programs that embed the service and watch over themselves. */
export const unwatched: CallbackWatch = { entering: () => undefined, left: () => undefined, struckOut: () => false };
