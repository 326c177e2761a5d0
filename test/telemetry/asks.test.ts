import { expect, test } from 'vitest';
import type { Events } from '../../src/telemetry/events.ts';
import { RecentWithheld } from '../../src/telemetry/recent.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { deliveryId, observe, packetId, sample } from './observed.ts';

const names = { id: deliveryId, packetId, handler: 'chat', host: 'localhost' } as const;

function withheld(changes: Partial<Events['push.withheld']> = {}): Events['push.withheld'] {
  const server = { why: 'refused', errCode: 5001, errMsg: 'An error message', errDlt: 'Details' } as const;
  return {
    ...names,
    facts: undefined,
    pool: 'pool',
    seenAt: 0,
    createdAt: 0,
    sender: 'alice@localhost',
    receiver: 'bob@localhost',
    ...server,
    ...changes,
  };
}

test('counts questions by result, and failed ones by reason', async () => {
  const { events, metrics } = observe();
  events.emit('ask.ended', { ...names, result: 'allowed', reason: undefined, pushes: 2 });
  events.emit('ask.ended', { ...names, result: 'withheld', reason: undefined, pushes: 0 });
  events.emit('ask.ended', { ...names, result: 'failed', reason: 'timed-out', pushes: 1 });
  events.emit('ask.ended', { ...names, result: 'failed', reason: 'timed-out', pushes: 0 });
  for (const [result, count] of Object.entries({ allowed: 1, withheld: 1, failed: 2 }))
    expect(await sample(metrics, `event_pusher_asks_total{handler="chat",result="${result}"}`)).toBe(count);
  expect(await sample(metrics, 'event_pusher_ask_failures_total{handler="chat",reason="timed-out"}')).toBe(2);
});

test('the series of a handler with questions, and of their breaker, start at 0', async () => {
  const beforePush = { pool: 'business', queue: 'push:ask' };
  const { metrics } = observe({ handlers: [{ name: 'push', pool: 'http_pool', beforePush }] });
  expect(await sample(metrics, 'event_pusher_asks_total{handler="push",result="withheld"}')).toBe(0);
  expect(await sample(metrics, 'event_pusher_breaker_state{pool="business",handler="push:ask"}')).toBe(0);
});

test('remembers withheld pushes with their number and time', () => {
  const { events } = observe();
  const clock = createFakeClock(1000);
  const recent = new RecentWithheld({ events, clock });
  events.emit('push.withheld', withheld());
  clock.advance(5);
  events.emit('push.withheld', withheld({ why: 'no-receiver' }));
  expect(recent.list()).toEqual([
    { ...withheld(), nr: 1, at: 1000 },
    { ...withheld({ why: 'no-receiver' }), nr: 2, at: 1005 },
  ]);
});

test('keeps the last thousand, and the first KiB of each text', () => {
  const { events } = observe();
  const recent = new RecentWithheld({ events, clock: createFakeClock() });
  for (let errCode = 0; errCode < 4321; errCode += 1) events.emit('push.withheld', withheld({ errCode, errMsg: 'x'.repeat(5000) }));
  const list = recent.list();
  expect([list.length, list[0]?.errCode, list.at(-1)?.errCode]).toEqual([1000, 3321, 4320]);
  expect(list[0]?.errMsg).toBe(`${'x'.repeat(1024)}…`);
});
