import { expect, test } from 'vitest';
import { retryAfterMs } from '../../src/delivery/retry-after.ts';

const now = Date.parse('2026-11-22T12:00:00Z');

test.each([
  ['nothing', undefined, undefined],
  ['seconds', '120', 120_000],
  ['zero', '0', 0],
  ['fractions', '1.5', 1500],
  ['a fraction of a millisecond as a whole one', '1.23456', 1235],
  ['more digits than a number has', '9'.repeat(400), Number.POSITIVE_INFINITY],
  ['spaces around', ' 3 ', 3000],
  ['an HTTP-date', 'Sun, 22 Nov 2026 12:00:30 GMT', 30_000],
  ['an RFC 850 date', 'Sunday, 22-Nov-26 12:00:30 GMT', 30_000],
  ['an asctime date', 'Sun Nov 22 12:00:30 2026', 30_000],
  ['a date in the past', 'Sun, 22 Nov 2026 11:00:00 GMT', 0],
  ['negative seconds', '-5', undefined],
  ['garbage', 'soon', undefined],
  ['an ISO date', '2026-11-22T12:00:30Z', undefined],
  ['an empty value', '', undefined],
])('reads %s', (_what, header, expected) => {
  expect(retryAfterMs(header, now)).toBe(expected);
});
