import { expect, test } from 'vitest';
import { localTime, readTime } from '../../src/cli/times.ts';

const now = Date.parse('2026-11-22T06:00:00Z');

test.each([
  ['2026-11-22T05:00:00Z', '2026-11-22T05:00:00.000Z'],
  ['2026-11-22T05:00:00.123+02:00', '2026-11-22T03:00:00.123Z'],
  ['2h', '2026-11-22T04:00:00.000Z'],
  ['7d', '2026-11-15T06:00:00.000Z'],
])('%s is %s', (text, expected) => {
  expect(readTime('since', text, now)).toBe(expected);
});

test('a printed time can be used as an option', () => {
  for (const at of ['2026-11-22T05:00:07.000Z', '2026-06-01T23:59:59.000Z']) expect(readTime('since', localTime(at), now)).toBe(at);
  expect(readTime('since', '2026-11-22', now)).toBe(new Date(2026, 10, 22).toISOString());
  expect(readTime('since', '2026-11-22 05:00', now)).toBe(new Date(2026, 10, 22, 5).toISOString());
});

test.each(['', 'yesterday', '2026-13-01', '12', '2026-11-22 5:00', '-2h', '999999999999d'])('%j is an invalid time', (text) => {
  expect(() => readTime('before', text, now)).toThrow(
    expect.objectContaining({ code: 'USAGE', message: expect.stringContaining('--before') }),
  );
});
