import type { SpoolConfig } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { Claimed, NewDelivery } from '../../model/delivery.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { Entry, Settlement, Spool } from '../spool.ts';
import { createGauge } from './gauge.ts';
import { createGroupCommit } from './group-commit.ts';
import { createLongTasks } from './long-tasks.ts';
import { type FileSystemOf, preparePlace } from './place.ts';
import type { Committed, Seqs, Settled } from './protocol.ts';
import { claimedOf, detailOf, newlyClaimed, rowOf } from './rows.ts';
import { type SpoolThread, startSpoolThread } from './thread.ts';

export interface SqliteSpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers: Timers;
  /** The thread is gone, and not because it was stopped. Called once. */
  readonly onFailed: (error: ServiceError) => void;
  /** Whether the whole file is checked before use; default false. */
  readonly check?: boolean;
  /** How the file system of a folder is told; the system's own answer where it is left out. */
  readonly fileSystemOf?: FileSystemOf;
  /** The file that the thread runs, where it needs another than its own: a loader, perhaps. */
  readonly entry?: URL;
}

/**
 * The spool in one SQLite file, which a thread of its own holds open: SQLite's calls block. Whatever is asked while a
 * transaction is under way makes up the next one, so that many commands share one fsync and one message.
 */
export function createSqliteSpool(config: SpoolConfig, deps: SqliteSpoolDeps): Spool {
  const { clock, events, timers, onFailed, fileSystemOf, entry, check = false } = deps;
  const { path, maxBytes, minFreeBytes } = config;
  const gauge = createGauge(events, clock);
  let thread: SpoolThread | undefined;

  const group = createGroupCommit({
    clock,
    timers,
    post: (commands, { beat }) => thread?.post({ kind: 'batch', commands, beat, now: clock.now() }),
  });

  async function start(): Promise<void> {
    preparePlace(path, fileSystemOf);
    thread = await startSpoolThread({ path, maxBytes, minFreeBytes, check }, { onCommitted, onFailed: failed, entry });
    gauge.opened(thread.opened);
    group.startBeating();
  }

  async function stop(): Promise<void> {
    await group.drain(new ServiceError('SPOOL_FAILED', `the spool at ${path} is stopped`));
    await thread?.close();
    gauge.stopped();
  }

  function onCommitted(committed: Committed): void {
    gauge.committed(committed);
    group.landed(committed);
  }

  function failed(error: ServiceError): void {
    gauge.failed(error.message);
    group.fail(error);
    onFailed(error);
  }

  function append({ deliveries, claim, deadLetters, mark, refused, revives }: Entry): Promise<readonly Claimed[]> {
    const decode = (seqs: Seqs) => bornClaimed(deliveries, seqs);
    const rows = deliveries.map(rowOf);
    if (refused.length === 0 && revives === undefined) return group.ask(['append', rows, claim, deadLetters, mark], decode);
    const refusedRows = refused.map(({ delivery, reason, detail }) => [rowOf(delivery), reason, detail] as const);
    return group.ask(['append-and-bury', rows, claim, deadLetters, mark, refusedRows, revives], decode);
  }

  function settle({ seq, disposition, attempt, spawn, failedPackets, claimNext }: Settlement): ReturnType<Spool['settle']> {
    const decode = (settled: Settled) => {
      if (settled === 'unclaimed') throw new ServiceError('SPOOL_FAILED', `delivery ${seq} is not claimed: it cannot be settled`);
      const [next, readyPools] = settled ?? [undefined, []];
      return { next: next && claimedOf(next), readyPools };
    };
    return disposition.kind === 'delivered' && spawn.length === 0 && failedPackets.length === 0
      ? group.ask(['delivered', seq, claimNext], decode)
      : group.ask(['settle', seq, { disposition, attempt, spawn: spawn.map(rowOf), failedPackets, claimNext }], decode);
  }

  return {
    ...createLifecycle({ start, stop }),
    append,
    claim: (pool, wanted) => group.ask(['claim', pool, wanted], ([rows, nextAt]) => ({ claimed: rows.map(claimedOf), nextAt })),
    settle,
    marks: () => group.ask(['marks'], (marks) => marks),
    deadLetter: (id) => group.ask(['dead-letter', id], (row) => row && detailOf(row)),
    setPaused: (pool, paused) => group.ask([paused ? 'pause' : 'resume', pool], gauge.paused),
    ...createLongTasks(group.ask, events),
    stats: gauge.stats,
  };
}

/** Those that were claimed at birth, made of what was handed over: nothing need be read. */
function bornClaimed(deliveries: readonly NewDelivery[], seqs: Seqs): readonly Claimed[] {
  return deliveries.flatMap((delivery, index) => {
    const seq = (typeof seqs === 'number' ? seqs : seqs[index]) ?? 0;
    return seq === 0 ? [] : newlyClaimed(delivery, seq);
  });
}
