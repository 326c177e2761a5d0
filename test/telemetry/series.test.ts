import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Series, Spiral, Spread, Tally } from '../../src/telemetry/series.ts';
import { createFakeClock } from '../support/fake-clock.ts';

test('returns the same cell for the same label values', () => {
  const series = new Series<Tally, [string, string]>(() => new Tally());
  series.at('a', 'b').add();
  series.at('a', 'b').add(2);
  series.at('ab', '').add(5);
  expect([...series.cells()].map(([values, tally]) => [values, tally.total])).toEqual([
    [['a', 'b'], 3],
    [['ab', ''], 5],
  ]);
});

test('a series without labels has one cell, from the first use on', () => {
  const series = new Series<Tally, []>(() => new Tally());
  expect([...series.cells()]).toEqual([]);
  series.at().add();
  expect([...series.cells()].map(([values, tally]) => [values, tally.total])).toEqual([[[], 1]]);
});

test('counts values beyond the limit of a label as `other`', () => {
  const series = new Series<Tally, [string]>(() => new Tally());
  for (let value = 0; value < 5000; value += 1) series.at(`v${value}`).add();
  const cells = [...series.cells()];
  expect(cells).toHaveLength(1001);
  expect(series.at('other').total).toBe(4000);
  expect(cells.reduce((sum, [, tally]) => sum + tally.total, 0)).toBe(5000);
});

test('a bucket counts values up to its bound', () => {
  const spread = new Spread([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 5, 5.1]) spread.observe(value);
  expect(spread.read()).toEqual({ cumulative: [2, 4, 5, 6], sum: 14.6 });
});

test('a new spiral is empty', () => {
  const spiral = new Spiral(createFakeClock());
  expect(spiral.total).toBe(0);
  expect(spiral.one()).toBe(0);
});

test('counts additions in total and in the last minute', () => {
  const spiral = new Spiral(createFakeClock());
  spiral.add();
  spiral.add(4);
  expect(spiral.total).toBe(5);
  expect(spiral.one()).toBe(5);
});

test('drops a second from the minute sixty seconds after its start', () => {
  const clock = createFakeClock();
  const spiral = new Spiral(clock);
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
  const spiral = new Spiral(clock);
  for (let second = 0; second < 60; second += 1) {
    spiral.add(2);
    clock.advance(1000);
  }
  expect(spiral.one()).toBe(118);
  clock.advance(10_000);
  expect(spiral.one()).toBe(98);
});

test('is empty after a long pause', () => {
  const clock = createFakeClock();
  const spiral = new Spiral(clock);
  spiral.add(7);
  clock.advance(86_400_000);
  expect(spiral.one()).toBe(0);
  spiral.add(1);
  expect(spiral.one()).toBe(1);
  expect(spiral.total).toBe(8);
});

test('works with any start of the clock', () => {
  const spiral = new Spiral({ monotonic: () => -1_234_567.8 });
  spiral.add(2);
  expect(spiral.one()).toBe(2);
});

test('agrees with a list of all additions', () => {
  const step = fc.record({ waitMs: fc.integer({ min: 0, max: 90_000 }), count: fc.integer({ min: 0, max: 9 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = createFakeClock();
      const spiral = new Spiral(clock);
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
