import { expect, test } from 'vitest';
import type { Verdict } from '../../src/delivery/classify.ts';
import { type AttemptContext, decide, type RetryPolicy, whenExpired } from '../../src/delivery/decide.ts';

const second = 1000;
const patience: RetryPolicy = { scheduleMs: [second, 5 * second, 30 * second], jitter: 0.2, maxAgeMs: 3600 * second, holdMs: 30 * second };
const now = 1_000_000;
const standing = (changes: Partial<AttemptContext> = {}): AttemptContext => ({
  attempts: 1,
  createdAt: now,
  failingSince: now,
  inLane: true,
  context: {},
  now,
  random: () => 0.5,
  ...changes,
});
const deferred = (retryAfterMs?: number): Verdict => ({ kind: 'deferred', reason: 'status 503', retryAfterMs });

test('an accepted delivery is delivered', () => {
  expect(decide({ kind: 'accepted' }, standing(), patience)).toEqual({ kind: 'delivered' });
});

test('a refused one is dead at once, whatever is left of its schedule', () => {
  expect(decide({ kind: 'refused', by: 'backend', reason: 'status 422' }, standing(), patience)).toEqual({
    kind: 'dead',
    reason: 'refused',
    detail: 'status 422',
  });
});

test.each([
  [1, 1 * second],
  [2, 5 * second],
])('after attempt %i it waits as the schedule says', (attempts, wait) => {
  expect(decide(deferred(), standing({ attempts }), patience)).toEqual({
    kind: 'retry',
    notBefore: now + wait,
    leaveLane: false,
    context: {},
  });
});

test('one wait per retry: after the last it is dead', () => {
  expect(decide(deferred(), standing({ attempts: 4 }), patience)).toEqual({
    kind: 'dead',
    reason: 'attempts-exhausted',
    detail: 'status 503',
  });
});

test('jitter spreads a wait by at most its share, to both sides', () => {
  const waits = [0, 0.25, 0.999].map((chance) => decide(deferred(), standing({ attempts: 2, random: () => chance }), patience));
  expect(waits.map((disposition) => (disposition.kind === 'retry' ? disposition.notBefore - now : disposition.kind))).toEqual([
    4000, 4500, 5998,
  ]);
});

test('retries after the time the server asked for, when that is later', () => {
  expect(decide(deferred(20 * second), standing(), patience)).toMatchObject({ notBefore: now + 20 * second });
  expect(decide(deferred(100), standing(), patience)).toMatchObject({ notBefore: now + second });
});

test('a server may not ask for more than an hour', () => {
  const patient = { ...patience, maxAgeMs: Number.POSITIVE_INFINITY };
  expect(decide(deferred(86_400 * second), standing(), patient)).toMatchObject({ notBefore: now + 3600 * second });
});

test('a delivery that would be too old at its next try is given up now', () => {
  expect(decide(deferred(), standing({ createdAt: now - 3600 * second }), patience)).toEqual({
    kind: 'dead',
    reason: 'expired',
    detail: 'status 503',
  });
});

test('a head tries once more as its hold ends, and then leaves its lane', () => {
  const failingSince = now - 10 * second;
  expect(decide(deferred(), standing({ attempts: 3, failingSince }), patience)).toEqual({
    kind: 'retry',
    context: {},
    notBefore: failingSince + 30 * second,
    leaveLane: false,
  });
  const over = now - 30 * second;
  expect(decide(deferred(), standing({ attempts: 3, failingSince: over }), patience)).toEqual({
    kind: 'retry',
    context: {},
    notBefore: now + 30 * second,
    leaveLane: true,
  });
});

test('a head leaves its lane at once when the server asks to wait beyond its hold', () => {
  expect(decide(deferred(60 * second), standing(), patience)).toEqual({
    kind: 'retry',
    notBefore: now + 60 * second,
    leaveLane: true,
    context: {},
  });
});

test('with hold for ever it never leaves, and without a lane there is nothing to leave', () => {
  const strict = { ...patience, holdMs: Number.POSITIVE_INFINITY };
  expect(decide(deferred(), standing({ attempts: 3, failingSince: now - 600 * second }), strict)).toMatchObject({ leaveLane: false });
  expect(decide(deferred(), standing({ attempts: 3, failingSince: now - 600 * second, inLane: false }), patience)).toMatchObject({
    leaveLane: false,
  });
});

test('a callback of ours that made no request is told from a backend that refused', () => {
  expect(decide({ kind: 'refused', by: 'callback', reason: 'it threw' }, standing(), patience)).toMatchObject({
    reason: 'callback-failed',
  });
});

test('keeps the message context for the next attempt', () => {
  expect(decide(deferred(), standing({ context: { token: 'a' } }), patience)).toMatchObject({ kind: 'retry', context: { token: 'a' } });
});

test('what grew too old while it waited is not tried', () => {
  expect(whenExpired({ createdAt: now - 3600 * second }, patience, now)).toBeUndefined();
  expect(whenExpired({ createdAt: now - 3600 * second - 1 }, patience, now)).toMatchObject({ kind: 'dead', reason: 'expired' });
});
