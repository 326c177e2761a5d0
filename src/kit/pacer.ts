import type { Clock } from './clock.ts';
import type { Timers } from './timers.ts';

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
