import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { SpoolConfig } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, createLifecycle } from '../../kit/lifecycle.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { Spool } from '../spool.ts';
import { encodeBatch } from './batch-message.ts';
import { SpoolCommands } from './commands.ts';
import { type FileSystemOf, prepareFolder } from './file.ts';
import { GroupCommit } from './group-commit.ts';
import type { Committed, FromSpoolThread, Opened, Opening, ToSpoolThread } from './protocol.ts';
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
export function createSqliteSpool(config: SpoolConfig, deps: SqliteSpoolDeps): Spool {
  const { clock, events, timers, onFailed, fileSystemOf, journal, entry = threadEntry(), check = false } = deps;
  const { path, maxBytes, minFreeBytes } = config;
  const reported = new ReportedStats(events, clock);
  const takeRecords = journal?.take ?? (() => '');
  let thread: SpoolThread | undefined;

  const group = new GroupCommit({
    clock,
    timers,
    post: (commands, { maintain }) => {
      const batch = { commands: encodeBatch(commands), maintain, now: clock.now(), records: takeRecords() };
      thread?.post({ kind: 'batch', ...batch });
    },
  });
  const commands = new SpoolCommands({ add: (queued) => group.add(queued), events, onPaused: reported.paused });

  async function start(): Promise<void> {
    prepareFolder(path, fileSystemOf);
    const starting = new SpoolThread(
      entry,
      { path, maxBytes, minFreeBytes, check, journal: journal?.settings },
      { onCommitted, onFailed: failed },
    );
    reported.opened(await starting.opened);
    thread = starting;
    group.startMaintaining();
  }

  async function stop(): Promise<void> {
    await group.drain(new ServiceError('SPOOL_FAILED', `the spool at ${path} is stopped`));
    await thread?.close(takeRecords());
    reported.stopped();
  }

  function onCommitted(committed: Committed): void {
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

interface ThreadListener {
  onCommitted(committed: Committed): void;
  /** The thread ended without being closed. Called once, and only after it has opened the spool. */
  onFailed(error: ServiceError): void;
}

/** The thread that owns the spool's file. Phases: opening → open → closing → ended; an error ends it in any phase. */
class SpoolThread {
  readonly #worker: Worker;
  readonly #listener: ThreadListener;
  readonly #opened = createDeferred<Opened>();
  readonly #ended = createDeferred<void>();
  #phase: 'closing' | 'ended' | 'open' | 'opening' = 'opening';

  constructor(entry: URL, opening: Opening, listener: ThreadListener) {
    this.#listener = listener;
    this.#worker = new Worker(entry, {
      workerData: opening,
      name: 'spool',
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    });
    this.#worker.on('message', (message: FromSpoolThread) => this.#receive(message));
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

  post(message: ToSpoolThread): void {
    this.#worker.postMessage(message);
  }

  /** Resolves when the file is closed and the thread has ended. */
  async close(records: string): Promise<void> {
    if (this.#phase === 'open') {
      this.#phase = 'closing';
      this.post({ kind: 'close', records });
    }
    await this.#ended.promise;
  }

  #receive(message: FromSpoolThread): void {
    switch (message.kind) {
      case 'opened':
        this.#phase = 'open';
        this.#opened.resolve(message);
        break;
      case 'failed':
        this.#end(new ServiceError(message.code, message.message));
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
