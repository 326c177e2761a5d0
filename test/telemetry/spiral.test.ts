import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSpiral } from '../../src/telemetry/series.ts';
import { createFakeClock } from '../support/fake-clock.ts';

test('a new spiral is empty', () => {
  const spiral = createSpiral(createFakeClock());
  expect(spiral.total).toBe(0);
  expect(spiral.one()).toBe(0);
});

test('counts what is added, in total and in the last minute', () => {
  const spiral = createSpiral(createFakeClock());
  spiral.add();
  spiral.add(4);
  expect(spiral.total).toBe(5);
  expect(spiral.one()).toBe(5);
});

test('forgets a second sixty seconds after it began, and only from the minute', () => {
  const clock = createFakeClock();
  const spiral = createSpiral(clock);
  clock.advance(900);
  spiral.add(3);
  clock.advance(59_099);
  expect(spiral.one()).toBe(3);
  clock.advance(1);
  expect(spiral.one()).toBe(0);
  expect(spiral.total).toBe(3);
});

test('drops seconds one by one as they leave the minute', () => {
  const clock = createFakeClock();
  const spiral = createSpiral(clock);
  for (let second = 0; second < 60; second += 1) {
    spiral.add(2);
    clock.advance(1000);
  }
  expect(spiral.one()).toBe(118);
  clock.advance(10_000);
  expect(spiral.one()).toBe(98);
});

test('is empty after a long silence', () => {
  const clock = createFakeClock();
  const spiral = createSpiral(clock);
  spiral.add(7);
  clock.advance(86_400_000);
  expect(spiral.one()).toBe(0);
  spiral.add(1);
  expect(spiral.one()).toBe(1);
  expect(spiral.total).toBe(8);
});

test('a clock that starts anywhere makes no difference', () => {
  const spiral = createSpiral({ monotonic: () => -1_234_567.8 });
  spiral.add(2);
  expect(spiral.one()).toBe(2);
});

test('agrees with a list of all additions, whatever comes when', () => {
  const step = fc.record({ waitMs: fc.integer({ min: 0, max: 90_000 }), count: fc.integer({ min: 0, max: 9 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = createFakeClock();
      const spiral = createSpiral(clock);
      const added: { readonly second: number; readonly count: number }[] = [];
      for (const { waitMs, count } of steps) {
        clock.advance(waitMs);
        spiral.add(count);
        added.push({ second: Math.floor(clock.monotonic() / 1000), count });
        const inWindow = added.filter(({ second }) => second > Math.floor(clock.monotonic() / 1000) - 60);
        expect(spiral.one()).toBe(inWindow.reduce((sum, entry) => sum + entry.count, 0));
        expect(spiral.total).toBe(added.reduce((sum, entry) => sum + entry.count, 0));
      }
    }),
  );
});
