import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../src/kit/clock.ts';
import { Teardown } from '../src/kit/lifecycle.ts';
import type { Page } from './page.ts';

/** The shared surroundings of all parts of the demo. */
export interface Scene {
  readonly page: Page;
  readonly cleanup: Cleanup;
  /** Aborted by a signal that ends the demo. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** A temporary folder, removed at the end. */
  readonly folder: string;
}

/** Undoes the steps of the demo however it ends: in order if there is time, immediately if the process exits. */
export class Cleanup {
  readonly #teardown = new Teardown();
  readonly #immediate: (() => void)[] = [];

  constructor() {
    process.on('exit', () => this.#runNow());
  }

  /** Registers a step; `what` names it in an error. */
  add(what: string, { inOrder, atOnce }: Undo): void {
    this.#teardown.add(what, inOrder);
    if (atOnce !== undefined) this.#immediate.push(atOnce);
  }

  /** Runs the steps last in, first out, and gathers all errors. */
  run(): Promise<void> {
    return this.#teardown.run();
  }

  #runNow(): void {
    for (const undo of this.#immediate.reverse()) {
      try {
        undo();
      } catch {
        // the process exits: the other steps matter more than this error
      }
    }
  }
}

interface Undo {
  readonly inOrder: () => Promise<void> | void;
  /** The same without waiting; harmless if it is already done. */
  readonly atOnce?: () => void;
}

interface Wait {
  /** The problem for the error after the timeout: "gave up after 20 s: …". */
  readonly problem: string | (() => string);
  readonly withinMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

const checkEveryMs = 25;

/** Calls `check` repeatedly until it returns true. Rejects if it throws, after the timeout, and when aborted. */
export async function until(check: () => Promise<boolean> | boolean, { problem, withinMs, signal, clock }: Wait): Promise<void> {
  const giveUpAt = clock.monotonic() + withinMs;
  for (;;) {
    signal.throwIfAborted();
    if (await check()) return;
    if (clock.monotonic() > giveUpAt)
      throw new Error(`gave up after ${withinMs / 1000} s: ${typeof problem === 'string' ? problem : problem()}`);
    await sleep(checkEveryMs, undefined, { signal });
  }
}

/** The same for a promise that cannot be aborted. */
export async function settled<T>(promise: Promise<T>, wait: Wait): Promise<T> {
  let done = false;
  const mark = () => {
    done = true;
  };
  promise.then(mark, mark);
  await until(() => done, wait);
  return promise;
}

const endSignals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/** Aborted by the first SIGINT, SIGTERM or SIGHUP; the second one ends the process immediately. */
export function obeySignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of endSignals) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort(new Error(`stopped by ${name}`));
    });
  }
  return controller.signal;
}
