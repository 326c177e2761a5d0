/**
 * The built service with a million deliveries waiting: its start time, its memory, and how fast it
 * drains, compared with end-to-end delivery without a backlog.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { startSink } from './sink.ts';
import { startTapSource } from './tap-source.ts';

export interface Backlog {
  readonly waiting: number;
  /** Time from the start of the process to its `ready`. */
  readonly startMs: number;
  /** Peak memory of the process while it drained a tenth. */
  readonly residentMiB: number;
  readonly fileMiB: number;
  readonly drainedPerSecond: number;
}

export async function measureBacklog(waiting: number): Promise<Backlog> {
  const folder = await mkdtemp(join(tmpdir(), 'backlog-'));
  try {
    const path = join(folder, 'spool.sqlite');
    const fileBytes = await fill(path, waiting);
    return { waiting, fileMiB: fileBytes / 1024 ** 2, ...(await drain(path, waiting / 10)) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function fill(path: string, count: number): Promise<number> {
  const child = fork(new URL('./backlog.process.ts', import.meta.url), [path, String(count)], { execArgv: ['--import', 'tsx'] });
  const [bytes]: number[] = await once(child, 'message');
  if (child.exitCode === null) await once(child, 'exit');
  return bytes ?? Number.NaN;
}

async function drain(path: string, count: number): Promise<Omit<Backlog, 'fileMiB' | 'waiting'>> {
  const sink = await startSink();
  const source = await startTapSource({ window: 1, stanza: () => '' });
  const handlers = '[[modules.mod_event_pusher.backend.http]]\nname = "push"\npath = "/notifications"';
  const config = plainConfig({ componentPort: source.port, backend: sink.origin, handlers }).replace('workers = 20', 'workers = 50');
  await using pusher = await createPusher({ loglevel: 'warn', spool: `[spool]\npath = "${path}"`, config });
  try {
    const began = performance.now();
    await pusher.start();
    const startMs = performance.now() - began;
    await eventually(() => sink.requests >= count / 10);
    const [from, since] = [sink.requests, performance.now()];
    await eventually(() => sink.requests >= from + count, { withinMs: 120_000 });
    const drainedPerSecond = Math.round(((sink.requests - from) / (performance.now() - since)) * 1000);
    const status = await readFile(`/proc/${pusher.pid}/status`, 'utf8');
    return { startMs, drainedPerSecond, residentMiB: Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024 };
  } finally {
    await pusher.kill();
    source.close();
    sink.close();
  }
}
