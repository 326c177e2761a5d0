import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';

/** Activity of a thread since its last report. */
export interface ThreadReport {
  /** `main`, `service`, `spool`; `worker` is a pool thread. */
  readonly thread: string;
  /** In the heap; the memory of buffers is outside. */
  readonly allocatedBytes: number;
  /** Garbage collections. */
  readonly pauses: readonly Span[];
  /** Delays of the thread's event loop. */
  readonly blocked: readonly Span[];
}

export interface Span {
  /** Start, ms since 1970. */
  readonly at: number;
  readonly ms: number;
}

/** The reports of `watch-thread.cjs` in a process that runs with this environment. */
export interface ThreadReports extends AsyncDisposable {
  readonly env: NodeJS.ProcessEnv;
  /** Requests a report of each thread, and begins the next ones. Waits for those with these names. */
  take(pid: number, threads: readonly string[]): Promise<readonly ThreadReport[]>;
}

/** The other threads report at the same moment as those with known names. */
const laterMs = 100;

export async function createThreadReports(): Promise<ThreadReports> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-reports-'));
  let number = 0;
  return {
    env: { BENCH_REPORTS: folder },
    take: async (pid, threads) => {
      number += 1;
      const names = async () => (await readdir(folder)).filter((name) => name.startsWith(`${number}-`) && name.endsWith('.json'));
      process.kill(pid, 'SIGUSR2');
      await eventually(async () => {
        const found = await names();
        return threads.every((thread) => found.some((name) => name.startsWith(`${number}-${thread}-`)));
      });
      await new Promise((resolve) => setTimeout(resolve, laterMs));
      return await Promise.all((await names()).map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8'))));
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
