import { expect, test } from 'vitest';
import { createEventBus } from '../../src/telemetry/events.ts';
import { Flow } from '../../src/telemetry/flow.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { attemptEnded, packetId, settled, subject } from './observed.ts';

async function startFlow() {
  const events = createEventBus();
  const clock = createFakeClock();
  const timers = createFakeTimers();
  const levels = { tapFill: 0.25, waiting: 7 };
  const flow = new Flow({ events, clock, timers, levels: () => levels });
  await flow.start();
  const queue = { pool: 'pool', handler: 'push' };
  return {
    flow,
    events,
    clock,
    timers,
    levels,
    accept: (count: number) => {
      for (let each = 0; each < count; each += 1) events.emit('delivery.accepted', { ...subject, ...queue });
    },
    attempt: (accepted: boolean) => events.emit('attempt.ended', attemptEnded({ ...queue, accepted })),
    settle: (disposition: 'dead' | 'delivered' | 'retry') => events.emit('delivery.settled', settled({ ...queue, disposition })),
    pass: (ms: number) => {
      clock.advance(ms);
      timers.fire();
    },
  };
}

test('each second has a point with its counts and levels', async () => {
  const { flow, accept, attempt, settle, pass, levels } = await startFlow();
  accept(3);
  attempt(true);
  settle('delivered');
  pass(1000);
  attempt(false);
  settle('retry');
  settle('dead');
  levels.waiting = 9;
  pass(1000);
  expect(flow.newest).toBe(2);
  expect(flow.columns()).toEqual({
    accepted: [3, 0],
    delivered: [1, 0],
    dead: [0, 1],
    failed: [0, 1],
    waiting: [7, 9],
    tapFill: [0.25, 0.25],
  });
  expect(flow.mean(5)).toEqual({ accepted: 1.5, delivered: 0.5, dead: 0.5, failed: 0.5, waiting: 9, tapFill: 0.25 });
});

test('dead letters of callbacks and of a full backlog count as given up', async () => {
  const { flow, events, pass } = await startFlow();
  events.emit('callback.failed', { handler: 'push', callback: 'prepareBody', packetId, error: new Error('no key') });
  for (const policy of ['dead-letter-oldest', 'hold-intake', 'refuse'] as const)
    events.emit('backlog.overflow', { pool: 'pool', handler: 'push', policy, count: 2 });
  pass(1000);
  expect([flow.columns().dead, flow.queue('pool', 'push').settled]).toEqual([[5], 2]);
});

test('late timers do not shift the seconds, and a pause of the process shares its counts', async () => {
  const { flow, accept, pass, timers } = await startFlow();
  pass(1300);
  expect(timers.waits).toEqual([700]);
  accept(8);
  pass(3700);
  expect(flow.newest).toBe(5);
  expect(flow.columns().accepted).toEqual([0, 2, 2, 2, 2]);
});

test('an hour is kept', async () => {
  const { flow, accept, pass } = await startFlow();
  accept(1);
  pass(1000);
  accept(2);
  for (let second = 0; second < 3600; second += 1) pass(1000);
  const { accepted } = flow.columns();
  expect([flow.newest, accepted.length, accepted[0], accepted.at(-1)]).toEqual([3601, 3600, 2, 0]);
  pass(5 * 3_600_000);
  expect(flow.columns(2).accepted).toEqual([0, 0]);
});

test('the rates of a queue cover the last minute', async () => {
  const { flow, accept, attempt, settle, pass } = await startFlow();
  expect(flow.queue('pool', 'push').accepted).toBe(0);
  accept(120);
  attempt(false);
  settle('delivered');
  pass(2000);
  expect(flow.queue('pool', 'push')).toEqual({ accepted: 60, settled: 0.5, dead: 0, attempts: 0.5, failed: 0.5 });
  for (let second = 2; second < 60; second += 1) pass(1000);
  expect(flow.queue('pool', 'push').accepted).toBe(2);
  pass(60_000);
  pass(1000);
  expect(flow.queue('pool', 'push').accepted).toBe(0);
});

test('no timer is left after the stop', async () => {
  const { flow, timers } = await startFlow();
  await flow.stop();
  expect(timers.pending).toBe(0);
});
