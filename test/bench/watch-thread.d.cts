import type { ThreadReport } from './thread-reports.ts';

declare const watch: {
  /** Observes the calling thread; `take` returns what it has seen since the last call. */
  createWatch(): { take(): Omit<ThreadReport, 'thread'> };
};
export = watch;
