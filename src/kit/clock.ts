/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/**
 * The only source of time outside this folder. `now` is the wall clock and may jump; `monotonic` never goes back and
 * measures durations.
 */
export interface Clock {
  now(): EpochMs;
  /** Milliseconds with fractions, from an arbitrary start. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** Calls later. Comes in as a dependency, so that tests decide when later is. */
export interface Timers {
  /** Calls `action` once after `delayMs`; the returned function calls it off. */
  after(delayMs: number, action: () => void): () => void;
}

export const systemTimers: Timers = {
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * Makes a writer of instants as RFC 3339 in UTC with milliseconds. It keeps the last second it wrote: thousands of
 * packets share one, and a date costs more to write than all else a callback is given.
 */
export function createRfc3339(): (at: EpochMs) => string {
  let second = Number.NaN;
  let upToDot = '';

  return (at) => {
    const asked = Math.floor(at / 1000);
    if (asked !== second) {
      upToDot = new Date(asked * 1000).toISOString().slice(0, -4); // without `000Z`
      second = asked;
    }
    return `${upToDot}${String(Math.floor(at) - asked * 1000).padStart(3, '0')}Z`;
  };
}

/** Whether a promise was fulfilled within `ms`; a rejection passes through. The promise itself goes on. */
export function within(promise: Promise<unknown>, ms: number, timers: Timers): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const callOff = timers.after(ms, () => resolve(false));
    promise.then(
      () => {
        callOff();
        resolve(true);
      },
      (error: Error) => {
        callOff();
        reject(error);
      },
    );
  });
}
