import { messageOf } from './errors.ts';

/**
 * What lives has one shape: constructed (nothing happens), `start()`, `stop()`. Starting twice or stopping twice gives
 * the first call's promise; stopping what never started does nothing; a failed start leaves nothing behind.
 */
export interface Lifecycle {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Wraps bare steps into a {@link Lifecycle}, so that each living part writes its two steps and not the rules. */
export function createLifecycle(steps: { start(): Promise<void>; stop(): Promise<void> }): Lifecycle {
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;

  async function startOrUndo(): Promise<void> {
    try {
      await steps.start();
    } catch (error) {
      await steps.stop().catch(() => undefined); // the reason why it did not start is the one worth telling
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

/** Undoes what a start did: last in, first out, every step tried, all errors gathered. */
export interface Teardown {
  /** Remembers a step; `what` names it in the error when it fails. */
  add(what: string, step: () => Promise<void> | void): void;
  /** Runs the steps in reverse; a second call returns the first call's promise. Throws an AggregateError. */
  run(): Promise<void>;
}

export function createTeardown(): Teardown {
  const steps: { readonly what: string; readonly step: () => Promise<void> | void }[] = [];
  let running: Promise<void> | undefined;

  async function unwind(): Promise<void> {
    const errors: Error[] = [];
    for (const { what, step } of steps.reverse()) {
      try {
        await step();
      } catch (cause) {
        errors.push(new Error(`could not stop ${what}`, { cause }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, errors.map(messageOf).join('; '));
  }

  return {
    add: (what, step) => {
      steps.push({ what, step });
    },
    run: () => {
      running ??= unwind();
      return running;
    },
  };
}

/** A promise with its handles outside: for answers that arrive by another door than the question left. */
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
