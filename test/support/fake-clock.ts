import type { Clock } from '../../src/kit/clock.ts';

/** A clock that stands still until a test moves it; `now` and `monotonic` move together. */
export function createFakeClock(startMs = 1_700_000_000_000): Clock & { advance(ms: number): void } {
  let passed = 0;
  return {
    now: () => startMs + passed,
    monotonic: () => passed,
    advance: (ms) => {
      passed += ms;
    },
  };
}
