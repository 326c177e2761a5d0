import { expect, test } from 'vitest';
import { createAdmission } from '../../src/delivery/admission.ts';
import type { Fault } from '../../src/delivery/fault.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createFakeClock } from '../support/fake-clock.ts';

function startAdmission() {
  const clock = createFakeClock();
  const events = createEventBus();
  const shut: string[] = [];
  const told: string[] = [];
  events.on('breaker.state', ({ handler, state }) => told.push(`${handler === '' ? 'pool' : handler} ${state}`));
  const config = { failureRatio: 0.5, minAttempts: 2, windowMs: 10_000, openMs: 1000, maxOpenMs: 3000 };
  const admission = createAdmission({ pool: 'p', workers: 4, config, clock, events, onShut: (handler) => shut.push(handler) });
  const meet = (handler: string, fault: Fault, times = 1): void => {
    for (let time = 0; time < times; time += 1) {
      admission.handler(handler).began();
      admission.handler(handler).ended(fault, clock.monotonic());
    }
  };
  const isShut = (handler: string): boolean => admission.handler(handler).isShut(clock.monotonic());
  return { admission, clock, events, shut, told, meet, isShut };
}

test('a broken path shuts its own handler, and none of its siblings', () => {
  const { meet, isShut, shut, told } = startAdmission();
  meet('sick', 'path', 2);
  expect([isShut('sick'), isShut('well')]).toEqual([true, false]);
  expect(shut).toEqual(['sick']);
  expect(told).toEqual(['sick open']);
});

test('a backend that cannot be reached shuts all', () => {
  const { meet, isShut, told, shut } = startAdmission();
  meet('one', 'connection', 2);
  expect([isShut('one'), isShut('other')]).toEqual([true, true]);
  expect(told).toEqual(['pool open']);
  expect(shut).toEqual([]);
});

test('faults of our own shut nothing', () => {
  const { meet, isShut } = startAdmission();
  meet('one', 'ours', 100);
  expect(isShut('one')).toBe(false);
});

test('a fault of one path is no bad news of the pool, which recovers by it', () => {
  const { admission, meet, clock } = startAdmission();
  meet('one', 'connection', 2);
  clock.advance(1000);
  expect(admission.handler('one').room(clock.monotonic())).toBe(1);
  meet('one', 'path');
  expect(admission.state).toBe('slow-start');
});

test('while it probes, one attempt may be under way, whichever handler it is of', () => {
  const { admission, meet, clock } = startAdmission();
  meet('one', 'connection', 2);
  clock.advance(1000);
  admission.handler('one').began();
  expect(admission.handler('other').room(clock.monotonic())).toBe(0);
  expect(admission.handler('other').isShut(clock.monotonic())).toBe(false);
});

test('a pause holds its handler alone, for as long as was asked, and a shorter one changes nothing', () => {
  const { admission, clock, isShut, shut, events } = startAdmission();
  const until: number[] = [];
  events.on('handler.paused', (event) => until.push(event.until));
  admission.handler('one').pause(5000, clock.monotonic());
  admission.handler('one').pause(2000, clock.monotonic());
  expect([isShut('one'), isShut('other'), shut]).toEqual([true, false, ['one']]);
  expect(until).toEqual([clock.now() + 5000]);
  expect(admission.handler('one').pausedUntil(clock.monotonic())).toBe(clock.now() + 5000);
  expect(admission.opensInMs(clock.monotonic())).toBe(5000);
  clock.advance(5000);
  expect([isShut('one'), admission.opensInMs(clock.monotonic())]).toEqual([false, undefined]);
});

test('says when the first of several may open', () => {
  const { admission, clock, meet } = startAdmission();
  admission.handler('paused').pause(5000, clock.monotonic());
  meet('sick', 'path', 2);
  expect(admission.opensInMs(clock.monotonic())).toBe(1000);
});
