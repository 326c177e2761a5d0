import { expect, test } from 'vitest';
import { begin, conclude } from '../../src/delivery/attempt.ts';
import { askedPatienceMs } from '../../src/delivery/patience.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { acceptedAt, makeDelivery } from '../spool/build.ts';

const lists = { accept: [], defer: [], refuse: [] };
const policy = { scheduleMs: [2000], jitter: 0, maxAgeMs: 86_400_000, holdMs: 0, lists };

function patienceAfter(
  status: number,
  retryAfter: string | undefined,
  { attempts = 0, accept = [] as number[], target = makeDelivery().target } = {},
): number | undefined {
  const outcome: Outcome = { kind: 'answered', status, durationMs: 1, retryAfter, excerpt: '', truncated: false };
  const delivery = { ...makeDelivery({ target }), seq: 1, attempts, failingSince: undefined, context: {} };
  const attempt = begin(delivery, { ...policy, lists: { ...lists, accept } });
  return askedPatienceMs(conclude(attempt, { outcome, judgement: undefined }, { now: acceptedAt, random: () => 0.5 }));
}

test.each([
  ['the wait it asks for', '30', 30_000],
  ['the wait of its delivery where that is longer', '1', 2000],
  ['the wait of its delivery where it asks for none', undefined, 2000],
  ['a date that is past', 'Wed, 01 Jan 2020 00:00:00 GMT', 2000],
  ['what cannot be read', 'soon', 2000],
  ['an hour at most', '86400', 3_600_000],
])('429: %s', (_name, retryAfter, expected) => {
  expect(patienceAfter(429, retryAfter)).toBe(expected);
});

test('a delivery without another try leaves a second', () => {
  expect(patienceAfter(429, undefined, { attempts: 1 })).toBe(1000);
});

test('other statuses speak of their own delivery alone', () => {
  expect(patienceAfter(503, '30')).toBeUndefined();
});

test('a pool that accepts 429 is not stopped by it', () => {
  expect(patienceAfter(429, '30', { accept: [429] })).toBeUndefined();
});

test('what one of many origins asks for is not asked of the others', () => {
  const purpose = { kind: 'order', origin: 'http://10.0.0.172:5984', depth: 1 } as const;
  expect(patienceAfter(429, '30', { target: { ...makeDelivery().target, purpose } })).toBeUndefined();
});
