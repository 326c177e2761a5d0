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
