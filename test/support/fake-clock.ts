import type { Clock } from '../../src/kit/clock.ts';

/** A clock that advances only in a test: `advance` moves `now` and `monotonic`, `jump` the wall clock alone. */
export function createFakeClock(startMs = 1_700_000_000_000): Clock & { advance(ms: number): void; jump(ms: number): void } {
  let passed = 0;
  let jumped = 0;
  return {
    now: () => startMs + passed + jumped,
    monotonic: () => passed,
    advance: (ms) => {
      passed += ms;
    },
    jump: (ms) => {
      jumped += ms;
    },
  };
}
