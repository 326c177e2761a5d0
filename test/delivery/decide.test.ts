import { expect, test } from 'vitest';
import type { Verdict } from '../../src/delivery/classify.ts';
import { type AttemptContext, decide, type RetryPolicy, whenExpired } from '../../src/delivery/decide.ts';

const second = 1000;
const policy: RetryPolicy = { scheduleMs: [second, 5 * second, 30 * second], jitter: 0.2, maxAgeMs: 3600 * second, holdMs: 30 * second };
const now = 1_000_000;
const context = (changes: Partial<AttemptContext> = {}): AttemptContext => ({
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
  expect(decide({ kind: 'accepted' }, context(), policy)).toEqual({ kind: 'delivered' });
});

test('a refused delivery is dead at once', () => {
  expect(decide({ kind: 'refused', by: 'backend', reason: 'status 422' }, context(), policy)).toEqual({
    kind: 'dead',
    reason: 'refused',
    detail: 'status 422',
  });
});

test.each([
  [1, 1 * second],
  [2, 5 * second],
])('after attempt %i it waits by the schedule', (attempts, wait) => {
  expect(decide(deferred(), context({ attempts }), policy)).toEqual({
    kind: 'retry',
    notBefore: now + wait,
    leaveLane: false,
    context: {},
  });
});

test('it is dead after the last wait of the schedule', () => {
  expect(decide(deferred(), context({ attempts: 4 }), policy)).toEqual({
    kind: 'dead',
    reason: 'attempts-exhausted',
    detail: 'status 503',
  });
});

test('jitter varies a wait by at most its share in both directions', () => {
  const waits = [0, 0.25, 0.999].map((chance) => decide(deferred(), context({ attempts: 2, random: () => chance }), policy));
  expect(waits.map((disposition) => (disposition.kind === 'retry' ? disposition.notBefore - now : disposition.kind))).toEqual([
    4000, 4500, 5998,
  ]);
});

test('retries after the time of the server if that is later', () => {
  expect(decide(deferred(20 * second), context(), policy)).toMatchObject({ notBefore: now + 20 * second });
  expect(decide(deferred(100), context(), policy)).toMatchObject({ notBefore: now + second });
});

test('a server can ask for one hour at most', () => {
  const patient = { ...policy, maxAgeMs: Number.POSITIVE_INFINITY };
  expect(decide(deferred(86_400 * second), context(), patient)).toMatchObject({ notBefore: now + 3600 * second });
});

test('a delivery that would expire before its next attempt is dead now', () => {
  expect(decide(deferred(), context({ createdAt: now - 3600 * second }), policy)).toEqual({
    kind: 'dead',
    reason: 'expired',
    detail: 'status 503',
  });
});

test('a head is retried once at the end of its hold, then leaves its lane', () => {
  const failingSince = now - 10 * second;
  expect(decide(deferred(), context({ attempts: 3, failingSince }), policy)).toEqual({
    kind: 'retry',
    context: {},
    notBefore: failingSince + 30 * second,
    leaveLane: false,
  });
  const over = now - 30 * second;
  expect(decide(deferred(), context({ attempts: 3, failingSince: over }), policy)).toEqual({
    kind: 'retry',
    context: {},
    notBefore: now + 30 * second,
    leaveLane: true,
  });
});

test('a head leaves its lane at once if the server asks for a wait beyond its hold', () => {
  expect(decide(deferred(60 * second), context(), policy)).toEqual({
    kind: 'retry',
    notBefore: now + 60 * second,
    leaveLane: true,
    context: {},
  });
});

test('a head with an unlimited hold, or without a lane, does not leave', () => {
  const strict = { ...policy, holdMs: Number.POSITIVE_INFINITY };
  expect(decide(deferred(), context({ attempts: 3, failingSince: now - 600 * second }), strict)).toMatchObject({ leaveLane: false });
  expect(decide(deferred(), context({ attempts: 3, failingSince: now - 600 * second, inLane: false }), policy)).toMatchObject({
    leaveLane: false,
  });
});

test('a callback that made no request has its own reason', () => {
  expect(decide({ kind: 'refused', by: 'callback', reason: 'it threw' }, context(), policy)).toMatchObject({
    reason: 'callback-failed',
  });
});

test('keeps the message context for the next attempt', () => {
  expect(decide(deferred(), context({ context: { token: 'a' } }), policy)).toMatchObject({ kind: 'retry', context: { token: 'a' } });
});

test('a delivery that expired while it waited is not sent', () => {
  expect(whenExpired({ createdAt: now - 3600 * second }, policy, now)).toBeUndefined();
  expect(whenExpired({ createdAt: now - 3600 * second - 1 }, policy, now)).toMatchObject({ kind: 'dead', reason: 'expired' });
});
