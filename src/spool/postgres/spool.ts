import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { PostgresConfig } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, createLifecycle } from '../../kit/lifecycle.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { Spool } from '../spool.ts';
import { encodeBatch } from '../sqlite/batch-message.ts';
import { SpoolCommands } from '../sqlite/commands.ts';
import { GroupCommit } from '../sqlite/group-commit.ts';
import type { Committed, Opened } from '../sqlite/protocol.ts';
import { ReportedStats } from '../sqlite/stats.ts';
import type { FromThread, Opening, ToThread } from './protocol.ts';

export interface PostgresSpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers: Timers;
  /** The thread ended without being stopped. Called once. */
  readonly onFailed: (error: ServiceError) => void;
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
  const { clock, events, timers, onFailed, entry = threadEntry() } = deps;
  const opening = openingOf(config);
  const reported = new ReportedStats(events, clock);
  const stopped = new ServiceError('SPOOL_FAILED', `the spool in PostgreSQL at ${opening.address} is stopped`);
  let thread: EngineThread | undefined;
  let isStalled = false;
  let isStopping = false;
  let cancelGiveUp: (() => void) | undefined;

  const group = new GroupCommit({
    clock,
    timers,
    post: (commands, { maintain }) => thread?.post({ kind: 'batch', commands: encodeBatch(commands), maintain, now: clock.now() }),
  });
  const commands = new SpoolCommands({ add: (queued) => group.add(queued), events, onPaused: reported.paused });

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
    cancelGiveUp?.();
    await thread?.close();
    reported.stopped();
  }

  function giveUpLater(): void {
    cancelGiveUp ??= timers.after(stalledStopMs, () => group.fail(stopped));
  }

  function onCommitted(committed: Committed): void {
    isStalled = false;
    cancelGiveUp?.();
    cancelGiveUp = undefined;
    reported.committed(committed);
    group.committed(committed);
  }

  function onStalled(reason: string): void {
    isStalled = true;
    reported.failed(reason);
    if (isStopping) giveUpLater();
  }

  function failed(error: ServiceError): void {
    reported.failed(error.message);
    group.fail(error);
    onFailed(error);
  }

  return { ...createLifecycle({ start, stop }), ...commands, stats: reported.stats };
}

/** The address is the URL without user, password and options. */
function openingOf({ url, schema }: PostgresConfig): Opening {
  const { host, pathname } = new URL(url.reveal());
  return { url: url.reveal(), address: `${host}${pathname}`, schema };
}

interface ThreadListener {
  onCommitted(committed: Committed): void;
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
  async close(): Promise<void> {
    if (this.#phase === 'open') {
      this.#phase = 'closing';
      this.post({ kind: 'close' });
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
