import type { Socket } from 'node:net';
import type { Dial, Opened } from './dial.ts';

/** The code of an attempt to use a connection that has gone meanwhile. */
export const CONNECTION_GONE = 'CONNECTION_GONE';

/** How long a connection may stand that no client has been given, ms. */
const UNUSED_MS = 4000;

/**
 * A worker's one connection, and the next when that is gone. It is dialled when the HTTP client has something to send,
 * or ahead of that, for a message that needs a session: then it stands here until the client asks for it.
 */
export class Connection {
  /** Requests that the present connection has carried, the one under way included. */
  carried = 0;
  readonly #dial: Dial;
  #socket: Socket | undefined;
  #up = false;
  #unused = false;

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  /** The connection that the next request goes over; undefined where none stands. */
  get standing(): Socket | undefined {
    return this.#up && this.#socket?.destroyed === false ? this.#socket : undefined;
  }

  /** Dials a fresh one for a client that waits for it. */
  open(opened: Opened): void {
    this.carried = 0;
    this.#up = false;
    this.#unused = false;
    this.#socket = this.#dial((error, socket) => {
      this.#up = error === undefined;
      opened(error, socket);
    });
  }

  /** Dials a fresh one ahead of any request: it stands until a client takes it. */
  prepare(opened: Opened): void {
    this.open((error, socket) => {
      socket.on('error', ignore);
      this.#unused = error === undefined;
      opened(error, socket);
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

  drop(reason?: Error): void {
    this.#socket?.destroy(reason);
  }
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
