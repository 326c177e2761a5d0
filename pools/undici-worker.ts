import type { Socket } from 'node:net';
import { Client, type Dispatcher } from 'undici';
import { CONNECTION_GONE, type Connection, connectionGone } from './connection.ts';
import { codeOf, type Exchange, protocolChanged } from './exchange.ts';
import type { SendOptions, Worker } from './http-client.ts';

/** How long an idle connection is kept if the server does not specify it, ms. Servers use 5 s or more. */
const KEEP_ALIVE_MS = 4000;
/** How much earlier than the server's `keep-alive: timeout` an idle connection is closed, ms. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/**
 * One connection over undici, and the handler of the request on it. It implements undici's older dispatch handler, because
 * the newer one creates a controller and a header object for every response.
 */
export class UndiciWorker implements Dispatcher.DispatchHandler, Worker {
  readonly connection: Connection;
  readonly #client: Client;
  readonly #continues = new ContinueMask();
  /** Undici's own abort would open the next connection at once, without a request for it. */
  readonly #abort = (): void => this.connection.destroy(new Error('aborted'));
  #exchange: Exchange | undefined;
  #options: SendOptions | undefined;
  #sent = false;
  #responseBegan = false;

  constructor(origin: string, connection: Connection) {
    this.connection = connection;
    this.#client = new Client(origin, {
      pipelining: 1,
      connect: (_options, opened) => this.#connect(opened),
      headersTimeout: 0, // deadlines are the exchange's
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
    });
  }

  send(exchange: Exchange, options: SendOptions): void {
    this.#exchange = exchange;
    this.#options = options;
    exchange.start(this.#abort);
    this.#dispatch(exchange, options);
  }

  async close(): Promise<void> {
    await this.#client.destroy();
    this.connection.destroy(); // one that undici has not taken
  }

  onConnect(abort: () => void): void {
    this.#sent = true;
    this.connection.requestCount += 1;
    this.#continues.expect();
    if (this.#exchange?.concluded === false) this.#exchange.sent();
    else abort();
  }

  onResponseStarted(): void {
    this.#responseBegan = true;
  }

  onHeaders(status: number, rawHeaders: Buffer[], _resume: () => void, reason: string): boolean {
    if (status === 101) this.connection.destroy(protocolChanged());
    else if (status < 200) this.#exchange?.interim(rawHeaders);
    if (status < 200) return true;
    this.#exchange?.recorder?.head(reason, rawHeaders);
    this.#exchange?.answered(status, retryAfterIn(rawHeaders));
    if (bodiless.has(status)) this.#exchange?.ended();
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#exchange?.data(chunk);
    return true;
  }

  onComplete(): void {
    this.#exchange?.ended();
    this.#release();
  }

  onError(error: Error): void {
    const exchange = this.#exchange;
    const onStale = this.#options?.onStale;
    if (exchange === undefined || !this.#wasStale(error)) {
      exchange?.failed(error);
      this.#release();
    } else if (onStale === undefined) {
      exchange.resend();
      queueMicrotask(() => this.#resend());
    } else {
      this.#forget();
      onStale(error);
    }
  }

  #dispatch({ job }: Exchange, { headers }: SendOptions): void {
    this.#sent = false;
    this.#responseBegan = false;
    this.#client.dispatch({ method: job.method, path: job.path, headers, body: job.body }, this);
  }

  /**
   * A server may close an idle connection just as it is used again (RFC 9112 §9.3.1). If the request failed for that reason,
   * before any byte of a response, it is sent once more on a new connection, as part of the same attempt.
   */
  #wasStale(error: Error): boolean {
    if (this.#responseBegan || this.#exchange?.concluded !== false) return false;
    const code = codeOf(error);
    return code === CONNECTION_GONE || (this.#sent && this.connection.requestCount > 1 && closedByPeer.has(code));
  }

  #resend(): void {
    if (this.#exchange === undefined || this.#options === undefined) return;
    if (this.#exchange.concluded) this.#release();
    else this.#dispatch(this.#exchange, this.#options);
  }

  /**
   * Undici must be called back later, so an open connection is handed over in a microtask. The exchange gets the error of a
   * failed connection; undici gets an error without a code, because after `ERR_TLS_CERT_ALTNAME_INVALID` it counts the request
   * as running forever and its client sends nothing more (7.30).
   */
  #connect(opened: (...result: [null, Socket] | [Error, null]) => void): void {
    const unused = this.connection.takeUnused();
    if (unused !== undefined) queueMicrotask(() => opened(null, this.#continues.wrap(unused)));
    else if (this.#options?.onStale !== undefined) queueMicrotask(() => opened(connectionGone(), null));
    else
      this.connection.open((error, socket) => {
        if (socket !== undefined) return opened(null, this.#continues.wrap(socket));
        this.#exchange?.failed(error);
        opened(new Error('not connected', { cause: error }), null);
      });
  }

  #release(): void {
    const free = this.#options?.free;
    this.#forget();
    free?.();
  }

  #forget(): void {
    this.#exchange = undefined;
    this.#options = undefined;
  }
}

/** Responses that end with their head, whatever length they declare (RFC 9112 §6.3). undici fails if that length is not 0. */
const bodiless = new Set([204, 304]);

const closedByPeer = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

const RETRY_AFTER = 'retry-after';

function retryAfterIn(rawHeaders: readonly Buffer[]): string | undefined {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === RETRY_AFTER.length && name.toString('latin1').toLowerCase() === RETRY_AFTER) {
      return rawHeaders[index + 1]?.toString('latin1');
    }
  }
  return undefined;
}

/**
 * undici 7.30 closes a connection that receives an unsolicited 100 (Continue), although it skips every other interim response.
 * RFC 9110 §15.2 requires a client to skip them all. The mask replaces each 100 with 102, which has the same length and is skipped.
 *
 *   idle → status line → (1xx) interim head → status line → (other) idle
 *
 * On a connection without interim responses it reads one byte per response.
 */
class ContinueMask {
  #state: 'idle' | 'interim head' | 'status line' = 'idle';
  /** Bytes of the status line received so far. */
  #column = 0;
  /** Number of zeros among the last two digits. */
  #zeros = 0;
  #lineIsEmpty = false;

  /** Masks the reads of a socket and returns it. */
  wrap(socket: Socket): Socket {
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
