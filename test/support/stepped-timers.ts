import type { Timers } from '../../src/kit/clock.ts';

/** Timers of which a step fires all that are pending, and none that are set during the step. */
export function createSteppedTimers(): Timers & { step(): void } {
  const set = new Set<() => void>();
  return {
    after: (_delayMs, action) => {
      const fire = () => action();
      set.add(fire);
      return () => set.delete(fire);
    },
    step: () => {
      for (const fire of [...set]) {
        if (set.delete(fire)) fire();
      }
    },
  };
}
