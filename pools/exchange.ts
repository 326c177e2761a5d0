/**
 * One job in the hands of a worker: taken (`call`) → connecting (`connect`) → waiting for the answer (`headers`) →
 * reading it (`body`) → concluded. It measures time and size; the client moves it on. A message with a session connects
 * first, is built meanwhile (`call` again), and then goes on.
 */
import type { Clock } from '../src/kit/clock.ts';
import { isLocalShortage, LOCAL_SHORTAGE } from '../src/kit/dial-tcp.ts';
import type { HttpOutcome, Phase } from '../src/model/attempt.ts';
import type { Job, PoolThreadSettings, Within } from './contract.ts';
import type { Deadlines, Due } from './deadlines.ts';
import { DESTINATION_REFUSED, failureOf } from './failure.ts';

/** How much of an answer's body is kept for the attempt's record. */
const EXCERPT_BYTES = 1024;

/** Maximum size of the interim responses before the final one. */
const INTERIM_BYTES = 256 * 1024;
/** Approximate size of an interim response without headers. */
const STATUS_LINE_BYTES = 20;

/** The code of an outcome for which a callback made no request. */
export const NOT_BUILT = 'REQUEST_NOT_BUILT';

export interface ExchangeSurroundings {
  readonly settings: Pick<PoolThreadSettings, 'callTimeoutMs' | 'maxResponseBytes' | 'requestTimeoutMs'>;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Called once per exchange. */
  readonly onOutcome: (key: number, outcome: HttpOutcome) => void;
}

/** Takes in the whole of an answer, for a callback that judges it. */
export interface AnswerKeeper {
  /** `headers` are names and values, flat. */
  head(reason: string, headers: readonly (Buffer | string)[]): void;
  body(chunk: Buffer): void;
}

/** The backend has no part in it. */
const notBuiltInTime = { code: NOT_BUILT, message: "the call's time was up before its callbacks had made the request" };

/** A class since it lives: made when a worker takes the job, it concludes exactly once, by answer, failure or deadline. */
export class Exchange implements Due {
  readonly keeper: AnswerKeeper | undefined;
  /** Moves with each phase, never beyond the end of the call. */
  dueAt: number;
  readonly #around: ExchangeSurroundings;
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

  constructor(job: Job, around: ExchangeSurroundings, keeper?: AnswerKeeper) {
    this.#job = job;
    this.keeper = keeper;
    this.#body = job.wantsBody === true ? [] : undefined;
    this.#around = around;
    this.#startedAt = around.clock.monotonic();
    this.#callTimeoutMs = job.within === undefined ? around.settings.callTimeoutMs : timeLeftMs(job.within, around.clock);
    this.#requestTimeoutMs = job.within === undefined ? around.settings.requestTimeoutMs : this.#callTimeoutMs;
    this.dueAt = this.#startedAt + this.#callTimeoutMs;
    around.deadlines.watch(this);
  }

  get job(): Job {
    return this.#job;
  }

  get concluded(): boolean {
    return this.#concluded;
  }

  /** Concludes it, and says so, if its time was up before it had begun: nothing goes on the wire. */
  endsUnsent(): boolean {
    if (this.#callTimeoutMs > 0) return false;
    this.#conclude({ kind: 'timed-out', phase: 'call', durationMs: 0 });
    return true;
  }

  /** From here on `abort` ends what is on the wire. */
  begin(abort: () => void): void {
    this.#abort = abort;
    this.#enter('connect');
    this.#around.deadlines.watch(this);
  }

  /** The connection stands, and a callback has the word: only the end of the call is watched. */
  pause(): void {
    this.#abort = undefined;
    this.#phase = 'call';
    this.dueAt = this.#startedAt + this.#callTimeoutMs;
  }

  /** A callback has made `job` of what the delivery asked for. */
  rewrite(job: Job): void {
    this.#job = job;
  }

  /** The connection stands and the request is written to it. */
  sent(): void {
    this.#maybeSent = true;
    this.#enter('headers');
  }

  /** The connection turned out to be dead: the client tries once more on a fresh one. */
  resend(): void {
    this.#enter('connect');
  }

  /** An interim response was received (RFC 9110 §15.2). It does not extend the deadline; too many of them end the exchange. */
  informed(headers: readonly (Buffer | string)[]): void {
    this.#interimBytes = headers.reduce((sum, { length }) => sum + length, this.#interimBytes + STATUS_LINE_BYTES);
    if (this.#interimBytes <= INTERIM_BYTES) return;
    const message = `more than ${INTERIM_BYTES} bytes of interim responses (1xx) before the final one`;
    this.#conclude({ kind: 'broken', code: 'HPE_HEADER_OVERFLOW', message, durationMs: this.#elapsedMs() });
    this.#abort?.();
  }

  /** The final status came, 200 or above. */
  answered(status: number, retryAfter: string | undefined): void {
    this.#status = status;
    this.#retryAfter = retryAfter;
    this.#enter('body');
  }

  /** Takes a piece of the answer's body. Over the size cap the status counts: it concludes, and the connection is dropped. */
  received(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    this.#keep(chunk);
    this.#body?.push(chunk);
    this.keeper?.body(chunk);
    if (this.#bodyBytes <= this.#around.settings.maxResponseBytes) {
      this.#enter('body');
      return;
    }
    this.#conclude(this.#answer({ truncated: true }));
    this.#abort?.();
  }

  /** The answer is complete. */
  ended(): void {
    this.#conclude(this.#answer({ truncated: false }));
  }

  /** The wire failed. Before anything was sent that is `unreachable`, or `unsent` where we would not dial, afterwards `broken`. */
  failed(error: Error): void {
    const failure = failureOf(error);
    if (failure.code === DESTINATION_REFUSED) return this.unsent(failure);
    if (this.#phase === 'connect' && isLocalShortage(error)) return this.unsent({ ...failure, code: LOCAL_SHORTAGE });
    this.#conclude({ kind: this.#maybeSent ? 'broken' : 'unreachable', ...failure, durationMs: this.#elapsedMs() });
  }

  /** Callbacks made no request, or one that HTTP/1.1 cannot carry: nothing goes on the wire. */
  unsent(why: { readonly code: string; readonly message: string }): void {
    this.#conclude({ kind: 'unsent', ...why, durationMs: this.#elapsedMs() });
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
    this.dueAt = Math.min(callEnd, this.#around.clock.monotonic() + this.#requestTimeoutMs);
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
    return this.#around.clock.monotonic() - this.#startedAt;
  }

  /** Only the first ending counts: what the wire still brings after a deadline comes too late to change it. */
  #conclude(outcome: HttpOutcome): void {
    if (this.#concluded) return;
    this.#concluded = true;
    this.#around.deadlines.forget(this);
    this.#around.onOutcome(this.#job.key, outcome);
  }
}

function timeLeftMs({ until, atMostMs }: Within, clock: Clock): number {
  return Math.min(atMostMs, until - clock.now());
}
