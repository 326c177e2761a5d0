import type { DeliveryId } from '../../../pools/contract.ts';
import type { SpoolConfig } from '../../config/config.ts';
import type { Clock } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createLifecycle } from '../../kit/lifecycle.ts';
import type { Timers } from '../../kit/timers.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { Claimed, DeadLetter, Entry, NewDelivery, Settlement, Spool } from '../spool.ts';
import { createGauge } from './gauge.ts';
import { createGroupCommit } from './group-commit.ts';
import { type FileSystemOf, preparePlace } from './place.ts';
import type { Answers, Committed, DeadCursor, Found, Settled } from './protocol.ts';
import { claimedOf, detailOf, newlyClaimed, rowOf } from './rows.ts';
import { type SpoolThread, startSpoolThread } from './thread.ts';

export interface SqliteSpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers: Timers;
  /** The thread is gone, and not because it was stopped. Called once. */
  readonly onFailed: (error: ServiceError) => void;
  /** How the file system of a folder is told; the system's own answer where it is left out. */
  readonly fileSystemOf?: FileSystemOf;
  /** The file that the thread runs, where it needs another than its own: a loader, perhaps. */
  readonly entry?: URL;
}

/**
 * The spool in one SQLite file, which a thread of its own holds open: SQLite's calls block. Whatever is asked while a
 * transaction is under way makes up the next one, so that many commands share one fsync and one message.
 */
export function createSqliteSpool(config: SpoolConfig, { clock, events, timers, onFailed, fileSystemOf, entry }: SqliteSpoolDeps): Spool {
  const { path, maxBytes, minFreeBytes } = config;
  const gauge = createGauge(events);
  let thread: SpoolThread | undefined;

  const group = createGroupCommit({
    clock,
    timers,
    post: (commands, { beat }) => thread?.post({ kind: 'batch', commands, beat, now: clock.now() }),
  });

  async function start(): Promise<void> {
    preparePlace(path, fileSystemOf);
    thread = await startSpoolThread({ path, maxBytes, minFreeBytes }, { onCommitted, onFailed: failed, entry });
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

  function append({ deliveries, claim, deadLetters, mark }: Entry): Promise<readonly Claimed[]> {
    return group.ask(['append', deliveries.map(rowOf), claim, deadLetters, mark], (answer) => bornClaimed(deliveries, answer));
  }

  function settle({ seq, fate, attempt, spawn, claimNext }: Settlement): ReturnType<Spool['settle']> {
    const decode = (settled: Settled) => {
      if (settled === 'unclaimed') throw new ServiceError('SPOOL_FAILED', `delivery ${seq} is not claimed: it cannot be settled`);
      const [next, readyPools] = settled ?? [undefined, []];
      return { next: next && claimedOf(next), readyPools };
    };
    return fate.kind === 'delivered' && spawn.length === 0
      ? group.ask(['delivered', seq, claimNext], decode)
      : group.ask(['settle', seq, fate, attempt, spawn.map(rowOf), claimNext], decode);
  }

  async function deadLetters({ limit, pool, handler }: Parameters<Spool['deadLetters']>[0]): Promise<readonly DeadLetter[]> {
    const found: DeadLetter[] = [];
    let after: DeadCursor | undefined = [Number.MIN_SAFE_INTEGER, 0];
    while (after !== undefined) {
      const page: Answers['dead-letters'] = await group.ask(
        ['dead-letters', { limit: limit - found.length, pool, handler, after }],
        (answer) => answer,
      );
      found.push(...page.letters);
      after = page.more;
    }
    return found;
  }

  async function findIn(table: 'find-dead' | 'find-owed', host: string, bareJid: string): Promise<readonly DeliveryId[]> {
    const found: DeliveryId[] = [];
    let after: number | undefined = 0;
    while (after !== undefined) {
      const window: Found = await group.ask([table, host, bareJid, after], (answer) => answer);
      found.push(...window.ids);
      after = window.more;
    }
    return found;
  }

  async function purgeDead(diedBefore: number): Promise<number> {
    let removed = 0;
    for (;;) {
      const chunk = await group.ask(['purge', diedBefore], (answer) => answer);
      removed += chunk.removed;
      if (!chunk.more) return removed;
    }
  }

  return {
    ...createLifecycle({ start, stop }),
    append,
    claim: (pool, { limit, bytes, now }) =>
      group.ask(['claim', pool, limit, bytes, now], ([rows, nextAt]) => ({ claimed: rows.map(claimedOf), nextAt })),
    settle,
    marks: () => group.ask(['marks'], (marks) => marks),
    deadLetters,
    deadLetter: (id) => group.ask(['dead-letter', id], (row) => row && detailOf(row)),
    findByJid: async (host, bareJid) => [
      ...(await findIn('find-owed', host, bareJid)),
      ...(await findIn('find-dead', host, bareJid)), // last: what dies meanwhile is found twice rather than not at all
    ],
    purgeDead,
    stats: gauge.stats,
  };
}

/** Those that were claimed at birth, made of what was handed over: nothing need be read. */
function bornClaimed(deliveries: readonly NewDelivery[], answer: Answers['append']): readonly Claimed[] {
  return deliveries.flatMap((delivery, index) => {
    const seq = (typeof answer === 'number' ? answer : answer[index]) ?? 0;
    return seq === 0 ? [] : newlyClaimed(delivery, seq);
  });
}
