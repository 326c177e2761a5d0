import { messageOf } from './errors.ts';

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
