/** Sends the exchanges of a pool thread to one origin, over one connection per worker. Follows no redirect and retries nothing. */
import type { Clock, EpochMs } from '../src/kit/clock.ts';
import type { Random } from '../src/kit/pacing.ts';
import { reservedHeaders, tokenPattern } from '../src/model/headers.ts';
import { HeadTable } from './compact.ts';
import { Connection, type Dial } from './connection.ts';
import type { Job, PoolThreadSettings, RequestHead } from './contract.ts';
import type { Exchange, Failure } from './exchange.ts';

/** One connection at a time and the request on it. undici and got implement it. */
export interface Worker {
  readonly connection: Connection;
  /** Sends the request and takes the exchange through its phases. Never throws. */
  send(exchange: Exchange, options: SendOptions): void;
  /** Closes the connection. No request may be in progress. */
  close(): Promise<void>;
}

export interface SendOptions {
  /** Names and values, flat. */
  readonly headers: string[];
  /** Called when the worker can take another exchange, which may be after this one has concluded. */
  readonly free: () => void;
  /**
   * Called in place of `free` if the connection had closed before a byte of the response was received. The request is bound to
   * the current connection. If undefined, such a request is sent once more on a new connection.
   */
  readonly onStale?: (error: Error) => void;
}

interface HttpClientOptions {
  readonly settings: PoolThreadSettings;
  readonly newWorker: NewWorker;
  readonly clock: Clock;
  readonly random: Random;
  readonly dial: Dial;
}

export type NewWorker = (connection: Connection) => Worker;

/**
 * Creates workers as they are needed; the caller limits how many exchanges are in progress. The worker that was used last is
 * used first, so a pool with little traffic keeps few connections and reuses them.
 */
export class HttpClient {
  readonly #options: HttpClientOptions;
  /** Most requests have the head of an earlier one, which is checked already. */
  readonly #heads = new HeadTable(checkHead);
  readonly #workers: Worker[] = [];
  readonly #idle: Worker[] = [];

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  /**
   * Takes the exchange through its phases, or concludes it if its request cannot be sent as HTTP/1.1. Never throws. `free` is
   * called once, when the worker can take another exchange.
   */
  send(exchange: Exchange, free: () => void): void {
    const { clock, settings } = this.#options;
    const { job } = exchange;
    const { flat, failure } = this.#heads.of(job);
    if (failure !== undefined) {
      exchange.unsent(failure);
      return free();
    }
    const worker = this.borrow();
    worker.send(exchange, {
      headers: withHeadersOfAttempt(flat, job, { userAgent: settings.userAgent, now: clock.now() }),
      free: () => {
        worker.connection.closeIfOld();
        this.#idle.push(worker);
        free();
      },
    });
  }

  /** Lends a worker to a message with a session, until `giveBack`. It counts as an exchange in progress. */
  borrow(): Worker {
    const worker = this.#idle.pop();
    worker?.connection.closeIfOld();
    return worker ?? this.#createWorker();
  }

  giveBack(worker: Worker): void {
    worker.connection.closeIfOld();
    worker.connection.release();
    this.#idle.push(worker);
  }

  /** Closes the connections. No exchange may be in progress. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }

  #createWorker(): Worker {
    const { clock, dial, newWorker, random, settings } = this.#options;
    const worker = newWorker(new Connection(dial, { clock, random, maxAgeMs: settings.maxConnectionAgeMs }));
    this.#workers.push(worker);
    return worker;
  }
}

interface CheckedHead extends RequestHead {
  /** Why a request with this head cannot be sent. */
  readonly failure: Failure | undefined;
  /** The headers that are sent, flat. */
  readonly flat: readonly string[];
}

function checkHead(head: RequestHead): CheckedHead {
  return { ...head, failure: unsendable(head), flat: headersOfHandler(head.headers) };
}

type Sending = { readonly userAgent: string; readonly now: EpochMs };

/**
 * The headers of one attempt, as a flat list of names and values: first the handler's, in their order and case, then those of
 * every request. The HTTP client adds `host`, `connection` and `content-length`.
 */
export function requestHeaders(job: Job, sending: Sending): string[] {
  return withHeadersOfAttempt(headersOfHandler(job.headers), job, sending);
}

/** A header of the handler is left out if it would override one of ours or belongs to the connection (RFC 9110 §7.6.1). */
function headersOfHandler(headers: Job['headers']): string[] {
  return headers.flatMap(([name, value]) => (reservedHeaders.has(name.toLowerCase()) ? [] : [name, value]));
}

function withHeadersOfAttempt(flat: readonly string[], job: Job, { userAgent, now }: Sending): string[] {
  const headers = [...flat];
  headers.push('webhook-id', job.id, 'webhook-timestamp', String(Math.floor(now / 1000)), 'event-pusher-time', job.seenAt);
  headers.push('event-pusher-attempt', String(job.attempt), 'user-agent', userAgent);
  return headers;
}

/** Reason why a job cannot be sent as HTTP/1.1 (RFC 9110 §5.1, §5.5, §9.1; RFC 9112 §3.2), or undefined. */
export function unsendable(job: RequestHead): Failure | undefined {
  if (!tokenPattern.test(job.method)) return { code: 'ERR_INVALID_HTTP_TOKEN', message: 'the method is not an HTTP token' };
  if (job.path[0] !== '/' || illegalInPath.test(job.path)) {
    return {
      code: 'ERR_UNESCAPED_CHARACTERS',
      message: 'the path does not begin with a slash, or contains characters that must be escaped',
    };
  }
  for (const [name, value] of job.headers) {
    if (!tokenPattern.test(name) || illegalInValue.test(value)) {
      return { code: 'ERR_INVALID_HEADER', message: `header ${JSON.stringify(name)} cannot be sent` };
    }
  }
  return undefined;
}

const illegalInPath = /[^\x21-\x7e]/;
/** Everything except tab and the printable characters of Latin-1. A line break would add a header. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: a value may contain a tab
const illegalInValue = /[^\x09\x20-\x7e\x80-\xff]/;
