import { describe, expect, test } from 'vitest';
import { begin, conclude, type DeliveryPolicy, toJob, toSettlement } from '../../src/delivery/attempt.ts';
import { emitAttemptEnded, emitSettled } from '../../src/delivery/settle.ts';
import type { Judgement, Outcome } from '../../src/model/attempt.ts';
import type { Claimed } from '../../src/model/delivery.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { createEventBus, subjectOf } from '../../src/telemetry/events.ts';
import { acceptedAt, makeDelivery } from '../spool/build.ts';

const policy: DeliveryPolicy = {
  scheduleMs: [1000, 5000],
  jitter: 0,
  maxAgeMs: 60_000,
  holdMs: 3000,
  lists: { accept: [], defer: [], refuse: [] },
};
const now = acceptedAt + 40;
const moment = { now, random: () => 0.5 };
const claimed = (rest: Partial<Claimed> = {}): Claimed => ({
  ...makeDelivery({ lane: 'a' }),
  seq: 9,
  attempts: 0,
  failingSince: undefined,
  context: {},
  ...rest,
});
const replied = (status: number) => ({ outcome: answered(status), judgement: undefined });
const answered = (status: number): Outcome => ({
  kind: 'answered',
  status,
  durationMs: 3,
  retryAfter: undefined,
  excerpt: '',
  truncated: false,
});

const allowed = { allow: ['127.0.0.1'], ownOrigin: 'http://127.0.0.1:8000' };
const jobOptions = { key: 77, hasCallbacks: false, wantsBody: false, signs: false, allowed, rfc3339: (at: number) => `at ${at}` };

test('makes a job from a delivery, with attempts counted from 1', () => {
  const job = toJob(begin(claimed({ attempts: 2 }), policy), jobOptions);
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

test('the job of an order has its own destination, and the response body if it is evaluated', () => {
  const origin = 'http://127.0.0.1:5984';
  const purpose = { kind: 'order', origin, depth: 1 } as const;
  const attempt = begin(claimed({ target: { ...makeDelivery().target, purpose } }), policy);
  expect(toJob(attempt, { ...jobOptions, wantsBody: true })).toMatchObject({ destination: { origin, ...allowed }, wantsBody: true });
  expect(toJob(attempt, jobOptions)).not.toHaveProperty('wantsBody');
});

test('the job of a handler with signing keys of its own names the handler', () => {
  expect(toJob(begin(claimed(), policy), { ...jobOptions, signs: true })).toMatchObject({ signer: 'push' });
});

test('a message to a user is no job for a thread', () => {
  const target = { kind: 'xmpp', from: undefined, to: 'bob@localhost' } as const;
  expect(toJob(begin(claimed({ target }), policy), jobOptions)).toBeUndefined();
});

test('settles with the outcome of the attempt', () => {
  const concluded = conclude(begin(claimed(), policy), replied(204), moment);
  expect(toSettlement(concluded)).toEqual({
    disposition: { kind: 'delivered' },
    attempt: { number: 1, at: now, outcome: answered(204) },
    spawn: [],
    failedPackets: [],
  });
});

test('measures the hold from the first failure', () => {
  const first = conclude(begin(claimed(), policy), replied(503), moment);
  expect(first.disposition).toEqual({ kind: 'retry', notBefore: now + 1000, leaveLane: false, context: {} });
  const later = conclude(begin(claimed({ attempts: 1, failingSince: now - 3000 }), policy), replied(503), moment);
  expect(later.disposition).toEqual({ kind: 'retry', notBefore: now + 5000, leaveLane: true, context: {} });
});

test.each<readonly [number, Partial<Events['attempt.ended']>, Partial<Events['delivery.settled']>]>([
  [200, { accepted: true, reason: '', nextAt: undefined, died: undefined }, { disposition: 'delivered', reason: '' }],
  [503, { accepted: false, reason: 'status 503', nextAt: now + 1000, died: undefined }, { disposition: 'retry', reason: 'status 503' }],
  [422, { accepted: false, reason: 'status 422', nextAt: undefined, died: 'refused' }, { disposition: 'dead', reason: 'refused' }],
])('emits the end of an attempt with status %i and the disposition of its delivery', (status, attempt, settled) => {
  const events = createEventBus();
  const emitted: unknown[] = [];
  events.on('attempt.ended', (event) => emitted.push(event));
  events.on('delivery.settled', (event) => emitted.push(event));
  const concluded = conclude(begin(claimed(), policy), replied(status), moment);
  emitAttemptEnded(events, concluded);
  emitSettled(events, concluded, toSettlement(concluded));
  const named = { ...subjectOf(makeDelivery()), purpose: 'push', ageMs: 40 };
  expect(emitted).toEqual([
    { ...named, attempt: 1, attemptsAllowed: 3, outcome: answered(status), judgement: undefined, ...attempt },
    { ...named, ...settled },
  ]);
});

test('emits the created deliveries, and the purpose of a question', () => {
  const events = createEventBus();
  const emitted: unknown[] = [];
  for (const name of ['attempt.ended', 'delivery.settled'] as const) events.on(name, ({ purpose }) => emitted.push(purpose));
  events.on('delivery.accepted', (event) => emitted.push(event));
  const target = { ...makeDelivery().target, purpose: { kind: 'ask', handler: 'push', packet: '{}' } } as const;
  const concluded = conclude(begin(claimed({ target }), policy), replied(200), moment);
  emitAttemptEnded(events, concluded);
  emitSettled(events, concluded, toSettlement(concluded, { spawn: [makeDelivery({ pool: 'other' })], failedPackets: [] }));
  expect(emitted).toEqual(['ask', 'ask', subjectOf(makeDelivery({ pool: 'other' }))]);
});

test('the record of an attempt has no response body except its excerpt', () => {
  const outcome = { ...answered(503), body: 'all of it' } as const;
  const concluded = conclude(begin(claimed(), policy), { outcome, judgement: undefined }, moment);
  expect(toSettlement(concluded)).toMatchObject({ attempt: { outcome: answered(503) }, spawn: [], failedPackets: [] });
  expect(toSettlement(concluded).attempt?.outcome).not.toHaveProperty('body');
});

test('emits when a delivery leaves its lane', () => {
  const events = createEventBus();
  const left: unknown[] = [];
  events.on('delivery.left-lane', (event) => left.push(event));
  const concluded = conclude(begin(claimed({ attempts: 1, failingSince: now - 3000 }), policy), replied(503), moment);
  emitSettled(events, concluded, toSettlement(concluded));
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

  test('receives the stanza and the context of earlier attempts', () => {
    const target = { ...makeDelivery().target, stanza: '<message/>' };
    const job = toJob(begin(claimed({ target, context: { device: 'asleep' } }), policy), { ...jobOptions, hasCallbacks: true });
    expect(job?.message).toEqual({ handler: 'push', stanza: '<message/>', context: { device: 'asleep' } });
  });

  test('decides the disposition; its judgement is kept with the attempt, its context with the delivery', () => {
    const concluded = conclude(begin(claimed(), policy), { outcome: answered(200), judgement }, moment);
    expect(concluded.disposition).toEqual({ kind: 'retry', notBefore: now + 1000, leaveLane: false, context: { device: 'asleep' } });
    expect(toSettlement(concluded).attempt).toEqual({ number: 1, at: now, outcome: answered(200), judgement });
  });
});
