import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../kit/clock.ts';

export interface Patience {
  /** What went wrong when time is up: "gave up after 20 s: …". */
  readonly problem: string | (() => string);
  readonly withinMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

const askEveryMs = 25;

/** Asks `check` again and again until it says yes. Rejects when it throws, when time is up, and at once when aborted. */
export async function until(check: () => Promise<boolean> | boolean, { problem, withinMs, signal, clock }: Patience): Promise<void> {
  const giveUpAt = clock.monotonic() + withinMs;
  for (;;) {
    signal.throwIfAborted();
    if (await check()) return;
    if (clock.monotonic() > giveUpAt)
      throw new Error(`gave up after ${withinMs / 1000} s: ${typeof problem === 'string' ? problem : problem()}`);
    await wait(askEveryMs, undefined, { signal });
  }
}

/** The same for a promise that nobody can abort. */
export async function settled<T>(promise: Promise<T>, patience: Patience): Promise<T> {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  await until(() => done, patience);
  return promise;
}
