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
      for (const action of actions) action();
      actions.clear();
    },
  };
}
