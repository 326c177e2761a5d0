import type { Socket } from 'node:net';

/**
 * undici 7.30 closes a connection that receives an unsolicited 100 (Continue), although it skips every other interim response.
 * RFC 9110 §15.2 requires a client to skip them all. The mask replaces each 100 with 102, which has the same length and is skipped.
 *
 *   idle → status line → (1xx) interim head → status line → (other) idle
 *
 * On a connection without interim responses it reads one byte per response.
 */
export class ContinueMask {
  #state: 'idle' | 'interim head' | 'status line' = 'idle';
  /** Bytes of the status line received so far. */
  #column = 0;
  /** Number of zeros among the last two digits. */
  #zeros = 0;
  #lineIsEmpty = false;

  /** Masks the reads of a socket and returns it. */
  over(socket: Socket): Socket {
    const read = socket.read.bind(socket);
    socket.read = (size?: number): Buffer | null => {
      const chunk: Buffer | null = read(size);
      if (chunk !== null && this.#state !== 'idle') this.#mask(chunk);
      return chunk;
    };
    return socket;
  }

  /** A request is sent; the next bytes received are the head of a response. */
  expect(): void {
    this.#state = 'status line';
    this.#column = 0;
    this.#zeros = 0;
  }

  #mask(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#state !== 'idle'; at += 1) {
      if (this.#state === 'interim head') this.#readHead(chunk[at]);
      else if (this.#column === 0 && chunk.length - at > LAST_DIGIT && chunk[at] === H && chunk[at + FIRST_DIGIT] !== ONE)
        this.#state = 'idle';
      else if (this.#isLastDigitOf100(chunk[at])) chunk[at] = TWO;
    }
  }

  /** Takes a byte of the status line: `HTTP/1.1 100 Continue`. */
  #isLastDigitOf100(byte: number | undefined): boolean {
    if (this.#column === 0 && (byte === CR || byte === LF)) return false; // empty lines may precede the status line (RFC 9112 §2.2)
    const column = this.#column;
    this.#column += 1;
    if (column === FIRST_DIGIT && byte !== ONE) this.#state = 'idle';
    if (column > FIRST_DIGIT && byte === ZERO) this.#zeros += 1;
    if (column < LAST_DIGIT) return false;
    this.#state = 'interim head';
    this.#lineIsEmpty = false;
    return this.#zeros === 2;
  }

  /** The head of an interim response ends with an empty line. */
  #readHead(byte: number | undefined): void {
    if (byte === LF && this.#lineIsEmpty) this.expect();
    else if (byte !== CR) this.#lineIsEmpty = byte === LF;
  }
}

/** Columns of the status line. */
const FIRST_DIGIT = 9;
const LAST_DIGIT = 11;

const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;
const ONE = 0x31;
const TWO = 0x32;
const H = 0x48;
