import { describe, expect, test } from 'vitest';
import { Admission, askedPauseMs } from '../../src/delivery/admission.ts';
import { begin, conclude } from '../../src/delivery/attempt.ts';
import type { BackendHealth } from '../../src/delivery/classify.ts';
import type { Outcome } from '../../src/model/attempt.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { acceptedAt, makeDelivery } from '../spool/build.ts';
import { createFakeClock } from '../support/fake-clock.ts';

function startAdmission() {
  const clock = createFakeClock();
  const events = createEventBus();
  const blocked: string[] = [];
  const emitted: string[] = [];
  events.on('breaker.state', ({ handler, state }) => emitted.push(`${handler === '' ? 'pool' : handler} ${state}`));
  const config = { failureRatio: 0.5, minAttempts: 2, windowMs: 10_000, openMs: 1000, maxOpenMs: 3000 };
  const admission = new Admission({ pool: 'p', workers: 4, config, clock, events, onBlocked: (handler) => blocked.push(handler) });
  const report = (handler: string, health: BackendHealth, times = 1): void => {
    for (let time = 0; time < times; time += 1) {
      admission.handler(handler).began();
      admission.handler(handler).ended(health, clock.monotonic());
    }
  };
  const isBlocked = (handler: string): boolean => admission.handler(handler).isBlocked(clock.monotonic());
  return { admission, clock, events, blocked, emitted, report, isBlocked };
}

test('a failing backend blocks its own handler and no other', () => {
  const { report, isBlocked, blocked, emitted } = startAdmission();
  report('sick', 'failing', 2);
  expect([isBlocked('sick'), isBlocked('well')]).toEqual([true, false]);
  expect(blocked).toEqual(['sick']);
  expect(emitted).toEqual(['sick open']);
});

test('an unreachable backend blocks all handlers', () => {
  const { report, isBlocked, emitted, blocked } = startAdmission();
  report('one', 'unreachable', 2);
  expect([isBlocked('one'), isBlocked('other')]).toEqual([true, true]);
  expect(emitted).toEqual(['pool open']);
  expect(blocked).toEqual([]);
});

test('failures inside the service block nothing', () => {
  const { report, isBlocked } = startAdmission();
  report('one', 'unknown', 100);
  expect(isBlocked('one')).toBe(false);
});

test('a failing handler counts as a success for the pool, which recovers', () => {
  const { admission, report, clock } = startAdmission();
  report('one', 'unreachable', 2);
  clock.advance(1000);
  expect(admission.handler('one').capacity(clock.monotonic())).toBe(1);
  report('one', 'failing');
  expect(admission.state).toBe('slow-start');
});

test('a half-open pool allows one attempt over all handlers', () => {
  const { admission, report, clock } = startAdmission();
  report('one', 'unreachable', 2);
  clock.advance(1000);
  admission.handler('one').began();
  expect(admission.handler('other').capacity(clock.monotonic())).toBe(0);
  expect(admission.handler('other').isBlocked(clock.monotonic())).toBe(false);
});

test('an open breaker that is asked after its open time probes at once, and a pause remains', () => {
  const { admission, clock, report, isBlocked, emitted } = startAdmission();
  report('sick', 'failing', 2);
  admission.handler('asked').pause(5000, clock.monotonic());
  const askLater = () => ['sick', 'asked'].map((handler) => admission.handler(handler).capacity(Number.POSITIVE_INFINITY));
  askLater();
  expect(emitted).toEqual(['sick open', 'sick half-open']);
  expect([admission.handler('sick').capacity(clock.monotonic()), isBlocked('asked')]).toEqual([1, true]);
  report('sick', 'failing');
  expect([emitted.at(-1), isBlocked('sick')]).toEqual(['sick open', true]);

  report('one', 'unreachable', 4);
  expect(admission.state).toBe('open');
  askLater();
  expect(admission.state).toBe('half-open');
});

test('a pause blocks only its handler, and a shorter pause does not shorten it', () => {
  const { admission, clock, isBlocked, blocked, events } = startAdmission();
  const until: number[] = [];
  events.on('handler.paused', (event) => until.push(event.until));
  admission.handler('one').pause(5000, clock.monotonic());
  admission.handler('one').pause(2000, clock.monotonic());
  expect([isBlocked('one'), isBlocked('other'), blocked]).toEqual([true, false, ['one']]);
  expect(until).toEqual([clock.now() + 5000]);
  expect(admission.handler('one').pausedUntil(clock.monotonic())).toBe(clock.now() + 5000);
  expect(admission.opensInMs(clock.monotonic())).toBe(5000);
  clock.advance(5000);
  expect([isBlocked('one'), admission.opensInMs(clock.monotonic())]).toEqual([false, undefined]);
});

test('reports when the first handler may open', () => {
  const { admission, clock, report } = startAdmission();
  admission.handler('paused').pause(5000, clock.monotonic());
  report('sick', 'failing', 2);
  expect(admission.opensInMs(clock.monotonic())).toBe(1000);
});

describe('the pause that a backend asks for', () => {
  const lists = { accept: [], defer: [], refuse: [] };
  const policy = { scheduleMs: [2000], jitter: 0, maxAgeMs: 86_400_000, holdMs: 0, lists };

  function pauseAfter(
    status: number,
    retryAfter: string | undefined,
    { attempts = 0, accept = [] as number[], target = makeDelivery().target } = {},
  ): number | undefined {
    const outcome: Outcome = { kind: 'answered', status, durationMs: 1, retryAfter, excerpt: '', truncated: false };
    const delivery = { ...makeDelivery({ target }), seq: 1, attempts, failingSince: undefined, context: {} };
    const attempt = begin(delivery, { ...policy, lists: { ...lists, accept } });
    return askedPauseMs(conclude(attempt, { outcome, judgement: undefined }, { now: acceptedAt, random: () => 0.5 }));
  }

  test.each([
    ['the time of Retry-After', '30', 30_000],
    ['the wait of the delivery if that is longer', '1', 2000],
    ['the wait of the delivery without Retry-After', undefined, 2000],
    ['the wait of the delivery after a date in the past', 'Wed, 01 Jan 2020 00:00:00 GMT', 2000],
    ['the wait of the delivery after an unreadable value', 'soon', 2000],
    ['one hour at most', '86400', 3_600_000],
  ])('429: %s', (_name, retryAfter, expected) => {
    expect(pauseAfter(429, retryAfter)).toBe(expected);
  });

  test('one second if the delivery is not retried', () => {
    expect(pauseAfter(429, undefined, { attempts: 1 })).toBe(1000);
  });

  test('no pause for other statuses', () => {
    expect(pauseAfter(503, '30')).toBeUndefined();
  });

  test('no pause if the pool accepts 429', () => {
    expect(pauseAfter(429, '30', { accept: [429] })).toBeUndefined();
  });

  test('no pause for an order, whose origin is one of many', () => {
    const purpose = { kind: 'order', origin: 'http://10.0.0.172:5984', depth: 1 } as const;
    expect(pauseAfter(429, '30', { target: { ...makeDelivery().target, purpose } })).toBeUndefined();
  });
});
