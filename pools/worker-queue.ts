import { Fifo } from '../src/kit/fifo.ts';
import type { Job } from './contract.ts';

/** Gives jobs to workers in the order they came, at most `workers` at a time. */
export interface WorkerQueue {
  enqueue(job: Job): void;
  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void>;
}

/** `carry` begins a job and calls `free` once, when its worker can take another. */
export function createWorkerQueue(workers: number, carry: (job: Job, free: () => void) => void): WorkerQueue {
  const waiting = new Fifo<Job>();
  let busy = 0;
  let onIdle: (() => void) | undefined;

  function begin(job: Job): void {
    busy += 1;
    carry(job, free);
  }

  function free(): void {
    busy -= 1;
    const next = waiting.shift();
    if (next !== undefined) begin(next);
    else if (busy === 0) onIdle?.();
  }

  return {
    enqueue: (job) => {
      if (busy < workers) begin(job);
      else waiting.push(job);
    },
    idle: () =>
      new Promise((resolve) => {
        onIdle = resolve;
        if (busy === 0) resolve();
      }),
  };
}
