import { Worker } from 'node:worker_threads';
import type { SpoolConfig } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import { threadEntry } from '../../kit/thread-entry.ts';
import type { EventSink } from '../../telemetry/events.ts';
import { EngineThread } from '../engine-thread.ts';
import { encodeBatch } from './batch-message.ts';
import { type EngineSpool, SpoolCommands } from './commands.ts';
import { type FileSystemOf, prepareFolder } from './file.ts';
import { GroupCommit } from './group-commit.ts';
import type { CommittedReport, Opening, ToSpoolThread } from './protocol.ts';
import { ReportedStats } from './stats.ts';

export interface SqliteSpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers: Timers;
  /** The thread ended without being stopped. Called once. */
  readonly onFailed: (error: ServiceError) => void;
  /** Settings of the journal in the spool's thread, and what it stores with each batch. Default: none. */
  readonly journal?: { readonly settings: object; take(): string } | undefined;
  /** Whether the whole file is checked before use; default false. */
  readonly check?: boolean;
  /** Default: `statfs(2)`. */
  readonly fileSystemOf?: FileSystemOf;
  /** The thread's entry, if it needs another than `spool.worker`: a loader, for example. */
  readonly entry?: URL;
}

/**
 * The spool in one SQLite file, opened by a thread of its own because SQLite's calls block. Commands that arrive during a
 * transaction form the next one, so that many of them share one fsync and one message.
 */
export function createSqliteEngine(config: SpoolConfig, deps: SqliteSpoolDeps): EngineSpool {
  const {
    clock,
    events,
    timers,
    onFailed,
    fileSystemOf,
    journal,
    entry = threadEntry('./spool.worker', import.meta.url),
    check = false,
  } = deps;
  const { path, maxBytes, minFreeBytes } = config;
  const reported = new ReportedStats(events, clock);
  const takeRecords = journal?.take ?? (() => '');
  let thread: EngineThread<ToSpoolThread, CommittedReport> | undefined;

  const group = new GroupCommit({
    clock,
    timers,
    post: (commands, { maintain }) => {
      const batch = { commands: encodeBatch(commands), maintain, now: clock.now(), records: takeRecords() };
      thread?.post({ kind: 'batch', ...batch });
    },
  });
  const commands = new SpoolCommands({ add: (queued) => group.add(queued), onPaused: reported.paused });

  async function start(): Promise<void> {
    prepareFolder(path, fileSystemOf);
    const workerData: Opening = { path, maxBytes, minFreeBytes, check, journal: journal?.settings };
    const resourceLimits = { maxYoungGenerationSizeMb: youngGenerationMb };
    const worker = new Worker(entry, { workerData, name: 'spool', resourceLimits });
    const starting = new EngineThread<ToSpoolThread, CommittedReport>(worker, { onReport: onCommitted, onFailed: failed });
    reported.opened(await starting.opened);
    thread = starting;
    group.startMaintaining();
  }

  async function stop(): Promise<void> {
    await group.drain(new ServiceError('SPOOL_FAILED', `the spool at ${path} is stopped`));
    await thread?.close({ kind: 'close', records: takeRecords() });
    reported.stopped();
  }

  function onCommitted(committed: CommittedReport): void {
    reported.committed(committed);
    group.committed(committed);
  }

  function failed(error: ServiceError): void {
    reported.failed(error.message);
    group.fail(error);
    onFailed(error);
  }

  return { ...createLifecycle({ start, stop }), ...commands, stats: reported.stats };
}

/** Size of the young generation, a third of Node's default: the objects of a batch are garbage when the next one arrives. */
const youngGenerationMb = 16;
