import type { Socket } from 'node:net';
import type { Clock } from '../src/kit/clock.ts';
import type { Random } from '../src/kit/pacing.ts';
import type { Dial, Dialled, Opened } from './dial.ts';

/** The code of an attempt to use a connection that has gone meanwhile. */
export const CONNECTION_GONE = 'CONNECTION_GONE';

/** How long a connection may stand that no client has been given, ms. */
const UNUSED_MS = 4000;

/** The largest random reduction of an age, as a fraction. */
const AGE_SPREAD = 0.2;

/** The age limit of connections. */
export interface Longevity {
  readonly clock: Clock;
  /** Maximum age, ms; Infinity disables the limit. */
  readonly maxAgeMs: number;
  readonly random: Random;
}

/**
 * A worker's one connection, and the next when that is gone. It is dialled when the HTTP client has something to send,
 * or ahead of that, for a message that needs a session: then it stands here until the client asks for it.
 */
export class Connection {
  /** Requests that the present connection has carried, the one under way included. */
  carried = 0;
  readonly #dial: Dial;
  readonly #longevity: Longevity | undefined;
  #dialled: Dialled | undefined;
  #socket: Socket | undefined;
  #unused = false;
  #agedAt = Number.POSITIVE_INFINITY;

  constructor(dial: Dial, longevity?: Longevity) {
    this.#dial = dial;
    this.#longevity = longevity;
  }

  /** The connection that the next request goes over; undefined where none stands. */
  get standing(): Socket | undefined {
    return this.#socket?.destroyed === false ? this.#socket : undefined;
  }

  /** Dials a fresh one for a client that waits for it. */
  open(opened: Opened): void {
    this.carried = 0;
    this.#socket = undefined;
    this.#unused = false;
    this.#dialled = this.#dial((...result) => {
      const [, socket] = result;
      this.#socket = socket;
      this.#agedAt = agedAt(this.#longevity);
      opened(...result);
    });
  }

  /** Dials a fresh one ahead of any request: it stands until a client takes it. */
  prepare(opened: Opened): void {
    this.open((...result) => {
      const [, socket] = result;
      socket?.on('error', ignore);
      this.#unused = socket !== undefined;
      opened(...result);
    });
  }

  /** Hands over the one that stands unused; undefined where there is none. */
  take(): Socket | undefined {
    const socket = this.#unused ? this.keep() : undefined;
    this.#unused = false;
    return socket;
  }

  /** Something is under way: the one that stands, if any, no longer ends by itself. */
  keep(): Socket | undefined {
    return this.#unused ? this.standing?.setTimeout(0).off('timeout', end) : this.standing;
  }

  /** Nothing is under way: a connection that no client has, and none will therefore end, ends by itself. */
  rest(): void {
    if (this.#unused) this.standing?.setTimeout(UNUSED_MS).once('timeout', end);
  }

  /** The connection is idle. If it has reached its age it closes, so that the next request resolves the host name again. */
  retire(): void {
    if (this.#longevity !== undefined && this.#longevity.clock.monotonic() >= this.#agedAt) this.drop();
  }

  drop(reason?: Error): void {
    this.#agedAt = Number.POSITIVE_INFINITY;
    this.#dialled?.destroy(reason);
  }
}

/** Slightly below the maximum, at random, so that connections that were opened together do not close together. */
function agedAt(longevity: Longevity | undefined): number {
  if (longevity === undefined) return Number.POSITIVE_INFINITY;
  const { clock, maxAgeMs, random } = longevity;
  return clock.monotonic() + maxAgeMs * (1 - AGE_SPREAD * random());
}

/** Why a request that belongs to a connection cannot be sent over another. */
export function connectionGone(): Error {
  return Object.assign(new Error('the connection has gone since the request was built'), { code: CONNECTION_GONE });
}

function end(this: Socket): void {
  this.destroy();
}

function ignore(): void {
  // Until a client has the socket nobody else listens, and an error would end the thread. What follows it is its close.
}
