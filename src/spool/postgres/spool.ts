import { Worker } from 'node:worker_threads';
import type { PostgresConfig } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import { threadEntry } from '../../kit/thread-entry.ts';
import type { EventSink } from '../../telemetry/events.ts';
import { EngineThread } from '../engine-thread.ts';
import type { HistorySpan } from '../history/record.ts';
import { encodeBatch } from '../sqlite/batch-message.ts';
import { type EngineSpool, SpoolCommands } from '../sqlite/commands.ts';
import { GroupCommit } from '../sqlite/group-commit.ts';
import { ReportedStats } from '../sqlite/stats.ts';
import { BoundedCalls } from './bounded-calls.ts';
import { type CommittedReport, type HistoryLimits, openingOf, type Report, type ToThread } from './protocol.ts';

export interface PostgresSpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers: Timers;
  /** The thread ended without being stopped. Called once. */
  readonly onFailed: (error: ServiceError) => void;
  /** The limits of the history, what it stores with each batch, and who is told the span that it holds. Default: none. */
  readonly journal?: { readonly settings: HistoryLimits; take(): string; note(span: HistorySpan): void } | undefined;
  /** See {@link Opening}. */
  readonly queryTimeoutMs?: number;
  /** The thread's entry, if it needs another than `spool.worker`: a loader, for example. */
  readonly entry?: URL;
}

/** How long a stop waits for a lost connection, ms. Afterwards the calls that wait fail; none of them was acknowledged. */
export const stalledStopMs = 5000;

/**
 * The spool in one schema of a PostgreSQL database, which this process alone uses. As with SQLite, a thread of its own writes, and commands
 * that arrive during a transaction form the next one. While there is no connection, all calls wait, and `stats` gives the reason.
 */
export function createPostgresEngine(config: PostgresConfig, deps: PostgresSpoolDeps): EngineSpool {
  const { clock, events, timers, onFailed, journal, entry = threadEntry('./spool.worker', import.meta.url) } = deps;
  const opening = { ...openingOf(config), history: journal?.settings, queryTimeoutMs: deps.queryTimeoutMs };
  const takeRecords = journal?.take ?? (() => '');
  const reported = new ReportedStats(events, clock);
  const stopped = new ServiceError('SPOOL_FAILED', `the spool in PostgreSQL at ${opening.address} is stopped`);
  let thread: EngineThread<ToThread, Report> | undefined;
  let isStalled = false;
  let isStopping = false;
  let cancelGiveUp: (() => void) | undefined;

  const group = new GroupCommit({
    clock,
    timers,
    post: (commands, { maintain }) => {
      thread?.post({ kind: 'batch', commands: encodeBatch(commands), maintain, now: clock.now(), records: takeRecords() });
    },
  });
  const calls = new BoundedCalls((queued) => group.add(queued), timers);
  const commands = new SpoolCommands({ add: calls.add, onPaused: reported.paused });

  async function start(): Promise<void> {
    const worker = new Worker(entry, { workerData: opening, name: 'spool' });
    const starting = new EngineThread<ToThread, Report>(worker, { onReport, onFailed: failed });
    reported.opened(await starting.opened);
    thread = starting;
    group.startMaintaining();
  }

  async function stop(): Promise<void> {
    isStopping = true;
    if (isStalled) giveUpLater();
    await group.drain(stopped);
    calls.fail(stopped);
    cancelGiveUp?.();
    await thread?.close({ kind: 'close', records: isStalled ? '' : takeRecords() }); // without a connection the last records are lost
    reported.stopped();
  }

  function giveUpLater(): void {
    cancelGiveUp ??= timers.after(stalledStopMs, () => group.fail(stopped));
  }

  function onReport(report: Report): void {
    if (report.kind === 'stalled') onStalled(report.reason);
    else onCommitted(report);
  }

  function onCommitted({ history, ...committed }: CommittedReport): void {
    if (history !== undefined) journal?.note(history);
    isStalled = false;
    cancelGiveUp?.();
    cancelGiveUp = undefined;
    reported.committed(committed);
    group.committed(committed);
    calls.available();
  }

  function onStalled(reason: string): void {
    isStalled = true;
    reported.failed(reason);
    calls.unavailable(reason);
    if (isStopping) giveUpLater();
  }

  function failed(error: ServiceError): void {
    reported.failed(error.message);
    group.fail(error);
    calls.fail(error);
    onFailed(error);
  }

  return { ...createLifecycle({ start, stop }), ...commands, stats: reported.stats };
}
