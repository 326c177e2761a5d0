import { expect, test } from 'vitest';
import { Forecast } from '../../src/spool/sqlite/stats.ts';

const minute = 60_000;

/** Space for 1000 MB, which shrinks each second. */
function fill(forecast: Forecast, { from, untilMs, bytesPerSecond }: { from: number; untilMs: number; bytesPerSecond: number }): void {
  for (let at = 0; at <= untilMs; at += 1000) forecast.note(from - (bytesPerSecond * at) / 1000, at);
}

test('predicts when the spool is full at the current rate', () => {
  const forecast = new Forecast();
  fill(forecast, { from: 1e9, untilMs: 2 * minute, bytesPerSecond: 1e6 });
  expect(forecast.fullInMs).toBe(880_000);
});

test('forgets a rate after five minutes', () => {
  const forecast = new Forecast();
  fill(forecast, { from: 1e9, untilMs: 2 * minute, bytesPerSecond: 1e6 });
  for (let at = 2 * minute; at <= 8 * minute; at += 1000) forecast.note(880e6, at);
  expect(forecast.fullInMs).toBeUndefined();
});

test('predicts nothing while the spool does not grow, and in the first half minute', () => {
  const [shrinking, young] = [new Forecast(), new Forecast()];
  fill(shrinking, { from: 1e9, untilMs: minute, bytesPerSecond: -1 });
  fill(young, { from: 1e9, untilMs: 29_000, bytesPerSecond: 1e6 });
  expect([shrinking.fullInMs, young.fullInMs, new Forecast().fullInMs]).toEqual([undefined, undefined, undefined]);
});
