import { describe, expect, test } from 'vitest';
import { Breaker } from '../../src/delivery/breaker.ts';

const config = { failureRatio: 0.5, minAttempts: 4, windowMs: 10_000, openMs: 1000, maxOpenMs: 3000 };

function startBreaker(workers = 4) {
  const states: string[] = [];
  const breaker = new Breaker({ config, workers, onState: (state) => states.push(state) });
  const fail = (now: number, times = 1): void => {
    for (let time = 0; time < times; time += 1) breaker.record('failed', now);
  };
  const succeed = (now: number, times = 1): void => {
    for (let time = 0; time < times; time += 1) breaker.record('succeeded', now);
  };
  return { breaker, states, fail, succeed };
}

describe('a closed breaker', () => {
  test('opens when half of enough attempts failed', () => {
    const { breaker, succeed, fail } = startBreaker();
    succeed(0, 2);
    fail(0, 1);
    expect(breaker.state).toBe('closed');
    fail(0, 1);
    expect(breaker.state).toBe('open');
    expect(breaker.allowance(999)).toBe(0);
  });

  test('stays closed below the minimum of attempts', () => {
    const { breaker, fail } = startBreaker();
    fail(0, 3);
    expect(breaker.allowance(0)).toBe(Number.POSITIVE_INFINITY);
  });

  test('stays closed while more than half succeed', () => {
    const { breaker, fail, succeed } = startBreaker();
    for (let now = 0; now < 1000; now += 1) {
      succeed(now, 2);
      fail(now);
    }
    expect(breaker.state).toBe('closed');
  });

  test('forgets attempts before its window', () => {
    const { breaker, fail } = startBreaker();
    fail(0, 3);
    fail(10_000, 1);
    expect(breaker.state).toBe('closed');
    fail(10_001, 3);
    expect(breaker.state).toBe('open');
  });
});

describe('an open breaker', () => {
  test('allows one probe when its time is over', () => {
    const { breaker, fail } = startBreaker();
    fail(0, 4);
    expect([breaker.opensInMs(400), breaker.allowance(400)]).toEqual([600, 0]);
    expect(breaker.opensInMs(1000)).toBeUndefined();
    expect([breaker.allowance(1000), breaker.state]).toEqual([1, 'half-open']);
  });

  test('ignores attempts that began before it opened', () => {
    const { breaker, fail, succeed } = startBreaker();
    fail(0, 4);
    succeed(1, 100);
    fail(2, 100);
    expect([breaker.state, breaker.opensInMs(2)]).toEqual(['open', 998]);
  });

  test('doubles its open time with each failed probe, up to a limit', () => {
    const { breaker, fail } = startBreaker();
    fail(0, 4);
    let now = 0;
    const waits = [1, 2, 3, 4].map(() => {
      const wait = breaker.opensInMs(now) ?? 0;
      now += wait;
      breaker.allowance(now);
      fail(now);
      return wait;
    });
    expect(waits).toEqual([1000, 2000, 3000, 3000]);
  });
});

describe('a recovering breaker', () => {
  function recovering() {
    const started = startBreaker();
    started.fail(0, 4);
    started.breaker.allowance(1000);
    started.succeed(1000);
    return started;
  }

  test('allows more attempts step by step until it is closed', () => {
    const { breaker, succeed, states } = recovering();
    const allowed = [breaker.allowance(1000)];
    for (let success = 0; success < 3; success += 1) {
      succeed(1000);
      allowed.push(breaker.allowance(1000));
    }
    expect(allowed).toEqual([2, 3, 4, Number.POSITIVE_INFINITY]);
    expect(states).toEqual(['open', 'half-open', 'slow-start', 'closed']);
  });

  test('halves its limit after a failure, and opens at the last', () => {
    const { breaker, fail, succeed } = recovering();
    succeed(1000, 2);
    fail(1001);
    expect(breaker.allowance(1001)).toBe(2);
    fail(1002);
    expect(breaker.allowance(1002)).toBe(1);
    fail(1003);
    expect([breaker.state, breaker.opensInMs(1003)]).toEqual(['open', 2000]);
  });

  test('starts with the first open time again after it was closed', () => {
    const { breaker, fail, succeed } = recovering();
    succeed(1000, 3);
    fail(1001, 4);
    expect(breaker.opensInMs(1001)).toBe(1000);
  });
});

test('a breaker that is switched off never opens', () => {
  const breaker = new Breaker({ config: undefined, workers: 1, onState: () => undefined });
  for (let failure = 0; failure < 1000; failure += 1) breaker.record('failed', failure);
  expect([breaker.state, breaker.allowance(0)]).toEqual(['closed', Number.POSITIVE_INFINITY]);
});
