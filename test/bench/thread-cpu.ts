import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** CPU time by kind of thread, µs. */
export type ThreadCpu = ReadonlyMap<string, number>;

/** The environment of a Node process whose threads are to be told apart. */
export const namedThreads = { NODE_OPTIONS: `--require ${fileURLToPath(new URL('./watch-thread.cjs', import.meta.url))}` };

const kinds: Readonly<Record<string, string>> = { deliver: 'pool', worker: 'pool', node: 'V8 and libuv' };

/** The sums of the threads that run now. proc(5): the first field of schedstat is the time on a CPU in ns. */
export function threadCpuMicros(pid: number): ThreadCpu {
  const sums = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const read = (file: string) => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'utf8').trim();
    const name = read('comm');
    const kind = kinds[name] ?? name;
    sums.set(kind, (sums.get(kind) ?? 0) + Number(read('schedstat').split(' ')[0]) / 1000);
  }
  return sums;
}

/** The difference of two readings, per event. */
export function perEvent(before: ThreadCpu, after: ThreadCpu, events: number): ThreadCpu {
  return new Map([...after].map(([kind, micros]) => [kind, (micros - (before.get(kind) ?? 0)) / events]));
}
