/**
 * The built service with a million deliveries waiting: its start time, its memory, and how fast it
 * drains, compared with end-to-end delivery without a backlog.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { residentBytes } from './process-usage.ts';
import { startSink } from './sink.ts';
import { workers } from './subjects.ts';
import { megabytes, none, perSecond, type Row, times } from './table.ts';
import { startTapSource } from './tap-source.ts';

export interface Backlog {
  readonly waiting: number;
  /** Time from the start of the process to its `ready`. */
  readonly startMs: number;
  /** Time from the start of the process to the first request. */
  readonly firstRequestMs: number;
  /** Peak memory of the process while it drained a tenth. */
  readonly residentBytes: number;
  readonly fileBytes: number;
  readonly drainedPerSecond: number;
}

export async function measureBacklog(waiting: number): Promise<Backlog> {
  const folder = await mkdtemp(join(tmpdir(), 'backlog-'));
  try {
    const path = join(folder, 'spool.sqlite');
    const fileBytes = await fill(path, waiting);
    return { waiting, fileBytes, ...(await drain(path, waiting / 10)) };
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

async function drain(path: string, count: number): Promise<Omit<Backlog, 'fileBytes' | 'waiting'>> {
  let firstRequestAt = Number.NaN;
  const sink = await startSink(() => {
    if (Number.isNaN(firstRequestAt)) firstRequestAt = performance.now();
  });
  const source = await startTapSource({ window: 1, stanza: () => '' });
  const handlers = '[[modules.mod_event_pusher.backend.http]]\nname = "push"\npath = "/notifications"';
  const config = plainConfig({ componentPort: source.port, backend: sink.origin, handlers }).replace(
    'workers = 20',
    `workers = ${workers}`,
  );
  await using pusher = await createPusher({ loglevel: 'warn', spool: `[spool]\npath = "${path}"`, config });
  try {
    const began = performance.now();
    await pusher.start();
    const startMs = performance.now() - began;
    await eventually(() => sink.requests >= count / 10);
    const [from, since] = [sink.requests, performance.now()];
    await eventually(() => sink.requests >= from + count, { withinMs: 120_000 });
    const drainedPerSecond = Math.round(((sink.requests - from) / (performance.now() - since)) * 1000);
    const firstRequestMs = firstRequestAt - began;
    return { startMs, firstRequestMs, drainedPerSecond, residentBytes: residentBytes(pusher.pid, 'VmHWM') };
  } finally {
    await pusher.kill();
    source.close();
    sink.close();
  }
}

/** `steady` is the number of events per second end to end, without a backlog. */
export function backlogRows(
  { waiting, startMs, firstRequestMs, residentBytes: resident, fileBytes, drainedPerSecond }: Backlog,
  steady: number,
): readonly Row[] {
  const reference = `file ${megabytes(fileBytes)}`;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  return [
    { measure: `start with ${waiting} waiting`, measured: seconds(startMs), reference, ratio: none, goal: '≤ 5 s' },
    {
      measure: `first request after a start with ${waiting} waiting`,
      measured: seconds(firstRequestMs),
      reference,
      ratio: none,
      goal: '≤ 10 s',
    },
    { measure: `resident memory with ${waiting} waiting`, measured: megabytes(resident), reference, ratio: none, goal: '≤ 250 MB' },
    {
      measure: `drained per second with ${waiting} waiting`,
      measured: perSecond(drainedPerSecond),
      reference: `end to end ${perSecond(steady)}`,
      ratio: times(drainedPerSecond / steady),
      goal: '≥ 0.8 ×',
    },
  ];
}
