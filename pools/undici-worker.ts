/**
 * One connection and the one request on it. The hooks are those of undici's raw dispatch handler: its newer ones build
 * a controller and a header object for every answer, which nobody here reads.
 */
import type { Socket } from 'node:net';
import { Client, type Dispatcher } from 'undici';
import { CONNECTION_GONE, type Connection, connectionGone } from './connection.ts';
import { ContinueMask } from './continue-mask.ts';
import type { Exchange } from './exchange.ts';
import { codeOf, protocolChanged } from './failure.ts';
import type { Carriage, Worker } from './worker.ts';

/** How long an idle connection is kept where the server does not say, ms. Servers close theirs after 5 s and more. */
const KEEP_ALIVE_MS = 4000;
/** How long before the server's own `keep-alive: timeout` ours ends, ms. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/** A class since it lives: it holds a connection, and is the handler of whatever request is on it. */
export class UndiciWorker implements Dispatcher.DispatchHandler, Worker {
  readonly connection: Connection;
  readonly #client: Client;
  readonly #continues = new ContinueMask();
  readonly #abort = (): void => this.#giveUp();
  #exchange: Exchange | undefined;
  #carriage: Carriage | undefined;
  #onWire = false;
  #answerBegan = false;

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

  carry(exchange: Exchange, carriage: Carriage): void {
    this.#exchange = exchange;
    this.#carriage = carriage;
    exchange.begin(this.#abort);
    this.#dispatch(exchange, carriage);
  }

  async close(): Promise<void> {
    await this.#client.destroy();
    this.connection.drop(); // one that the client has not been given
  }

  onConnect(abort: () => void): void {
    this.#onWire = true;
    this.connection.carried += 1;
    this.#continues.expect();
    if (this.#exchange?.concluded === false) this.#exchange.sent();
    else abort();
  }

  onResponseStarted(): void {
    this.#answerBegan = true;
  }

  onHeaders(status: number, rawHeaders: Buffer[], _resume: () => void, reason: string): boolean {
    if (status === 101) this.connection.drop(protocolChanged());
    else if (status < 200) this.#exchange?.informed(rawHeaders);
    if (status < 200) return true;
    this.#exchange?.keeper?.head(reason, rawHeaders);
    this.#exchange?.answered(status, retryAfterIn(rawHeaders));
    if (endsWithItsHead.has(status)) this.#exchange?.ended();
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#exchange?.received(chunk);
    return true;
  }

  onComplete(): void {
    this.#exchange?.ended();
    this.#release();
  }

  onError(error: Error): void {
    const exchange = this.#exchange;
    const onStale = this.#carriage?.onStale;
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

  #dispatch({ job }: Exchange, { headers }: Carriage): void {
    this.#onWire = false;
    this.#answerBegan = false;
    this.#client.dispatch({ method: job.method, path: job.path, headers, body: job.body }, this);
  }

  /**
   * A server may close an idle connection in the very moment in which it is used again (RFC 9112 §9.3.1). What failed
   * so, before any byte of an answer, is sent once more on a fresh connection, as part of the same attempt.
   */
  #wasStale(error: Error): boolean {
    if (this.#answerBegan || this.#exchange?.concluded !== false) return false;
    const code = codeOf(error);
    return code === CONNECTION_GONE || (this.#onWire && this.connection.carried > 1 && closedByPeer.has(code));
  }

  #resend(): void {
    if (this.#exchange === undefined || this.#carriage === undefined) return;
    if (this.#exchange.concluded) this.#release();
    else this.#dispatch(this.#exchange, this.#carriage);
  }

  /**
   * Undici goes on only where it is called back later, so that one that stands is handed over in a microtask. What failed is
   * told to the exchange, and to undici only that it did: for a certificate of another name, by its code, undici counts the
   * request as running for ever, and the client would carry nothing any more (7.30).
   */
  #connect(opened: (...result: [null, Socket] | [Error, null]) => void): void {
    const standing = this.connection.take();
    if (standing !== undefined) queueMicrotask(() => opened(null, this.#continues.over(standing)));
    else if (this.#carriage?.onStale !== undefined) queueMicrotask(() => opened(connectionGone(), null));
    else
      this.connection.open((error, socket) => {
        if (socket !== undefined) return opened(null, this.#continues.over(socket));
        this.#exchange?.failed(error);
        opened(new Error('not connected', { cause: error }), null);
      });
  }

  /** Undici's own abort would open the next connection at once, whether or not there is anything to carry. */
  #giveUp(): void {
    this.connection.drop(new Error('given up'));
  }

  #release(): void {
    const free = this.#carriage?.free;
    this.#forget();
    free?.();
  }

  #forget(): void {
    this.#exchange = undefined;
    this.#carriage = undefined;
  }
}

/** Whatever length they announce: undici makes an error of one that is not 0 (RFC 9112 §6.3). */
const endsWithItsHead = new Set([204, 304]);

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
