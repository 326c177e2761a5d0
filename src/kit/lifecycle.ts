/** How long-lived parts start and stop, and promises that are settled from outside. */
import { messageOf } from './errors.ts';

/**
 * A part with one lifetime: construction has no effects, then `start()`, then `stop()`. A second call of either returns the
 * promise of the first. Stopping a part that was never started does nothing. A failed start leaves nothing running.
 */
export interface Lifecycle {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Adds the rules of a {@link Lifecycle} to two plain steps. */
export function createLifecycle(steps: { start(): Promise<void>; stop(): Promise<void> }): Lifecycle {
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;

  async function startOrUndo(): Promise<void> {
    try {
      await steps.start();
    } catch (error) {
      await steps.stop().catch(() => undefined); // the error of the start is the one to report
      throw error;
    }
  }

  async function stopAfterStart(started: Promise<void>): Promise<void> {
    const failed = await started.then(
      () => false,
      () => true,
    );
    if (!failed) await steps.stop();
  }

  return {
    start: () => {
      starting ??= startOrUndo();
      return starting;
    },
    stop: () => {
      if (starting === undefined) return Promise.resolve();
      stopping ??= stopAfterStart(starting);
      return stopping;
    },
  };
}

/** Undoes the steps of a start: last in, first out. Every step runs; all errors are collected. */
export class Teardown {
  readonly #steps: { readonly part: string; readonly stop: () => Promise<void> | void }[] = [];
  #running: Promise<void> | undefined;

  /** Adds a step; `part` names it in the error if it fails. */
  add(part: string, stop: () => Promise<void> | void): void {
    this.#steps.push({ part, stop });
  }

  /** Runs the steps in reverse order; a second call returns the promise of the first. Throws an AggregateError. */
  run(): Promise<void> {
    this.#running ??= this.#unwind();
    return this.#running;
  }

  async #unwind(): Promise<void> {
    const errors: Error[] = [];
    for (const { part, stop } of this.#steps.reverse()) {
      try {
        await stop();
      } catch (cause) {
        errors.push(new Error(`could not stop ${part}`, { cause }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, errors.map(messageOf).join('; '));
  }
}

/** A promise that is settled from outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** `Promise.withResolvers`, which Node 20 lacks. */
export function createDeferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
