import { expect, test } from 'vitest';
import type { Outcome } from '../../pools/contract.ts';
import { announceAttempt, announceFate, begin, conclude, type DeliveryPolicy, toJob, toSettlement } from '../../src/delivery/attempt.ts';
import type { Claimed } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/event-bus.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { acceptedAt, makeDelivery } from '../spool/build.ts';

const policy: DeliveryPolicy = {
  scheduleMs: [1000, 5000],
  jitter: 0,
  maxAgeMs: 60_000,
  holdMs: 3000,
  lists: { accept: [], defer: [], refuse: [] },
};
const now = acceptedAt + 40;
const around = { now, random: () => 0.5 };
const claimed = (rest: Partial<Claimed> = {}): Claimed => ({
  ...makeDelivery({ lane: 'a' }),
  seq: 9,
  attempts: 0,
  failingSince: undefined,
  ...rest,
});
const answered = (status: number): Outcome => ({
  kind: 'answered',
  status,
  durationMs: 3,
  retryAfter: undefined,
  excerpt: '',
  truncated: false,
});

test('makes a job of what the delivery asks for, and counts attempts from 1', () => {
  const job = toJob(begin(claimed({ attempts: 2 }), policy), 77, (at) => `at ${at}`);
  expect(job).toEqual({
    key: 77,
    id: 'd1',
    attempt: 3,
    method: 'POST',
    path: '/notifications',
    headers: [['content-type', 'text/plain']],
    body: 'body of d1',
    seenAt: `at ${acceptedAt - 5}`,
  });
});

test('settles with the outcome as it was met', () => {
  const concluded = conclude(begin(claimed(), policy), answered(204), around);
  expect(toSettlement(concluded, true)).toEqual({
    seq: 9,
    fate: { kind: 'delivered' },
    attempt: { number: 1, at: now, outcome: answered(204) },
    spawn: [],
    claimNext: true,
  });
});

test('counts the hold from the first failure, which is this one if there was none', () => {
  const first = conclude(begin(claimed(), policy), answered(503), around);
  expect(first.fate).toEqual({ kind: 'retry', notBefore: now + 1000, leaveLane: false });
  const later = conclude(begin(claimed({ attempts: 1, failingSince: now - 3000 }), policy), answered(503), around);
  expect(later.fate).toEqual({ kind: 'retry', notBefore: now + 5000, leaveLane: true });
});

test.each<readonly [number, Partial<Events['attempt.ended']>, Partial<Events['delivery.settled']>]>([
  [200, { accepted: true, nextAt: undefined }, { disposition: 'delivered', reason: '' }],
  [503, { accepted: false, nextAt: now + 1000 }, { disposition: 'retry', reason: 'status 503' }],
  [422, { accepted: false, nextAt: undefined }, { disposition: 'dead', reason: 'refused' }],
])('tells of a %i what it met and what becomes of it', (status, attempt, settled) => {
  const events = createEventBus();
  const told: unknown[] = [];
  events.on('attempt.ended', (event) => told.push(event));
  events.on('delivery.settled', (event) => told.push(event));
  const concluded = conclude(begin(claimed(), policy), answered(status), around);
  announceAttempt(events, concluded);
  announceFate(events, concluded);
  const named = { id: 'd1', pool: 'pool', handler: 'push', host: 'localhost', ageMs: 40 };
  expect(told).toEqual([
    { ...named, attempt: 1, attemptsAllowed: 3, outcome: answered(status), ...attempt },
    { ...named, ...settled },
  ]);
});

test('tells when a delivery leaves its lane', () => {
  const events = createEventBus();
  const left: unknown[] = [];
  events.on('delivery.left-lane', (event) => left.push(event));
  announceFate(events, conclude(begin(claimed({ attempts: 1, failingSince: now - 3000 }), policy), answered(503), around));
  expect(left).toEqual([{ id: 'd1', pool: 'pool', handler: 'push' }]);
});
