import { describe, expect, test } from 'vitest';
import { announceAttempt, announceDisposition, announceEnding } from '../../src/delivery/announce.ts';
import { begin, conclude, type DeliveryPolicy, toJob, toSettlement } from '../../src/delivery/attempt.ts';
import type { Judgement, Outcome } from '../../src/model/attempt.ts';
import type { Claimed } from '../../src/model/delivery.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
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
  context: {},
  ...rest,
});
const plainly = (status: number) => ({ outcome: answered(status), judgement: undefined });
const answered = (status: number): Outcome => ({
  kind: 'answered',
  status,
  durationMs: 3,
  retryAfter: undefined,
  excerpt: '',
  truncated: false,
});

const allowed = { allow: ['127.0.0.1'], ownOrigin: 'http://127.0.0.1:8000' };
const posting = { key: 77, hasCallbacks: false, wantsBody: false, allowed, rfc3339: (at: number) => `at ${at}` };

test('makes a job of what the delivery asks for, and counts attempts from 1', () => {
  const job = toJob(begin(claimed({ attempts: 2 }), policy), posting);
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

test('an order goes to an origin of its own, and the body of its answer is wanted where something may come of it', () => {
  const origin = 'http://127.0.0.1:5984';
  const purpose = { kind: 'order', origin, depth: 1 } as const;
  const attempt = begin(claimed({ target: { ...makeDelivery().target, purpose } }), policy);
  expect(toJob(attempt, { ...posting, wantsBody: true })).toMatchObject({ destination: { origin, ...allowed }, wantsBody: true });
  expect(toJob(attempt, posting)).not.toHaveProperty('wantsBody');
});

test('a message to a user is nothing for a thread', () => {
  const target = { kind: 'xmpp', from: undefined, to: 'bob@localhost' } as const;
  expect(toJob(begin(claimed({ target }), policy), posting)).toBeUndefined();
});

test('settles with the outcome as it was met', () => {
  const concluded = conclude(begin(claimed(), policy), plainly(204), around);
  expect(toSettlement(concluded)).toEqual({
    disposition: { kind: 'delivered' },
    attempt: { number: 1, at: now, outcome: answered(204) },
    spawn: [],
    failedPackets: [],
  });
});

test('counts the hold from the first failure, which is this one if there was none', () => {
  const first = conclude(begin(claimed(), policy), plainly(503), around);
  expect(first.disposition).toEqual({ kind: 'retry', notBefore: now + 1000, leaveLane: false, context: {} });
  const later = conclude(begin(claimed({ attempts: 1, failingSince: now - 3000 }), policy), plainly(503), around);
  expect(later.disposition).toEqual({ kind: 'retry', notBefore: now + 5000, leaveLane: true, context: {} });
});

test.each<readonly [number, Partial<Events['attempt.ended']>, Partial<Events['delivery.settled']>]>([
  [200, { accepted: true, reason: '', nextAt: undefined, died: undefined }, { disposition: 'delivered', reason: '' }],
  [503, { accepted: false, reason: 'status 503', nextAt: now + 1000, died: undefined }, { disposition: 'retry', reason: 'status 503' }],
  [422, { accepted: false, reason: 'status 422', nextAt: undefined, died: 'refused' }, { disposition: 'dead', reason: 'refused' }],
])('tells of a %i what it met and what becomes of it', (status, attempt, settled) => {
  const events = createEventBus();
  const told: unknown[] = [];
  events.on('attempt.ended', (event) => told.push(event));
  events.on('delivery.settled', (event) => told.push(event));
  const concluded = conclude(begin(claimed(), policy), plainly(status), around);
  announceAttempt(events, concluded);
  announceEnding(events, concluded, toSettlement(concluded));
  const named = { id: 'd1', pool: 'pool', handler: 'push', host: 'localhost', purpose: 'push', ageMs: 40 };
  expect(told).toEqual([
    { ...named, attempt: 1, attemptsAllowed: 3, outcome: answered(status), judgement: undefined, ...attempt },
    { ...named, ...settled },
  ]);
});

test('tells of what an answer brought about, and that a question is no push', () => {
  const events = createEventBus();
  const told: unknown[] = [];
  for (const name of ['attempt.ended', 'delivery.settled'] as const) events.on(name, ({ purpose }) => told.push(purpose));
  events.on('delivery.accepted', (event) => told.push(event));
  const target = { ...makeDelivery().target, purpose: { kind: 'ask', handler: 'push', packet: '{}' } } as const;
  const concluded = conclude(begin(claimed({ target }), policy), plainly(200), around);
  announceAttempt(events, concluded);
  announceEnding(events, concluded, toSettlement(concluded, { spawn: [makeDelivery({ pool: 'other' })], failedPackets: [] }));
  expect(told).toEqual(['ask', 'ask', { pool: 'other', handler: 'push', host: 'localhost' }]);
});

test('a record keeps no body but its excerpt', () => {
  const outcome = { ...answered(503), body: 'all of it' } as const;
  const concluded = conclude(begin(claimed(), policy), { outcome, judgement: undefined }, around);
  expect(toSettlement(concluded)).toMatchObject({ attempt: { outcome: answered(503) }, spawn: [], failedPackets: [] });
  expect(toSettlement(concluded).attempt?.outcome).not.toHaveProperty('body');
});

test('tells when a delivery leaves its lane', () => {
  const events = createEventBus();
  const left: unknown[] = [];
  events.on('delivery.left-lane', (event) => left.push(event));
  const { disposition, at } = conclude(begin(claimed({ attempts: 1, failingSince: now - 3000 }), policy), plainly(503), around);
  announceDisposition(events, claimed(), { disposition, reason: 'status 503', at });
  expect(left).toEqual([{ id: 'd1', pool: 'pool', handler: 'push' }]);
});

describe('a handler with callbacks at delivery', () => {
  const judgement: Judgement = {
    verdict: 'tempfailed',
    status: 406,
    detail: 'suppressed',
    origin: 'module',
    context: { device: 'asleep' },
    awaitsDisposition: false,
  };

  test('gets the stanza and what earlier attempts left in the context', () => {
    const target = { ...makeDelivery().target, stanza: '<message/>' };
    const job = toJob(begin(claimed({ target, context: { device: 'asleep' } }), policy), { ...posting, hasCallbacks: true });
    expect(job?.message).toEqual({ handler: 'push', stanza: '<message/>', context: { device: 'asleep' } });
  });

  test('has its word counted, kept with the attempt, and its context with the delivery', () => {
    const concluded = conclude(begin(claimed(), policy), { outcome: answered(200), judgement }, around);
    expect(concluded.disposition).toEqual({ kind: 'retry', notBefore: now + 1000, leaveLane: false, context: { device: 'asleep' } });
    expect(toSettlement(concluded).attempt).toEqual({ number: 1, at: now, outcome: answered(200), judgement });
  });
});
