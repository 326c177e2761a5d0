/**
 * One job while a worker handles it: taken (`call`) → connecting (`connect`) → waiting for the response (`headers`) → reading
 * it (`body`) → concluded. A message with a session connects first, then its callbacks build the request (`call` again). The
 * exchange measures time and size; the HTTP client reports progress to it.
 */
import type { Clock } from '../src/kit/clock.ts';
import { isLocalShortage, LOCAL_SHORTAGE } from '../src/kit/dial-tcp.ts';
import { messageOf } from '../src/kit/errors.ts';
import type { HttpOutcome, Phase } from '../src/model/attempt.ts';
import { CONNECTION_GONE } from './connection.ts';
import type { Job, KeyedOutcome, PoolThreadSettings, Within } from './contract.ts';

export interface ExchangeContext {
  readonly settings: Pick<PoolThreadSettings, 'callTimeoutMs' | 'maxResponseBytes' | 'requestTimeoutMs'>;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Called once per exchange. */
  readonly onOutcome: (outcome: KeyedOutcome) => void;
}

/** Keeps a whole response for the callbacks that judge it. */
export interface ResponseRecorder {
  /** `headers` are names and values, flat. */
  head(reason: string, headers: readonly (Buffer | string)[]): void;
  body(chunk: Buffer): void;
}

/** How much of a response's body is kept for the attempt's record. */
const EXCERPT_BYTES = 1024;

/** Maximum size of the interim responses before the final one. */
const INTERIM_BYTES = 256 * 1024;
/** Approximate size of an interim response without headers. */
const STATUS_LINE_BYTES = 20;

/** Code of an outcome for which the callbacks made no request. */
export const NOT_BUILT = 'REQUEST_NOT_BUILT';
/** Code of an outcome whose destination is refused. */
export const DESTINATION_REFUSED = 'DESTINATION_REFUSED';

const notBuiltInTime = { code: NOT_BUILT, message: 'call_timeout ended before the callbacks had built the request' };

/** Created when a worker takes the job. Concludes exactly once: by response, failure or deadline. */
export class Exchange implements Timed {
  readonly recorder: ResponseRecorder | undefined;
  /** Moves with each phase, never beyond the end of the call. */
  dueAt: number;
  place = -1;
  readonly #context: ExchangeContext;
  readonly #startedAt: number;
  readonly #callTimeoutMs: number;
  readonly #requestTimeoutMs: number;
  #job: Job;
  #phase: Phase = 'call';
  #concluded = false;
  #maybeSent = false;
  #abort: (() => void) | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  #interimBytes = 0;
  #bodyBytes = 0;
  #excerpt: Buffer | undefined;
  readonly #body: Buffer[] | undefined;

  constructor(job: Job, context: ExchangeContext, recorder?: ResponseRecorder) {
    const { clock, deadlines, settings } = context;
    this.#job = job;
    this.recorder = recorder;
    this.#body = job.wantsBody === true ? [] : undefined;
    this.#context = context;
    this.#startedAt = clock.monotonic();
    this.#callTimeoutMs = job.within === undefined ? settings.callTimeoutMs : timeLeftMs(job.within, clock);
    this.#requestTimeoutMs = job.within === undefined ? settings.requestTimeoutMs : this.#callTimeoutMs;
    this.dueAt = this.#startedAt + this.#callTimeoutMs;
    deadlines.watch(this);
  }

  get job(): Job {
    return this.#job;
  }

  get concluded(): boolean {
    return this.#concluded;
  }

  /** Concludes the exchange, and returns true, if its time was up before a worker took it: nothing is sent. */
  concludeIfLate(): boolean {
    if (this.#callTimeoutMs > 0) return false;
    this.#conclude({ kind: 'timed-out', phase: 'call', durationMs: 0 });
    return true;
  }

  /** The HTTP client connects. From now on `abort` ends what is in progress. */
  start(abort: () => void): void {
    this.#abort = abort;
    this.#enter('connect');
    this.#context.deadlines.watch(this);
  }

  /** The connection is open and callbacks build the request: only the end of the call is watched. */
  building(): void {
    this.#abort = undefined;
    this.#phase = 'call';
    this.dueAt = this.#startedAt + this.#callTimeoutMs;
  }

  /** The callbacks built `job` from the delivery's request. */
  replaceJob(job: Job): void {
    this.#job = job;
  }

  /** The connection is open and the request is written to it. */
  sent(): void {
    this.#maybeSent = true;
    this.#enter('headers');
  }

  /** The connection turned out to be closed: the HTTP client tries once more on a new one. */
  resend(): void {
    this.#enter('connect');
  }

  /** An interim response was received (RFC 9110 §15.2). It does not extend the deadline; too many of them end the exchange. */
  interim(headers: readonly (Buffer | string)[]): void {
    this.#interimBytes = headers.reduce((sum, { length }) => sum + length, this.#interimBytes + STATUS_LINE_BYTES);
    if (this.#interimBytes <= INTERIM_BYTES) return;
    const message = `more than ${INTERIM_BYTES} bytes of interim responses (1xx) before the final one`;
    this.#conclude({ kind: 'broken', code: 'HPE_HEADER_OVERFLOW', message, durationMs: this.#elapsedMs() });
    this.#abort?.();
  }

  /** The final status was received, 200 or above. */
  answered(status: number, retryAfter: string | undefined): void {
    this.#status = status;
    this.#retryAfter = retryAfter;
    this.#enter('body');
  }

  /** A piece of the body was received. Above the size limit the exchange concludes with the status, and the connection is closed. */
  data(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    this.#keep(chunk);
    this.#body?.push(chunk);
    this.recorder?.body(chunk);
    if (this.#bodyBytes <= this.#context.settings.maxResponseBytes) {
      this.#enter('body');
      return;
    }
    this.#conclude(this.#answer({ truncated: true }));
    this.#abort?.();
  }

  /** The response is complete. */
  ended(): void {
    this.#conclude(this.#answer({ truncated: false }));
  }

  /** The connection failed: `unreachable` before anything was sent, `unsent` if we refused to dial, `broken` afterwards. */
  failed(error: Error): void {
    const failure = failureOf(error);
    if (failure.code === DESTINATION_REFUSED) return this.unsent(failure);
    if (this.#phase === 'connect' && isLocalShortage(error)) return this.unsent({ ...failure, code: LOCAL_SHORTAGE });
    this.#conclude({ kind: this.#maybeSent ? 'broken' : 'unreachable', ...failure, durationMs: this.#elapsedMs() });
  }

  /** There is no request, or one that HTTP/1.1 cannot carry: nothing is sent. */
  unsent(failure: Failure): void {
    this.#conclude({ kind: 'unsent', ...failure, durationMs: this.#elapsedMs() });
  }

  expire(): void {
    if (this.#phase === 'call') return this.unsent(notBuiltInTime);
    const callEnd = this.#startedAt + this.#callTimeoutMs;
    const phase = this.dueAt >= callEnd ? 'call' : this.#phase;
    this.#conclude({ kind: 'timed-out', phase, durationMs: this.#elapsedMs() });
    this.#abort?.();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    const callEnd = this.#startedAt + this.#callTimeoutMs;
    this.dueAt = Math.min(callEnd, this.#context.clock.monotonic() + this.#requestTimeoutMs);
  }

  #keep(chunk: Buffer): void {
    const kept = this.#excerpt;
    if (kept === undefined) this.#excerpt = chunk.subarray(0, EXCERPT_BYTES);
    else if (kept.length < EXCERPT_BYTES) this.#excerpt = Buffer.concat([kept, chunk.subarray(0, EXCERPT_BYTES - kept.length)]);
  }

  #answer({ truncated }: { readonly truncated: boolean }): HttpOutcome {
    return {
      kind: 'answered',
      status: this.#status,
      durationMs: this.#elapsedMs(),
      retryAfter: this.#retryAfter,
      excerpt: this.#excerpt === undefined ? '' : this.#excerpt.toString('utf8'),
      truncated,
      ...(this.#body === undefined ? {} : { body: Buffer.concat(this.#body).toString('utf8') }),
    };
  }

  #elapsedMs(): number {
    return this.#context.clock.monotonic() - this.#startedAt;
  }

  /** The first outcome counts: what arrives after a deadline does not change it. */
  #conclude(outcome: HttpOutcome): void {
    if (this.#concluded) return;
    this.#concluded = true;
    this.#context.deadlines.forget(this);
    this.#context.onOutcome({ key: this.#job.key, outcome });
  }
}

function timeLeftMs({ until, atMostMs }: Within, clock: Clock): number {
  return Math.min(atMostMs, until - clock.now());
}

/** An error as it is recorded. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** A failure of the connection under Node's own code, so that both HTTP clients report the same. */
function failureOf(error: Error): Failure {
  const code = codeOf(error);
  return { code: nodeCodes.get(code) ?? code, message: messageOf(error) };
}

const nodeCodes = new Map([
  [CONNECTION_GONE, 'ECONNRESET'],
  ['ERR_HTTP_CONTENT_LENGTH_MISMATCH', 'ECONNRESET'],
  ['UND_ERR_HEADERS_OVERFLOW', 'HPE_HEADER_OVERFLOW'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ECONNRESET'],
  ['UND_ERR_SOCKET', 'ECONNRESET'],
]);

export function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.name === 'HTTPParserError' ? 'HPE_INVALID' : 'ERR_UNKNOWN'; // undici knows only some of the parser's codes
}

/** The failure for a 101 (Switching Protocols): the service never requests an upgrade. */
export function protocolChanged(): Error {
  return Object.assign(new Error('the backend switched protocols without a request to do so'), { code: 'ECONNRESET' });
}

/** Something with a deadline. `dueAt` is on the monotonic clock and may move while it is watched. */
export interface Timed {
  readonly dueAt: number;
  /** Its index in the list of `Deadlines`, which alone changes it; -1 while it is not watched. */
  place: number;
  /** The time is up. Must call `forget`, or move `dueAt`. */
  expire(): void;
}

/**
 * One timer for all exchanges of a thread, in place of several per request. It is set to the nearest deadline; when it fires,
 * all exchanges are checked: at most as many as there are workers, at most once per timeout. Before anything expires the event
 * loop does one turn of I/O, so that a response that is already in the socket is not counted as late because the thread was.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #watched: Timed[] = [];
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Watches from now on. Call it again if `dueAt` comes nearer, not if it moves away. */
  watch(timed: Timed): void {
    if (timed.place < 0) timed.place = this.#watched.push(timed) - 1;
    this.#setTimer(timed.dueAt);
  }

  /** The last of the list takes its place: a set would cost a delivery more than its other bookkeeping. */
  forget(timed: Timed): void {
    const { place } = timed;
    if (place < 0) return;
    timed.place = -1;
    const last = this.#watched.pop();
    if (last === undefined || last === timed) return;
    this.#watched[place] = last;
    last.place = place;
  }

  #setTimer(dueAt: number): void {
    if (dueAt >= this.#firesAt) return;
    clearTimeout(this.#timer);
    this.#firesAt = dueAt;
    this.#timer = setTimeout(this.#fire, Math.max(1, Math.ceil(dueAt - this.#clock.monotonic())));
    this.#timer.unref();
  }

  readonly #fire = (): void => {
    this.#firesAt = Number.NEGATIVE_INFINITY; // no timer is set before the check, which sets the next one
    setImmediate(this.#check);
  };

  readonly #check = (): void => {
    const now = this.#clock.monotonic();
    for (const timed of this.#watched.filter(({ dueAt }) => dueAt <= now)) if (timed.place >= 0) timed.expire();
    const nearest = this.#watched.reduce((nearestSoFar, { dueAt }) => Math.min(nearestSoFar, dueAt), Number.POSITIVE_INFINITY);
    this.#firesAt = Number.POSITIVE_INFINITY;
    if (nearest < Number.POSITIVE_INFINITY) this.#setTimer(nearest);
  };
}
