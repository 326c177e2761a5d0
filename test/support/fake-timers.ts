import type { Timers } from '../../src/kit/clock.ts';

/** Timers that go off when a test says so. */
export function createFakeTimers(): Timers & { readonly pending: number; readonly waits: readonly number[]; fire(): void } {
  const actions = new Map<() => void, number>();
  return {
    get pending() {
      return actions.size;
    },
    /** How long those that are set wait, ms. */
    get waits() {
      return [...actions.values()];
    },
    after: (delayMs, action) => {
      actions.set(action, delayMs);
      return () => actions.delete(action);
    },
    fire: () => {
      const due = [...actions.keys()]; // what these set goes off at the next time
      actions.clear();
      for (const action of due) action();
    },
  };
}
