import { expect, test } from 'vitest';
import { createAlarm } from '../../src/delivery/alarm.ts';
import type { Timers } from '../../src/kit/clock.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

function createRig() {
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
  const alarm = createAlarm({ clock, timers }, () => {
    rung += 1;
  });
  return { clock, fake, waits, alarm, rung: () => rung };
}

test('rings once', () => {
  const { alarm, clock, fake, rung } = createRig();
  alarm.set(clock.now() + 100);
  fake.fire();
  fake.fire();
  expect(rung()).toBe(1);
});

test('is set to the earliest wish', () => {
  const { alarm, clock, fake, waits } = createRig();
  for (const wish of [500, 200, 900]) alarm.set(clock.now() + wish);
  expect(waits).toEqual([500, 200]);
  expect(fake.pending).toBe(1);
});

test('can be set to a later time once it has rung', () => {
  const { alarm, clock, fake, waits } = createRig();
  alarm.set(clock.now() + 100);
  fake.fire();
  alarm.set(clock.now() + 900);
  expect(waits).toEqual([100, 900]);
});

test('rings at once for what is past, and waits no longer than half a minute, since the clock may jump', () => {
  const { alarm, clock, fake, waits } = createRig();
  alarm.set(clock.now() + 3_600_000);
  fake.fire();
  alarm.set(clock.now() - 5000);
  expect(waits).toEqual([30_000, 0]);
});

test('does not ring once cleared, and can be set again', () => {
  const { alarm, clock, fake, rung } = createRig();
  alarm.set(clock.now() + 100);
  alarm.clear();
  fake.fire();
  expect(rung()).toBe(0);
  alarm.set(clock.now() + 500);
  fake.fire();
  expect(rung()).toBe(1);
});
