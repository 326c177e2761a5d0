/** When to act next: backoff after failures, restarts, a token bucket for rates, a pacer for batches, and an alarm for the wall clock. */
import type { Clock, EpochMs, Timers } from './clock.ts';

/** Returns a number in [0, 1). A dependency, so that tests control chance. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();

/** Waits that double from `firstMs` to `capMs`, each varied at random by up to `jitter` (0.2 = ±20 %). */
export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
  readonly jitter: number;
}

/** The wait after `failures` failures (1 or more), at most the cap. */
export function backoffMs({ firstMs, capMs, jitter }: Backoff, failures: number, random: Random): number {
  const plain = Math.min(capMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.min(capMs, jittered(plain, jitter, random));
}

/** Varies a wait evenly by ±`jitter`, so that retries of simultaneous failures do not coincide. */
export function jittered(waitMs: number, jitter: number, random: Random): number {
  return Math.max(0, Math.round(waitMs * (1 + jitter * (2 * random() - 1))));
}

interface RestarterOptions {
  /** A run of at least this length was a success: the next wait starts at the backoff's first. */
  readonly provenAfterMs: number;
  readonly restart: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
}

/** Restarts something that keeps ending, after waits that double while its runs stay short. */
export class Restarter {
  readonly #options: RestarterOptions;
  #failures = 0;
  #runningSince: number | undefined;
  #cancelWait: () => void = () => undefined;

  constructor(options: RestarterOptions) {
    this.#options = options;
  }

  /** A run begins. */
  running(): void {
    this.#runningSince = this.#options.clock.monotonic();
  }

  /** The run, or the attempt to start it, has ended: schedules the restart and returns the wait, ms. */
  schedule(backoff: Backoff): number {
    const { provenAfterMs, restart, clock, random, timers } = this.#options;
    const lastedMs = this.#runningSince === undefined ? 0 : clock.monotonic() - this.#runningSince;
    this.#runningSince = undefined;
    this.#failures = lastedMs >= provenAfterMs ? 1 : this.#failures + 1;
    const waitMs = backoffMs(backoff, this.#failures, random);
    this.#cancelWait = timers.after(waitMs, restart);
    return waitMs;
  }

  cancel(): void {
    this.#cancelWait();
  }
}

/** `requests` per `perMs` on average, at most `burst` at once. */
export interface TokenRate {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

/**
 * Limits a rate and allows a burst after a pause. Instants are monotonic, in ms. The state is the instant at which the bucket is
 * full again ("virtual scheduling", ITU-T I.371), so no sum of fractions drifts.
 */
export class TokenBucket {
  readonly #msPerToken: number;
  readonly #toleranceMs: number;
  #fullAt = Number.NEGATIVE_INFINITY;

  /** Without a rate there is no limit. */
  constructor(rate?: TokenRate) {
    this.#msPerToken = rate === undefined ? 0 : rate.perMs / rate.requests;
    this.#toleranceMs = rate === undefined ? 0 : (rate.burst - 1) * this.#msPerToken;
  }

  /** Time until the next token, ms; 0 if one is available. */
  waitMs(now: number): number {
    return Math.max(0, Math.ceil(this.#fullAt - this.#toleranceMs - now));
  }

  /** Takes an available token. */
  take(now: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + this.#msPerToken;
  }
}

interface PacerOptions {
  readonly everyMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

/**
 * Combines requests to act into batches, because a message between threads costs far more than its content. The first nudge
 * after a pause acts in the same turn of the event loop, later ones at most every `everyMs`: low latency when idle, large batches
 * under load.
 */
export class Pacer {
  readonly #options: PacerOptions;
  readonly #act: () => void;
  #lastActAt = Number.NEGATIVE_INFINITY;
  /** When the pending action is due. */
  #dueAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(options: PacerOptions, act: () => void) {
    this.#options = options;
    this.#act = act;
  }

  /** Requests an action, at least `everyMs` after the last one. Among several requests, the shortest interval applies. */
  nudge(everyMs = this.#options.everyMs): void {
    const dueAt = this.#lastActAt + everyMs;
    if (this.#cancel !== undefined && dueAt >= this.#dueAt) return;
    this.#cancel?.();
    this.#dueAt = dueAt;
    const waitMs = dueAt - this.#options.clock.monotonic();
    if (waitMs > 0) this.#cancel = this.#options.timers.after(waitMs, this.#run);
    else this.#runSoon();
  }

  /** Acts in this turn of the event loop, regardless of the interval. */
  actSoon(): void {
    this.#cancel?.();
    this.#dueAt = Number.NEGATIVE_INFINITY;
    this.#runSoon();
  }

  /** Cancels a pending action. */
  stop(): void {
    this.#cancel?.();
  }

  #runSoon(): void {
    const immediate = setImmediate(this.#run);
    this.#cancel = () => clearImmediate(immediate);
  }

  readonly #run = (): void => {
    this.#cancel = undefined;
    this.#lastActAt = this.#options.clock.monotonic();
    this.#act();
  };
}

/** The wall clock may jump, so no wait is trusted for longer than this, ms. */
const maxAlarmWaitMs = 30_000;

/** Rings once, at the earliest instant that it was set to; it may ring early. */
export class Alarm {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #ring: () => void;
  #due: EpochMs | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor({ clock, timers }: { readonly clock: Clock; readonly timers: Timers }, ring: () => void) {
    this.#clock = clock;
    this.#timers = timers;
    this.#ring = ring;
  }

  /** Has no effect if the alarm is already set to an earlier instant. */
  set(at: EpochMs): void {
    if (this.#due !== undefined && at >= this.#due) return;
    this.#cancelTimer();
    this.#due = at;
    this.#cancelTimer = this.#timers.after(Math.min(Math.max(0, at - this.#clock.now()), maxAlarmWaitMs), () => {
      this.#due = undefined;
      this.#ring();
    });
  }

  clear(): void {
    this.#cancelTimer();
    this.#due = undefined;
  }
}
