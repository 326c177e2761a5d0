import type { Clock, Timers } from './clock.ts';

/** Waits that double from `firstMs` to `capMs`, each varied by up to `jitter` (0.2 = ±20 %) of itself. */
export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
  readonly jitter: number;
}

/** The wait before try number `failures + 1`; `failures` counts from 1. Never above the cap. */
export function backoffMs({ firstMs, capMs, jitter }: Backoff, failures: number, random: Random): number {
  const plain = Math.min(capMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.min(capMs, jittered(plain, jitter, random));
}

/** Spreads a wait evenly over ±`jitter` of itself, so that clients that failed together do not retry together. */
export function jittered(waitMs: number, jitter: number, random: Random): number {
  return Math.max(0, Math.round(waitMs * (1 + jitter * (2 * random() - 1))));
}

export interface RestarterOptions {
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

/** A number in [0, 1). Comes in as a dependency, so that tests decide what chance does. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();

/** Lets so many through per time, and a burst after a rest. Instants are of a clock that never jumps, ms. */
export interface TokenBucket {
  /** How long until the next token, ms; 0: there is one. */
  waitMs(now: number): number;
  /** Takes a token, which must be there. */
  take(now: number): void;
}

/** `requests` per `perMs` on average, `burst` at once at most. */
export interface TokenRate {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

/** Kept as the instant at which it is full again (the "virtual scheduling" of ITU-T I.371): no sum of fractions drifts. */
export function createTokenBucket({ requests, perMs, burst }: TokenRate): TokenBucket {
  const msPerToken = perMs / requests;
  const toleranceMs = (burst - 1) * msPerToken;
  let fullAt = Number.NEGATIVE_INFINITY;

  return {
    waitMs: (now) => Math.max(0, Math.ceil(fullAt - toleranceMs - now)),
    take: (now) => {
      fullAt = Math.max(fullAt, now) + msPerToken;
    },
  };
}

/** For what has no limit. */
export const unlimited: TokenBucket = { waitMs: () => 0, take: () => undefined };

/**
 * Gathers: between threads a message costs far more than what is in it. The first nudge after a rest acts in this turn
 * of the loop, later ones at most every so many ms, so that an idle service is quick and a busy one sends large batches.
 */
export interface Pacer {
  /** There is something to send. */
  nudge(): void;
  /** Acts no more. */
  stop(): void;
}

export interface PacerOptions {
  readonly everyMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

export function createPacer({ everyMs, clock, timers }: PacerOptions, act: () => void): Pacer {
  let lastAct = Number.NEGATIVE_INFINITY;
  let callOff: (() => void) | undefined;

  function now(): void {
    callOff = undefined;
    lastAct = clock.monotonic();
    act();
  }

  return {
    nudge: () => {
      if (callOff !== undefined) return;
      const wait = lastAct + everyMs - clock.monotonic();
      if (wait > 0) callOff = timers.after(wait, now);
      else {
        const immediate = setImmediate(now);
        callOff = () => clearImmediate(immediate);
      }
    },
    stop: () => callOff?.(),
  };
}
