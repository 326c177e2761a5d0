/**
 * Runs the service in a thread of its own and looks after it from the main thread:
 *
 *   starting → running → stopping → stopped
 *      ↓          ↓ failed, died, blocked by a callback, or asked for a configuration that it cannot take while it runs
 *    failed    starting again (after a wait that doubles while it keeps failing; meanwhile /readyz says why)
 *
 * A thread, not a process: it ends with us whatever ends us, even `kill -9`, and a thread that a callback blocks for
 * ever can still be ended from outside. What the spool has promised survives either way.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { LogLevel } from '../config/config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { type ErrorCode, loggable, ServiceError, toError } from '../kit/errors.ts';
import { createIdSource } from '../kit/ids.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import { type Backoff, backoffMs, type Random } from '../kit/pacing.ts';
import type { ReloadResult } from '../service.ts';
import type { FromServiceThread, ServiceThreadData, ToServiceThread } from './messages.ts';
import { createWatchMemory, lookInside, type Strike } from './shared-watch.ts';
import { type Address, StandIn } from './stand-in.ts';

export interface SupervisorOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  /** Told when the thread has to be replaced, and why. */
  readonly onTrouble: (trouble: Trouble) => void;
  /** Told the log level of each configuration that runs. */
  readonly onConfigured?: (logLevel: LogLevel) => void;
}

export type Trouble =
  | { readonly kind: 'blocked'; readonly handler: string; readonly packetKey: string; readonly strikes: number; readonly blockedMs: number }
  | { readonly kind: 'failed'; readonly message: string; readonly restartInMs: number };

export interface Supervisor {
  /** Resolves when the service runs, or waits for a restart because its spool is unusable; rejects if it cannot run. */
  start(): Promise<void>;
  /** Has the service read its file anew. A service that waits to be started again is started now. */
  reload(): void;
  /** Resolves when the service has stopped gracefully. */
  stop(): Promise<void>;
  /** Ends the threads at once; resolves when they have ended. A thread that is blocked in native code never ends. */
  kill(): Promise<void>;
}

const restartBackoff: Backoff = { firstMs: 500, capMs: 30_000, jitter: 0.2 };
/** A service that has lasted this long was a success: the next wait starts small again. */
const provenAfterMs = 60_000;
/** Failures that an operator can fix while the process runs; any other failure of the first start ends the process. */
const curable: ReadonlySet<ErrorCode> = new Set(['SPOOL_DAMAGED', 'SPOOL_FAILED', 'SPOOL_FULL']);
const lookEveryMs = 250;
/** What a packet leaves behind lives for some ms: with room for that, hardly any of it is ever copied by the collector. */
const youngGenerationMb = 64;

interface Failure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

interface ServiceThread {
  started: boolean;
  readonly worker: Worker;
  readonly memory: SharedArrayBuffer;
  readonly gone: Promise<void>;
  handlers: readonly string[];
  blockTimeoutMs: number;
  /** The callback it was inside of at the last look, and since when. */
  inside: { readonly call: number; readonly since: number } | undefined;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { file, clock, timers, random, onConfigured = () => undefined } = options;
  const instance = createIdSource(clock)();
  const strikes = new Map<string, Strike>();
  const reloads: Record<ReloadResult, number> = { applied: 0, refused: 0, restart: 0 };
  const workers = new Set<Worker>();
  const standIn = new StandIn({ clock, timers });
  let address: Address | undefined;
  let checkSpool = false;
  let thread: ServiceThread | undefined;
  let stopping = false;
  let failures = 0;
  let launchedAt = 0;
  let callOffLook: () => void = () => undefined;
  let callOffRestart: () => void = () => undefined;
  let waiting = false;
  let ending: Promise<void> = Promise.resolve();

  function launch(): Promise<void> {
    launchedAt = clock.monotonic();
    const started = createDeferred<void>();
    const memory = createWatchMemory();
    const data: ServiceThreadData = { file, instance, watchMemory: memory, strikes: [...strikes.values()], reloads, checkSpool };
    const worker = new Worker(entryUrl(), { workerData: data, resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb } });
    workers.add(worker);
    const gone = createDeferred<void>();
    const launched: ServiceThread = {
      worker,
      memory,
      gone: gone.promise,
      handlers: [],
      blockTimeoutMs: Number.POSITIVE_INFINITY,
      inside: undefined,
      started: false,
    };
    thread = launched;

    worker.on('message', (message: FromServiceThread) => heard(launched, message, started));
    worker.on('error', (error) => failed(launched, { code: undefined, message: loggable(toError(error), 'stack') }, started.reject));
    worker.on('exit', (code) => {
      workers.delete(worker);
      gone.resolve();
      failed(launched, { code: undefined, message: `the service thread ended with code ${code}` }, started.reject);
    });
    return started.promise;
  }

  function heard(who: ServiceThread, message: FromServiceThread, started: Deferred<void>): void {
    switch (message.kind) {
      case 'configured':
        who.handlers = message.handlers;
        who.blockTimeoutMs = message.blockTimeoutMs;
        address = message.admin;
        return onConfigured(message.logLevel);
      case 'listening':
        return void standIn.close().then(() => tell(who, { kind: 'listen' }));
      case 'started':
        who.started = true;
        return started.resolve();
      case 'reloaded':
        reloads[message.result] += 1;
        if (message.result === 'restart' && who === thread) replace(who);
        return;
      case 'failed':
        return failed(who, message, started.reject);
      default:
        message satisfies never;
    }
  }

  /** Of a thread's several last words only the first counts. A thread that never started is the caller's to judge. */
  function failed(who: ServiceThread, failure: Failure, rejectStart: (error: Error) => void): void {
    if (who !== thread || stopping) return;
    thread = undefined;
    const ended = who.worker.terminate();
    const error = new ServiceError(failure.code ?? 'SERVICE_FAILED', failure.message);
    if (!who.started) return rejectStart(error);
    void ended.then(() => startLater(error));
  }

  function startLater({ code, message }: ServiceError): void {
    if (stopping) return;
    checkSpool = code === 'SPOOL_DAMAGED';
    failures = clock.monotonic() - launchedAt >= provenAfterMs ? 1 : failures + 1;
    const restartInMs = backoffMs(restartBackoff, failures, random);
    options.onTrouble({ kind: 'failed', message, restartInMs });
    if (address !== undefined) standIn.show(address, message);
    waiting = true;
    callOffRestart = timers.after(restartInMs, relaunch);
  }

  function relaunch(): void {
    waiting = false;
    if (stopping) return;
    launch().catch(startLater);
  }

  function look(): void {
    callOffLook = timers.after(lookEveryMs, look);
    if (thread === undefined) return;
    const inside = lookInside(thread.memory, thread.handlers);
    if (inside === undefined || inside.call !== thread.inside?.call) {
      thread.inside = inside === undefined ? undefined : { call: inside.call, since: clock.monotonic() };
      return;
    }
    const blockedMs = clock.monotonic() - thread.inside.since;
    if (blockedMs >= thread.blockTimeoutMs) strike(thread, inside, blockedMs);
  }

  function strike(
    blocked: ServiceThread,
    { handler, packetKey }: { readonly handler: string; readonly packetKey: string },
    blockedMs: number,
  ): void {
    const name = `${handler}\n${packetKey}`;
    const count = (strikes.get(name)?.count ?? 0) + 1;
    strikes.set(name, { handler, packetKey, count });
    options.onTrouble({ kind: 'blocked', handler, packetKey, strikes: count, blockedMs: Math.round(blockedMs) });
    thread = undefined;
    void blocked.worker.terminate().then(relaunch);
  }

  /** The old one stops gracefully first: it holds the spool, the admin listener and the component. */
  function replace(old: ServiceThread): void {
    thread = undefined;
    ending = end(old);
    void ending.then(relaunch);
  }

  async function end(last: ServiceThread | undefined): Promise<void> {
    if (last !== undefined) tell(last, { kind: 'stop' });
    await last?.gone;
  }

  function cease(): void {
    stopping = true;
    callOffRestart();
    callOffLook();
  }

  function tell(who: ServiceThread, message: ToServiceThread): void {
    who.worker.postMessage(message);
  }

  return {
    start: async () => {
      await launch().catch((error: ServiceError) => {
        if (!curable.has(error.code)) throw error;
        startLater(error);
      });
      look();
    },
    reload: () => {
      if (thread !== undefined) tell(thread, { kind: 'reload' });
      if (!waiting) return;
      callOffRestart();
      relaunch();
    },
    stop: async () => {
      cease();
      await Promise.all([ending, end(thread), standIn.close()]);
    },
    kill: async () => {
      cease();
      await Promise.all(Array.from(workers, (worker) => worker.terminate()));
    },
  };
}

/** The entry stands beside this file, as .ts in a checkout under tsx and as .js in the build. */
function entryUrl(): URL {
  return new URL(`./service.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}
