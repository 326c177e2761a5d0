import type { Completion } from '../../src/kit/completion.ts';
import type { Spool } from '../../src/spool/spool.ts';

/** A spool that reports whether it has unanswered calls. */
export interface WatchedSpool extends Spool {
  /** Resolves when all calls are answered, and no new ones follow in the next turns. */
  quiet(): Promise<void>;
}

export function watchSpool(spool: Spool): WatchedSpool {
  let asked = 0;

  function watched<T>({ done, failed }: Completion<T>): Completion<T> {
    asked += 1;
    const answer = <R>(take: (result: R) => void) => {
      return (result: R): void => {
        asked -= 1;
        take(result);
      };
    };
    return { done: answer(done), failed: answer(failed) };
  }

  return {
    ...spool,
    append: (entry, completion) => spool.append(entry, watched(completion)),
    claim: (pool, request, completion) => spool.claim(pool, request, watched(completion)),
    settle: (settlement, completion) => spool.settle(settlement, watched(completion)),
    quiet: async () => {
      for (let still = 0; still < 2; still += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        if (asked > 0) still = -1;
      }
    },
  };
}
