import type { Outcome } from '../../pools/contract.ts';
import { createDeferred, type Deferred } from '../kit/deferred.ts';

/** Requests that are no deliveries: an operator waits for each, and nothing of them is kept. */
export interface TestSends {
  /** Sends by `post` and gives what came back. */
  send(post: (key: number) => void): Promise<Outcome>;
  /** Whether the key was one of these; then it is answered. */
  answer(key: number, outcome: Outcome): boolean;
  /** Answers all that are under way. */
  fail(outcome: Outcome): void;
}

export function createTestSends(): TestSends {
  const waiting = new Map<number, Deferred<Outcome>>();
  let lastKey = 0;

  return {
    send: (post) => {
      lastKey -= 1; // those of deliveries count upwards
      const deferred = createDeferred<Outcome>();
      waiting.set(lastKey, deferred);
      post(lastKey);
      return deferred.promise;
    },
    answer: (key, outcome) => {
      if (key >= 0) return false;
      waiting.get(key)?.resolve(outcome);
      return waiting.delete(key);
    },
    fail: (outcome) => {
      for (const deferred of waiting.values()) deferred.resolve(outcome);
      waiting.clear();
    },
  };
}
