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
