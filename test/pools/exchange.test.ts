import { expect, test } from 'vitest';
import { Deadlines, type Timed } from '../../pools/exchange.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';

function createRig() {
  const deadlines = new Deadlines(systemClock);
  const expired: string[] = [];
  const began = systemClock.monotonic();

  /** `inMs`: from the start of the test, so that a pause between two calls does not change their order. */
  function watch(name: string, inMs: number): { dueAt: number; readonly over: Promise<void> } {
    const over = createDeferred<void>();
    const due = {
      dueAt: began + inMs,
      place: -1,
      over: over.promise,
      expire(): void {
        expect(systemClock.monotonic()).toBeGreaterThanOrEqual(due.dueAt);
        deadlines.forget(due);
        expired.push(name);
        over.resolve();
      },
    } satisfies Timed & { over: Promise<void> };
    deadlines.watch(due);
    return due;
  }

  return { deadlines, expired, watch };
}

test('the nearer deadline expires first, whichever was watched first', async () => {
  const { watch, expired } = createRig();
  const far = watch('far', 60);
  const near = watch('near', 20);

  await Promise.all([far.over, near.over]);

  expect(expired).toEqual(['near', 'far']);
});

test('a deadline that moves away expires at its new time', async () => {
  const { watch, expired } = createRig();
  const moved = watch('moved', 20);
  moved.dueAt += 40;
  const steady = watch('steady', 40);

  await Promise.all([moved.over, steady.over]);

  expect(expired).toEqual(['steady', 'moved']);
});

test('a forgotten deadline never expires', async () => {
  const { deadlines, expired } = createRig();
  const forgotten: Timed = { dueAt: systemClock.monotonic() + 10, place: -1, expire: () => expired.push('forgotten') };
  deadlines.watch(forgotten);
  deadlines.forget(forgotten);
  const later = createDeferred<void>();
  const last: Timed = {
    dueAt: systemClock.monotonic() + 40,
    place: -1,
    expire: () => {
      deadlines.forget(last);
      later.resolve();
    },
  };
  deadlines.watch(last);

  await later.promise;

  expect(expired).toEqual([]);
});

test('a deadline that is watched while another expires also expires', async () => {
  const { watch, expired, deadlines } = createRig();
  const second = createDeferred<void>();
  const first: Timed = {
    dueAt: systemClock.monotonic() + 10,
    place: -1,
    expire: () => {
      deadlines.forget(first);
      expired.push('first');
      void watch('second', 10).over.then(second.resolve);
    },
  };
  deadlines.watch(first);

  await second.promise;

  expect(expired).toEqual(['first', 'second']);
});
