/**
 * Shared memory of the watchdog. A callback that blocks its thread cannot be timed out from within, so the service thread
 * writes each call into shared memory before it starts, and the supervisor's thread reads it periodically.
 *
 * Layout: [0] number of entries and exits (odd: inside a callback), [1] index of the handler, [2] length of the packet key;
 * then the key in UTF-16.
 */
import type { CallbackWatch } from '../hooks/call.ts';

const maxKeyLength = 1024;
const [callIndex, handlerIndex, lengthIndex] = [0, 1, 2];
const headBytes = 3 * Int32Array.BYTES_PER_ELEMENT;

export function createWatchMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(headBytes + maxKeyLength * Uint16Array.BYTES_PER_ELEMENT);
}

/** How often a handler has blocked the thread on one packet. `packetKey`: `Packet.key`, which is the same if the packet is seen again. */
export interface Strike {
  readonly handler: string;
  readonly packetKey: string;
  readonly count: number;
}

/** Number of strikes after which a handler is skipped for a packet. */
const strikesAllowed = 3;

/**
 * The service thread's side. A call takes some tens of nanoseconds. The methods of `CallbackWatch` are fields, because
 * the replayer spreads the object, which does not copy methods.
 */
export class SharedWatch implements CallbackWatch {
  readonly #head: Int32Array;
  readonly #key: Uint16Array;
  readonly #indexes = new Map<string, number>();
  readonly #struckOut: ReadonlySet<string>;
  #writtenKey = '';

  constructor(memory: SharedArrayBuffer, strikes: readonly Strike[]) {
    this.#head = new Int32Array(memory, 0, 3);
    this.#key = new Uint16Array(memory, headBytes);
    const out = strikes.filter(({ count }) => count >= strikesAllowed);
    this.#struckOut = new Set(out.map(({ handler, packetKey }) => `${handler}\n${packetKey}`));
  }

  /**
   * Adds the handlers of a configuration and returns all names so far. An index never changes its meaning: a reader with an
   * older list finds no name for a newer handler, and never the name of another.
   */
  addHandlers(handlers: readonly string[]): readonly string[] {
    for (const handler of handlers) if (!this.#indexes.has(handler)) this.#indexes.set(handler, this.#indexes.size);
    return [...this.#indexes.keys()];
  }

  readonly entering = (handler: string, packetKey: string): void => {
    if (packetKey !== this.#writtenKey) this.#write(packetKey);
    this.#head[handlerIndex] = this.#indexes.get(handler) ?? -1;
    Atomics.add(this.#head, callIndex, 1);
  };

  readonly left = (): void => {
    Atomics.add(this.#head, callIndex, 1);
  };

  readonly struckOut = (handler: string, packetKey: string): boolean =>
    this.#struckOut.size > 0 && this.#struckOut.has(`${handler}\n${packetKey}`);

  #write(packetKey: string): void {
    this.#writtenKey = packetKey;
    const length = Math.min(packetKey.length, maxKeyLength);
    for (let i = 0; i < length; i += 1) this.#key[i] = packetKey.charCodeAt(i);
    this.#head[lengthIndex] = length;
  }
}

/** The running callback. `call` distinguishes two calls. */
export interface RunningCallback {
  readonly call: number;
  readonly handler: string;
  readonly packetKey: string;
}

/** The supervisor's side; undefined while no callback runs. */
export function runningCallback(memory: SharedArrayBuffer, handlers: readonly string[]): RunningCallback | undefined {
  const head = new Int32Array(memory, 0, 3);
  const call = Atomics.load(head, callIndex);
  if (call % 2 === 0) return undefined;
  const length = head[lengthIndex] ?? 0;
  const packetKey = String.fromCharCode(...new Uint16Array(memory, headBytes, length));
  return { call, handler: handlers[head[handlerIndex] ?? -1] ?? 'unknown', packetKey };
}
