import type { Timers } from '../../src/kit/timers.ts';

/** Timers that go off when a test says so. */
export function createFakeTimers(): Timers & { readonly pending: number; fire(): void } {
  const actions = new Set<() => void>();
  return {
    get pending() {
      return actions.size;
    },
    after: (_delayMs, action) => {
      actions.add(action);
      return () => actions.delete(action);
    },
    fire: () => {
      const due = [...actions]; // what these set goes off at the next time
      actions.clear();
      for (const action of due) action();
    },
  };
}
