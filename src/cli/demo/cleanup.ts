import { Teardown } from '../../kit/lifecycle.ts';

/** Undoes what the demo did, whatever way it ends: step by step when there is time, at once when the process goes. */
export interface Cleanup {
  /** Remembers how to undo something; `what` names it in the error when that fails. */
  add(what: string, undo: Undo): void;
  /** Last in, first out, all errors gathered. */
  run(): Promise<void>;
}

export interface Undo {
  readonly inOrder: () => Promise<void> | void;
  /** The same in a hurry and without waiting; harmless when it is done already. */
  readonly atOnce?: () => void;
}

export function createCleanup(): Cleanup {
  const teardown = new Teardown();
  const hurried: (() => void)[] = [];
  process.on('exit', inAHurry);

  function inAHurry(): void {
    for (const undo of hurried.reverse()) {
      try {
        undo();
      } catch {
        // the process ends now: the other steps matter more than this one's error
      }
    }
  }

  return {
    add: (what, { inOrder, atOnce }) => {
      teardown.add(what, inOrder);
      if (atOnce !== undefined) hurried.push(atOnce);
    },
    run: () => teardown.run(),
  };
}
