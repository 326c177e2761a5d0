/**
 * A spool with a million deliveries waiting: how long it takes to open and to claim, what it holds in memory, and how fast
 * it drains, beside the rate of the same spool with nothing waiting. A process fills it, another one opens it again.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BacklogReport, BacklogTask } from './backlog.process.ts';

export interface Backlog {
  readonly waiting: number;
  /** Opened and first claimed. */
  readonly startMs: number;
  /** The most that the process ever held, from its start until a tenth was drained. */
  readonly residentBytes: number;
  readonly fileBytes: number;
  readonly drainedPerSecond: number;
  /** Appended, claimed at birth and settled, with nothing waiting. */
  readonly steadyPerSecond: number;
}

export async function measureBacklog(waiting: number): Promise<Backlog> {
  const folder = await mkdtemp(join(tmpdir(), 'backlog-'));
  const path = join(folder, 'spool.sqlite');
  try {
    const steady = await runTask({ kind: 'pass', path, count: waiting / 10 });
    const filled = await runTask({ kind: 'fill', path, count: waiting });
    const drained = await runTask({ kind: 'drain', path, count: waiting / 10 });
    return {
      waiting,
      startMs: drained.startMs,
      residentBytes: drained.residentBytes,
      fileBytes: filled.fileBytes,
      drainedPerSecond: drained.perSecond,
      steadyPerSecond: steady.perSecond,
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The rows of the bench's table. */
export async function backlogRows(waiting = 1_000_000) {
  const { startMs, residentBytes, fileBytes, drainedPerSecond, steadyPerSecond } = await measureBacklog(waiting);
  const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return [
    {
      ...{ measure: `start with ${waiting} waiting`, measured: `${(startMs / 1000).toFixed(2)} s`, reference: '–', ratio: '–' },
      goal: '≤ 5 s',
    },
    {
      ...{ measure: `resident memory with ${waiting} waiting, spool alone`, measured: megabytes(residentBytes) },
      ...{ reference: `file ${megabytes(fileBytes)}`, ratio: '–', goal: '≤ 300 MiB' },
    },
    {
      ...{ measure: `drained per second with ${waiting} waiting, spool alone`, measured: String(drainedPerSecond) },
      ...{ reference: `none waiting ${steadyPerSecond}`, ratio: `${(drainedPerSecond / steadyPerSecond).toFixed(2)} ×`, goal: '≥ 0.8 ×' },
    },
  ];
}

async function runTask(task: BacklogTask): Promise<BacklogReport> {
  const child = fork(new URL('./backlog.process.ts', import.meta.url), [JSON.stringify(task)], { execArgv: ['--import', 'tsx'] });
  const report = await Promise.race([reportOf(child), endOf(child)]);
  if (report === undefined) throw new Error(`a process of the backlog's bench ended without a report: ${task.kind}`);
  return report;
}

async function reportOf(child: ChildProcess): Promise<BacklogReport> {
  const [report]: BacklogReport[] = await once(child, 'message');
  if (report === undefined) throw new Error('an empty report');
  await once(child, 'exit');
  return report;
}

async function endOf(child: ChildProcess): Promise<undefined> {
  await once(child, 'close');
}
