/**
 * How the watchdog sees what the thread is doing: a callback that blocks the thread cannot be timed out from within, so
 * each call is announced before it begins. The one who watches lives in another thread.
 */
export interface CallbackWatch {
  /** A callback of `handler` is about to run for the packet named `packetKey` (`Packet.key`). */
  entering(handler: string, packetKey: string): void;
  /** The call gave the thread back. */
  left(): void;
  /** This handler has blocked the thread on this packet as often as is allowed: it is skipped and dead-lettered. */
  struckOut(handler: string, packetKey: string): boolean;
}

/** For programs that embed the service and watch over themselves. */
export const unwatched: CallbackWatch = { entering: () => undefined, left: () => undefined, struckOut: () => false };
