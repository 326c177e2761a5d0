import type { DispositionKind } from '../model/attempt.ts';
import { type Attempt, type Posting, type Reply, toJob } from './attempt.ts';
import type { PoolThreadsCallbacks } from './pool-thread.ts';
import type { PoolThreads } from './pool-threads.ts';

/** What carries a pool's attempts: its threads, or for messages to users a part of this thread. */
export interface Carrier {
  start(): Promise<void>;
  /** Lets what is in flight end. */
  stop(): Promise<void>;
  /** Ends at once, whatever is in flight. */
  kill(): Promise<void>;
  /** The pool is about to stop: what waits for somebody to come back need not be waited for, and is lost. */
  drain(): void;
  carry(attempt: Attempt, posting: Posting): void;
  /** Tells who waits for it what became of a delivery. */
  disposed(key: number, disposition: DispositionKind): void;
}

/** Makes the carrier of a pool. */
export type OpenCarrier = (callbacks: PoolThreadsCallbacks) => Carrier;

/** Requests go to the threads. A message to a user is nothing for them: it got into this pool by mistake. */
export function carryOverThreads(threads: PoolThreads, { onOutcome }: { onOutcome(key: number, reply: Reply): void }): Carrier {
  return {
    ...threads,
    drain: () => undefined,
    carry: (attempt, posting) => {
      const job = toJob(attempt, posting);
      if (job === undefined) setImmediate(onOutcome, posting.key, misplaced);
      else threads.send(job);
    },
  };
}

/** What comes of a delivery in a pool that cannot carry it. */
export const misplaced: Reply = {
  outcome: { kind: 'unsent', code: 'MISPLACED', message: 'it is nothing that this pool can send', durationMs: 0 },
  judgement: undefined,
};
