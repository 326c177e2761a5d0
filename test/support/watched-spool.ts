import type { Spool } from '../../src/spool/spool.ts';

/** A spool that reports whether it has unanswered calls. */
export interface WatchedSpool extends Spool {
  /** Resolves when all calls are answered, and no new ones follow in the next turns. */
  quiet(): Promise<void>;
}

export function watchSpool(spool: Spool): WatchedSpool {
  let asked = 0;

  function watch<A extends readonly unknown[], R>(ask: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      asked += 1;
      try {
        return await ask(...args);
      } finally {
        asked -= 1;
      }
    };
  }

  return {
    ...spool,
    append: watch(spool.append),
    claim: watch(spool.claim),
    settle: watch(spool.settle),
    quiet: async () => {
      for (let still = 0; still < 2; still += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        if (asked > 0) still = -1;
      }
    },
  };
}
