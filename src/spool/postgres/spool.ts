import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { PostgresConfig } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, createLifecycle } from '../../kit/lifecycle.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { HistorySpan } from '../history/record.ts';
import type { Spool } from '../spool.ts';
import { encodeBatch } from '../sqlite/batch-message.ts';
import { SpoolCommands } from '../sqlite/commands.ts';
import { GroupCommit } from '../sqlite/group-commit.ts';
import type { Opened } from '../sqlite/protocol.ts';
import { ReportedStats } from '../sqlite/stats.ts';
import { OperatorCalls } from './operator-calls.ts';
import { type FromThread, type HistoryLimits, type Opening, openingOf, type ToThread } from './protocol.ts';

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
export function createPostgresSpool(config: PostgresConfig, deps: PostgresSpoolDeps): Spool {
  const { clock, events, timers, onFailed, journal, entry = threadEntry() } = deps;
  const opening = { ...openingOf(config), history: journal?.settings, queryTimeoutMs: deps.queryTimeoutMs };
  const takeRecords = journal?.take ?? (() => '');
  const reported = new ReportedStats(events, clock);
  const stopped = new ServiceError('SPOOL_FAILED', `the spool in PostgreSQL at ${opening.address} is stopped`);
  let thread: EngineThread | undefined;
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
  const calls = new OperatorCalls((queued) => group.add(queued), timers);
  const commands = new SpoolCommands({ add: calls.add, events, onPaused: reported.paused });

  async function start(): Promise<void> {
    const starting = new EngineThread(entry, opening, { onCommitted, onStalled, onFailed: failed });
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
    await thread?.close(isStalled ? '' : takeRecords()); // without a connection the last records are lost
    reported.stopped();
  }

  function giveUpLater(): void {
    cancelGiveUp ??= timers.after(stalledStopMs, () => group.fail(stopped));
  }

  function onCommitted({ history, ...committed }: CommittedWithHistory): void {
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

type CommittedWithHistory = Omit<Extract<FromThread, { kind: 'committed' }>, 'kind'>;

interface ThreadListener {
  onCommitted(committed: CommittedWithHistory): void;
  onStalled(reason: string): void;
  /** The thread ended without being closed. Called once, and only after it has opened the spool. */
  onFailed(error: ServiceError): void;
}

/** The thread that owns the connection. Phases: opening → open → closing → ended; an error ends it in any phase. */
class EngineThread {
  readonly #worker: Worker;
  readonly #listener: ThreadListener;
  readonly #opened = createDeferred<Opened>();
  readonly #ended = createDeferred<void>();
  #phase: 'closing' | 'ended' | 'open' | 'opening' = 'opening';

  constructor(entry: URL, opening: Opening, listener: ThreadListener) {
    this.#listener = listener;
    this.#worker = new Worker(entry, { workerData: opening, name: 'spool' });
    this.#worker.on('message', (message: FromThread) => this.#receive(message));
    this.#worker.on('error', (cause) => {
      this.#end(new ServiceError('SPOOL_FAILED', `the spool's thread failed: ${cause.message}`, { cause }));
    });
    this.#worker.on('exit', (code) => {
      this.#end(new ServiceError('SPOOL_FAILED', `the spool's thread ended by itself (code ${code})`));
      this.#ended.resolve();
    });
  }

  /** Rejects with the thread's error, with its code, if the spool cannot be opened. */
  get opened(): Promise<Opened> {
    return this.#opened.promise;
  }

  post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  /** Resolves when the thread has ended. */
  async close(records: string): Promise<void> {
    if (this.#phase === 'open') {
      this.#phase = 'closing';
      this.post({ kind: 'close', records });
    }
    await this.#ended.promise;
  }

  #receive(message: FromThread): void {
    switch (message.kind) {
      case 'opened':
        this.#phase = 'open';
        this.#opened.resolve(message);
        break;
      case 'failed':
        this.#end(new ServiceError(message.code, message.message));
        break;
      case 'stalled':
        if (this.#phase === 'open') this.#listener.onStalled(message.reason);
        break;
      case 'committed':
        this.#listener.onCommitted(message);
        break;
      default:
        message satisfies never;
    }
  }

  #end(error: ServiceError): void {
    const before = this.#phase;
    this.#phase = 'ended';
    if (before === 'opening') this.#opened.reject(error);
    if (before === 'open') this.#listener.onFailed(error);
  }
}

/** A .ts file in a checkout, a .js file in the build. */
function threadEntry(): URL {
  return new URL(`./spool.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}
