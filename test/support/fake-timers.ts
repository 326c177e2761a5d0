import type { Timers } from '../../src/kit/clock.ts';

/** Timers that fire on request. */
export function createFakeTimers(): Timers & { readonly pending: number; readonly waits: readonly number[]; fire(): void } {
  const actions = new Map<() => void, number>();
  return {
    get pending() {
      return actions.size;
    },
    /** Delays of the pending timers, ms. */
    get waits() {
      return [...actions.values()];
    },
    after: (delayMs, action) => {
      actions.set(action, delayMs);
      return () => actions.delete(action);
    },
    fire: () => {
      const due = [...actions.keys()]; // timers set by these actions fire at the next call
      actions.clear();
      for (const action of due) action();
    },
  };
}
