import type { Job } from '../../pools/contract.ts';
import type { DispositionKind } from '../model/attempt.ts';
import { createPoolThread, type PoolThread, type PoolThreadOptions } from './pool-thread.ts';

export interface PoolThreadsOptions extends PoolThreadOptions {
  /** `settings.workers` is the whole pool's; each thread gets its share. */
  readonly threads: number;
}

/** A pool's threads: jobs go to the one with the most workers free, those of one millisecond in one message. */
export interface PoolThreads {
  start(): Promise<void>;
  /** Lets what is in flight end, closes the connections and ends the threads. */
  stop(): Promise<void>;
  /** Ends the threads at once, whatever is in flight. */
  kill(): Promise<void>;
  send(job: Job): void;
  /** Tells the worker that waits for it what became of its delivery. */
  disposed(key: number, disposition: DispositionKind): void;
}

export function createPoolThreads({ settings, threads, ...shared }: PoolThreadsOptions): PoolThreads {
  const all = Array.from({ length: threads }, (_, index) =>
    createPoolThread({ ...shared, settings: { ...settings, workers: share(settings.workers, threads, index) } }),
  );

  return {
    start: async () => {
      await Promise.all(all.map((thread) => thread.start()));
    },
    stop: async () => {
      await Promise.all(all.map((thread) => thread.stop()));
    },
    kill: async () => {
      await Promise.all(all.map((thread) => thread.kill()));
    },
    send: (job) => mostFree(all).send(job),
    disposed: (key, disposition) => {
      for (const thread of all) thread.disposed(key, disposition);
    },
  };
}

/** Divides so that no two shares differ by more than one. */
function share(workers: number, threads: number, index: number): number {
  return Math.floor(workers / threads) + (index < workers % threads ? 1 : 0);
}

function mostFree([first, ...others]: readonly PoolThread[]): PoolThread {
  if (first === undefined) throw new Error('a pool has at least one thread');
  return others.reduce((best, thread) => (thread.free > best.free ? thread : best), first);
}
