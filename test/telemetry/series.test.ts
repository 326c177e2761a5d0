import { expect, test } from 'vitest';
import { createSeries, Spread, Tally } from '../../src/telemetry/series.ts';

test('the same label values give the same cell', () => {
  const series = createSeries<Tally, [string, string]>(() => new Tally());
  series.at('a', 'b').add();
  series.at('a', 'b').add(2);
  series.at('ab', '').add(5);
  expect([...series.cells()].map(([values, tally]) => [values, tally.total])).toEqual([
    [['a', 'b'], 3],
    [['ab', ''], 5],
  ]);
});

test('a series without labels has one cell, from the first use on', () => {
  const series = createSeries<Tally, []>(() => new Tally());
  expect([...series.cells()]).toEqual([]);
  series.at().add();
  expect([...series.cells()].map(([values, tally]) => [values, tally.total])).toEqual([[[], 1]]);
});

test('a label that takes ever new values ends in `other`, and none is lost', () => {
  const series = createSeries<Tally, [string]>(() => new Tally());
  for (let value = 0; value < 5000; value += 1) series.at(`v${value}`).add();
  const cells = [...series.cells()];
  expect(cells).toHaveLength(1001);
  expect(series.at('other').total).toBe(4000);
  expect(cells.reduce((sum, [, tally]) => sum + tally.total, 0)).toBe(5000);
});

test('a bucket holds what is at most its bound', () => {
  const spread = new Spread([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 5, 5.1]) spread.observe(value);
  expect(spread.read()).toEqual({ cumulative: [2, 4, 5, 6], sum: 14.6 });
});
