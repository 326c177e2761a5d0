import { expect, test } from 'vitest';
import { createEventBus } from '../../src/telemetry/events.ts';
import { RecentAttempts } from '../../src/telemetry/recent.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { attemptEnded } from './observed.ts';

function startCounting() {
  const events = createEventBus();
  const clock = createFakeClock();
  const attempts = new RecentAttempts({ events, clock });
  return {
    clock,
    of: (handler: string) => attempts.of('pool', handler),
    accept: (handler: string) => events.emit('attempt.ended', attemptEnded({ pool: 'pool', handler })),
    fail: (handler: string, reason = 'status 503') =>
      events.emit('attempt.ended', attemptEnded({ pool: 'pool', handler, accepted: false, reason })),
  };
}

test('shows a failed attempt at once; an accepted one resets the count but keeps the error', () => {
  const { clock, of, accept, fail } = startCounting();
  expect(of('push')).toEqual({ consecutiveFailures: 0, lastError: undefined, attempts: 0, accepted: 0 });
  fail('push');
  const lastError = { at: clock.now(), reason: 'status 503', mayQuote: false };
  expect(of('push')).toEqual({ consecutiveFailures: 1, lastError, attempts: 1, accepted: 0 });
  fail('push');
  expect(of('push').consecutiveFailures).toBe(2);
  clock.advance(1000);
  accept('push');
  expect(of('push')).toEqual({ consecutiveFailures: 0, lastError, attempts: 3, accepted: 1 });
  expect(of('other').attempts).toBe(0);
});

test('the success rate covers the last five minutes', () => {
  const { clock, of, accept, fail } = startCounting();
  fail('push');
  clock.advance(200_000);
  accept('push');
  expect(of('push')).toMatchObject({ attempts: 2, accepted: 1 });
  clock.advance(100_000);
  expect(of('push')).toMatchObject({ attempts: 1, accepted: 1, consecutiveFailures: 0 });
  clock.advance(300_000);
  expect(of('push')).toMatchObject({ attempts: 0, accepted: 0, lastError: { reason: 'status 503' } });
});
