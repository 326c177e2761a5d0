/**
 * Runs the service in its own thread and supervises it from the main thread:
 *
 *   starting → running → stopping → stopped
 *      ↓          ↓ failed, died, blocked by a callback, or a new configuration requires a restart
 *    failed    starting again (after a pause that doubles while it keeps failing; meanwhile /readyz gives the reason)
 *
 * A thread instead of a process: it ends with this process, even after `kill -9`, and a thread blocked by a callback can
 * still be ended from outside. The spool keeps its guarantees in both cases.
 */

import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { LogLevel } from '../config/service-config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { type ErrorCode, loggable, ServiceError, toError } from '../kit/errors.ts';
import { createIdSource } from '../kit/ids.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import { type Backoff, type Random, Restarter } from '../kit/pacing.ts';
import { threadEntry } from '../kit/thread-entry.ts';
import type { ReloadCounts, ReloadResult } from '../service.ts';
import { createWatchMemory, type RunningCallback, runningCallback, type Strike } from './shared-watch.ts';
import { type Address, StandIn } from './stand-in.ts';

interface SupervisorOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  /** Called when the thread has to be replaced, with the reason. */
  readonly onTrouble: (trouble: Trouble) => void;
  /** Called with the log level of each configuration that runs. */
  readonly onConfigured?: (logLevel: LogLevel) => void;
}

export type Trouble =
  | { readonly kind: 'blocked'; readonly handler: string; readonly packetKey: string; readonly strikes: number; readonly blockedMs: number }
  | { readonly kind: 'failed'; readonly message: string; readonly restartInMs: number };

/** The data of a new service thread. */
export interface ServiceThreadData {
  readonly file: string;
  /** Identifies this process to chat servers. */
  readonly instance: string;
  readonly watchMemory: SharedArrayBuffer;
  readonly strikes: readonly Strike[];
  /** Reloads of the previous threads. */
  readonly reloads: ReloadCounts;
  /** Whether the previous thread found the spool damaged. */
  readonly checkSpool: boolean;
}

/** Supervisor → service thread: the admin address is free, respond with a pong, reload the file, or stop gracefully. */
export interface ToServiceThread {
  readonly kind: 'listen' | 'ping' | 'reload' | 'stop';
}

/** Service thread → supervisor. */
export type FromServiceThread =
  /** A configuration is in use, after the start or a reload. */
  | {
      readonly kind: 'configured';
      /** Handlers that may be called. */
      readonly handlers: readonly string[];
      readonly blockTimeoutMs: number;
      readonly logLevel: LogLevel;
      readonly admin: Address;
    }
  /** The thread is about to open the admin listener and waits for `listen`. */
  | { readonly kind: 'listening' }
  /** Response to a ping. */
  | { readonly kind: 'pong' }
  /** All parts run; attachments may still be connecting. */
  | { readonly kind: 'started' }
  /** A reload has ended; `restart` requires a new thread. */
  | { readonly kind: 'reloaded'; readonly result: ReloadResult }
  /** The service could not start, or cannot continue. */
  | ({ readonly kind: 'failed' } & Failure);

interface Failure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

const restartBackoff: Backoff = { firstMs: 500, capMs: 30_000, jitter: 0.2 };
/** A service that has run this long counts as a success: the next pause is the first one again. */
const provenAfterMs = 60_000;
/** Failures that an operator can fix while the process runs; any other failure of the first start ends the process. */
const curable: ReadonlySet<ErrorCode> = new Set(['SPOOL_DAMAGED', 'SPOOL_FAILED', 'SPOOL_FULL']);
const watchEveryMs = 250;
/** The objects of a packet live for some ms: in a young generation of this size the collector copies hardly any of them. */
const youngGenerationMb = 32;
/** The service, SQLite, and two pool threads. */
const threadsUnderLoad = 4;

interface ServiceThread {
  started: boolean;
  readonly worker: Worker;
  readonly memory: SharedArrayBuffer;
  readonly gone: Promise<void>;
  /** The ping without a response. */
  ping: Deferred<void> | undefined;
  handlers: readonly string[];
  blockTimeoutMs: number;
  /** The callback that ran at the last check, and since when. */
  inside: { readonly call: number; readonly since: number } | undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #instance: string;
  readonly #standIn: StandIn;
  readonly #restarter: Restarter;
  readonly #strikes = new Map<string, Strike>();
  readonly #reloads: Record<ReloadResult, number> = { applied: 0, refused: 0, restart: 0 };
  /** All workers that have not ended. */
  readonly #workers = new Set<Worker>();
  #adminAddress: Address | undefined;
  #checkSpool = false;
  #thread: ServiceThread | undefined;
  #isStopping = false;
  #cancelWatch: () => void = () => undefined;
  #isRestartPending = false;
  #replaced: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#instance = createIdSource(options.clock)();
    this.#standIn = new StandIn({ clock: options.clock, timers: options.timers });
    this.#restarter = new Restarter({ ...options, provenAfterMs, restart: () => this.#relaunch() });
  }

  /** Resolves when the service runs, or waits for a restart because its spool is unusable; rejects if it cannot run. */
  async start(): Promise<void> {
    setFlagsFromString(collectorSettings());
    await this.#launch().catch((error: ServiceError) => {
      if (!curable.has(error.code)) throw error;
      this.#startLater(error);
    });
    this.#watch();
  }

  /** Makes the service reload its file. A service that waits for a restart is started now. */
  reload(): void {
    if (this.#thread !== undefined) post(this.#thread, { kind: 'reload' });
    if (!this.#isRestartPending) return;
    this.#restarter.cancel();
    this.#relaunch();
  }

  /**
   * Resolves when the service thread has responded or ended, and at once while none runs: a service that waits for its restart is not
   * cured by ending the process.
   */
  async responds(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    thread.ping ??= createDeferred();
    post(thread, { kind: 'ping' });
    await thread.ping.promise;
  }

  /** Resolves when the service has stopped gracefully. */
  async stop(): Promise<void> {
    this.#cancelAll();
    await Promise.all([this.#replaced, end(this.#thread), this.#standIn.close()]);
  }

  /** Ends the threads immediately; resolves when they have ended. A thread that is blocked in native code never ends. */
  async kill(): Promise<void> {
    this.#cancelAll();
    await Promise.all(Array.from(this.#workers, (worker) => worker.terminate()));
  }

  #launch(): Promise<void> {
    this.#restarter.running();
    const memory = createWatchMemory();
    const workerData: ServiceThreadData = {
      ...{ file: this.#options.file, instance: this.#instance, watchMemory: memory, strikes: [...this.#strikes.values()] },
      ...{ reloads: this.#reloads, checkSpool: this.#checkSpool },
    };
    const worker = new Worker(threadEntry('./service.worker', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    });
    const started = createDeferred<void>();
    const gone = createDeferred<void>();
    const state = { handlers: [], blockTimeoutMs: Number.POSITIVE_INFINITY, inside: undefined, ping: undefined, started: false };
    const thread: ServiceThread = { worker, memory, gone: gone.promise, ...state };
    this.#workers.add(worker);
    this.#thread = thread;

    const failed = (failure: Failure) => this.#failed(thread, failure, started.reject);
    worker.on('message', (message: FromServiceThread) => this.#received(thread, message, started));
    worker.on('error', (error) => failed({ code: undefined, message: loggable(toError(error), 'stack') }));
    worker.on('exit', (code) => {
      this.#workers.delete(worker);
      gone.resolve();
      answerPing(thread);
      failed({ code: undefined, message: `the service thread ended with code ${code}` });
    });
    return started.promise;
  }

  #received(thread: ServiceThread, message: FromServiceThread, started: Deferred<void>): void {
    switch (message.kind) {
      case 'configured':
        thread.handlers = message.handlers;
        thread.blockTimeoutMs = message.blockTimeoutMs;
        this.#adminAddress = message.admin;
        return this.#options.onConfigured?.(message.logLevel);
      case 'listening':
        return void this.#standIn.close().then(() => post(thread, { kind: 'listen' }));
      case 'pong':
        return answerPing(thread);
      case 'started':
        thread.started = true;
        return started.resolve();
      case 'reloaded':
        this.#reloads[message.result] += 1;
        if (message.result === 'restart' && thread === this.#thread) this.#replace(thread);
        return;
      case 'failed':
        return this.#failed(thread, message, started.reject);
      default:
        message satisfies never;
    }
  }

  /** Only the first failure of a thread counts. If the thread never started, the caller of `#launch` decides. */
  #failed(thread: ServiceThread, failure: Failure, rejectStart: (error: Error) => void): void {
    if (thread !== this.#thread || this.#isStopping) return;
    this.#thread = undefined;
    const ended = thread.worker.terminate();
    const error = new ServiceError(failure.code ?? 'SERVICE_FAILED', failure.message);
    if (!thread.started) return rejectStart(error);
    void ended.then(() => this.#startLater(error));
  }

  #startLater({ code, message }: ServiceError): void {
    if (this.#isStopping) return;
    this.#checkSpool = code === 'SPOOL_DAMAGED';
    const restartInMs = this.#restarter.schedule(restartBackoff);
    this.#options.onTrouble({ kind: 'failed', message, restartInMs });
    if (this.#adminAddress !== undefined) this.#standIn.show(this.#adminAddress, message);
    this.#isRestartPending = true;
  }

  #relaunch(): void {
    this.#isRestartPending = false;
    if (this.#isStopping) return;
    this.#launch().catch((error: ServiceError) => this.#startLater(error));
  }

  /** Replaces a thread that one callback has blocked for too long. */
  #watch(): void {
    const { clock, timers } = this.#options;
    this.#cancelWatch = timers.after(watchEveryMs, () => this.#watch());
    const thread = this.#thread;
    if (thread === undefined) return;
    const running = runningCallback(thread.memory, thread.handlers);
    if (running === undefined || running.call !== thread.inside?.call) {
      thread.inside = running === undefined ? undefined : { call: running.call, since: clock.monotonic() };
      return;
    }
    const blockedMs = clock.monotonic() - thread.inside.since;
    if (blockedMs >= thread.blockTimeoutMs) this.#strike(thread, running, blockedMs);
  }

  #strike(blocked: ServiceThread, { handler, packetKey }: RunningCallback, blockedMs: number): void {
    const name = `${handler}\n${packetKey}`;
    const count = (this.#strikes.get(name)?.count ?? 0) + 1;
    this.#strikes.set(name, { handler, packetKey, count });
    this.#options.onTrouble({ kind: 'blocked', handler, packetKey, strikes: count, blockedMs: Math.round(blockedMs) });
    this.#thread = undefined;
    void blocked.worker.terminate().then(() => this.#relaunch());
  }

  /** The old thread stops gracefully first: it holds the spool, the admin listener and the component. */
  #replace(old: ServiceThread): void {
    this.#thread = undefined;
    this.#replaced = end(old);
    void this.#replaced.then(() => this.#relaunch());
  }

  #cancelAll(): void {
    this.#isStopping = true;
    this.#restarter.cancel();
    this.#cancelWatch();
  }
}

async function end(thread: ServiceThread | undefined): Promise<void> {
  if (thread !== undefined) post(thread, { kind: 'stop' });
  await thread?.gone;
}

function answerPing(thread: ServiceThread): void {
  thread.ping?.resolve();
  thread.ping = undefined;
}

function post(thread: ServiceThread, message: ToServiceThread): void {
  thread.worker.postMessage(message);
}

/**
 * Settings of V8 for the threads that start from now on.
 *
 * `--min-semi-space-size`: half of the young generation at the start, MB. V8 begins with 1 and grows it only when much survives; at full
 * speed 8 nearly halved the number of collections, and took no more memory than the threads come to have anyway.
 *
 * `--no-parallel-scavenge`: a thread collects its young generation alone. Helpers shorten that if cores are idle. With as many busy
 * threads as cores, waking them took more CPU, and the collections took as long.
 */
function collectorSettings(): string {
  const isEachCoreBusy = availableParallelism() <= threadsUnderLoad;
  return `--min-semi-space-size=8${isEachCoreBusy ? ' --no-parallel-scavenge' : ''}`;
}
