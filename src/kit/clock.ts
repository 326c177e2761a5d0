/** Time as a dependency: the clock, timers, and instants as text. */

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/** The source of time outside this folder. `now` is the wall clock and may jump; `monotonic` never goes back and measures durations. */
export interface Clock {
  now(): EpochMs;
  /** Milliseconds with fractions, from an arbitrary start. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** Schedules calls. A dependency, so that tests control time. */
export interface Timers {
  /** Calls `action` once after `delayMs`; the returned function cancels the call. */
  after(delayMs: number, action: () => void): () => void;
}

export const systemTimers: Timers = {
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Resolves with whether `promise` was fulfilled within `ms`, and rejects if it rejects in that time. Does not cancel the promise. */
export function within(promise: Promise<unknown>, ms: number, timers: Timers): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = timers.after(ms, () => resolve(false));
    promise.then(
      () => {
        cancel();
        resolve(true);
      },
      (error: Error) => {
        cancel();
        reject(error);
      },
    );
  });
}

/**
 * Creates a formatter of instants as RFC 3339 in UTC with milliseconds. It caches the last second: consecutive calls mostly share
 * one, and formatting a date costs more than everything else that a callback is given.
 */
export function createRfc3339(): (at: EpochMs) => string {
  let cachedSecond = Number.NaN;
  let upToDot = '';

  return (at) => {
    const second = Math.floor(at / 1000);
    if (second !== cachedSecond) {
      upToDot = new Date(second * 1000).toISOString().slice(0, -4); // without `000Z`
      cachedSecond = second;
    }
    return `${upToDot}${String(Math.floor(at) - second * 1000).padStart(3, '0')}Z`;
  };
}
