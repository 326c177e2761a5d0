import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Timers } from '../../src/kit/clock.ts';
import { Alarm, Pacer, TokenBucket } from '../../src/kit/pacing.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

test('allows a burst, then one request per interval', () => {
  const bucket = new TokenBucket({ requests: 10, perMs: 1000, burst: 2 });
  expect(bucket.waitMs(0)).toBe(0);
  bucket.take(0);
  expect(bucket.waitMs(0)).toBe(0);
  bucket.take(0);
  expect(bucket.waitMs(0)).toBe(100);
  expect(bucket.waitMs(99)).toBe(1);
  expect(bucket.waitMs(100)).toBe(0);
});

test('a pause earns at most the burst', () => {
  const bucket = new TokenBucket({ requests: 10, perMs: 1000, burst: 2 });
  for (let spent = 0; spent < 2; spent += 1) {
    expect(bucket.waitMs(1e9)).toBe(0);
    bucket.take(1e9);
  }
  expect(bucket.waitMs(1e9)).toBe(100);
});

test('keeps its rate over a long time, however often it is called', () => {
  const bucket = new TokenBucket({ requests: 3, perMs: 1000, burst: 1 });
  let through = 0;
  for (let now = 0; now < 10_000; now += 7) {
    if (bucket.waitMs(now) > 0) continue;
    bucket.take(now);
    through += 1;
  }
  expect(through).toBe(30);
});

function createAlarmRig() {
  const clock = createFakeClock();
  const fake = createFakeTimers();
  const waits: number[] = [];
  const timers: Timers = {
    after: (delayMs, action) => {
      waits.push(delayMs);
      return fake.after(delayMs, action);
    },
  };
  let rung = 0;
  const alarm = new Alarm({ clock, timers }, () => {
    rung += 1;
  });
  return { clock, fake, waits, alarm, rung: () => rung };
}

test('an alarm rings once', () => {
  const { alarm, clock, fake, rung } = createAlarmRig();
  alarm.set(clock.now() + 100);
  fake.fire();
  fake.fire();
  expect(rung()).toBe(1);
});

test('an alarm keeps the earliest of several instants', () => {
  const { alarm, clock, fake, waits } = createAlarmRig();
  for (const delay of [500, 200, 900]) alarm.set(clock.now() + delay);
  expect(waits).toEqual([500, 200]);
  expect(fake.pending).toBe(1);
});

test('an alarm can be set to a later instant after it has rung', () => {
  const { alarm, clock, fake, waits } = createAlarmRig();
  alarm.set(clock.now() + 100);
  fake.fire();
  alarm.set(clock.now() + 900);
  expect(waits).toEqual([100, 900]);
});

test('an alarm rings at once for a past instant, and waits 30 s at most, since the clock may jump', () => {
  const { alarm, clock, fake, waits } = createAlarmRig();
  alarm.set(clock.now() + 3_600_000);
  fake.fire();
  alarm.set(clock.now() - 5000);
  expect(waits).toEqual([30_000, 0]);
});

test('a cleared alarm does not ring, and can be set again', () => {
  const { alarm, clock, fake, rung } = createAlarmRig();
  alarm.set(clock.now() + 100);
  alarm.clear();
  fake.fire();
  expect(rung()).toBe(0);
  alarm.set(clock.now() + 500);
  fake.fire();
  expect(rung()).toBe(1);
});

test('a pacer acts at most once per interval, or in the same turn if it is told to act soon', async () => {
  const clock = createFakeClock();
  const timers = createFakeTimers();
  let acts = 0;
  const pacer = new Pacer({ everyMs: 1, clock, timers }, () => {
    acts += 1;
  });

  pacer.nudge();
  await nextTurn();
  pacer.nudge();
  await nextTurn();
  expect(acts).toBe(1);
  pacer.actSoon();
  await nextTurn();
  expect(acts).toBe(2);
  expect(timers.pending).toBe(0);
});

test('among several nudges of a pacer, the one with the shortest interval decides', async () => {
  const clock = createFakeClock();
  const timers = createFakeTimers();
  let acts = 0;
  const pacer = new Pacer({ everyMs: 2, clock, timers }, () => {
    acts += 1;
  });

  pacer.nudge();
  await nextTurn();
  for (const everyMs of [10, 2, 10]) pacer.nudge(everyMs);
  expect(timers.waits).toEqual([2]);
  timers.fire();
  expect(acts).toBe(2);

  pacer.nudge(10);
  clock.advance(3);
  pacer.nudge();
  expect(timers.pending).toBe(0);
  await nextTurn();
  expect(acts).toBe(3);
});
