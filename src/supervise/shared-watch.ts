/**
 * The watchdog's eyes. A callback that blocks its thread cannot be timed out from within, so the service thread writes
 * into shared memory what it is about to call, and the supervisor's thread looks at it from time to time.
 *
 * Layout: [0] number of enterings and leavings (odd: inside a callback), [1] index of the handler, [2] length of the
 * packet's key; behind them the key in UTF-16.
 */
import type { CallbackWatch } from '../hooks/watch.ts';

const maxKeyLength = 1024;
const headBytes = 3 * Int32Array.BYTES_PER_ELEMENT;

export function createWatchMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(headBytes + maxKeyLength * Uint16Array.BYTES_PER_ELEMENT);
}

/** A handler that has blocked the thread on one packet, and how often. */
export interface Strike {
  readonly handler: string;
  readonly packetKey: string;
  readonly count: number;
}

/** After so many strikes a handler is skipped for a packet. */
const strikesAllowed = 3;

export interface SharedWatch extends CallbackWatch {
  /**
   * Takes in the handlers of a new configuration; gives all names that there have been. An index never changes its
   * meaning: whoever looks with an older list meets a handler that is not in it yet, and never takes one for another.
   */
  know(handlers: readonly string[]): readonly string[];
}

/** The service thread's side: some tens of nanoseconds a call. */
export function createSharedWatch(memory: SharedArrayBuffer, handlers: readonly string[], strikes: readonly Strike[]): SharedWatch {
  const head = new Int32Array(memory, 0, 3);
  const key = new Uint16Array(memory, headBytes);
  const indexes = new Map(handlers.map((handler, index) => [handler, index]));
  const out = new Set(strikes.filter(({ count }) => count >= strikesAllowed).map(({ handler, packetKey }) => `${handler}\n${packetKey}`));
  let written = '';

  function write(packetKey: string): void {
    written = packetKey;
    const length = Math.min(packetKey.length, maxKeyLength);
    for (let i = 0; i < length; i += 1) key[i] = packetKey.charCodeAt(i);
    head[2] = length;
  }

  return {
    entering: (handler, packetKey) => {
      if (packetKey !== written) write(packetKey);
      head[1] = indexes.get(handler) ?? -1;
      Atomics.add(head, 0, 1);
    },
    left: () => {
      Atomics.add(head, 0, 1);
    },
    know: (more) => {
      for (const handler of more) if (!indexes.has(handler)) indexes.set(handler, indexes.size);
      return [...indexes.keys()];
    },
    struckOut: (handler, packetKey) => out.size > 0 && out.has(`${handler}\n${packetKey}`),
  };
}

/** What the service thread is inside of, as the supervisor sees it. `call` tells two calls apart. */
export interface InsideCallback {
  readonly call: number;
  readonly handler: string;
  readonly packetKey: string;
}

/** The supervisor's side; undefined while no callback runs. */
export function lookInside(memory: SharedArrayBuffer, handlers: readonly string[]): InsideCallback | undefined {
  const head = new Int32Array(memory, 0, 3);
  const call = Atomics.load(head, 0);
  if (call % 2 === 0) return undefined;
  const length = head[2] ?? 0;
  const packetKey = String.fromCharCode(...new Uint16Array(memory, headBytes, length));
  return { call, handler: handlers[head[1] ?? -1] ?? 'unknown', packetKey };
}
