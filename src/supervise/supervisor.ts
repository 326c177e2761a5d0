/**
 * Runs the service in a thread of its own and looks after it from the main thread:
 *
 *   starting → running → stopping → stopped
 *      ↓          ↓ failed, died, or blocked by a callback
 *    failed    starting again (after a wait that doubles while it keeps failing)
 *
 * A thread, not a process: it ends with us whatever ends us, even `kill -9`, and a thread that a callback blocks for
 * ever can still be ended from outside. What the spool has promised survives either way.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Backoff, backoffMs } from '../kit/backoff.ts';
import type { Clock } from '../kit/clock.ts';
import { createDeferred } from '../kit/deferred.ts';
import { type ErrorCode, ServiceError } from '../kit/errors.ts';
import type { Random } from '../kit/random.ts';
import type { Timers } from '../kit/timers.ts';
import type { FromServiceThread, ServiceThreadData, ToServiceThread } from './messages.ts';
import { createWatchMemory, lookInside, type Strike } from './shared-watch.ts';

export interface SupervisorOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  /** Told when the thread has to be replaced, and why. */
  readonly onTrouble: (trouble: Trouble) => void;
}

export type Trouble =
  | { readonly kind: 'blocked'; readonly handler: string; readonly packetKey: string; readonly strikes: number; readonly blockedMs: number }
  | { readonly kind: 'failed'; readonly message: string; readonly restartInMs: number };

export interface Supervisor {
  /** Resolves when the service runs; rejects with why it cannot. */
  start(): Promise<void>;
  /** Stops the running service gracefully and starts it anew from the file; resolves when the old one has stopped. */
  restart(): Promise<void>;
  /** Resolves when the service has stopped gracefully. */
  stop(): Promise<void>;
}

const restartBackoff: Backoff = { firstMs: 500, capMs: 30_000, jitter: 0.2 };
/** A service that has lasted this long was a success: the next wait starts small again. */
const provenAfterMs = 60_000;
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
  const { clock, timers, random } = options;
  const strikes = new Map<string, Strike>();
  let thread: ServiceThread | undefined;
  let stopping = false;
  let failures = 0;
  let launchedAt = 0;
  let callOffLook: () => void = () => undefined;
  let callOffRestart: () => void = () => undefined;

  function launch(): Promise<void> {
    launchedAt = clock.monotonic();
    const started = createDeferred<void>();
    const memory = createWatchMemory();
    const data: ServiceThreadData = { file: options.file, watchMemory: memory, strikes: [...strikes.values()] };
    const worker = new Worker(entryUrl(), { workerData: data, resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb } });
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

    worker.on('message', (message: FromServiceThread) => {
      if (message.kind === 'configured') Object.assign(launched, { handlers: message.handlers, blockTimeoutMs: message.blockTimeoutMs });
      else if (message.kind === 'failed') failed(launched, message, started.reject);
      else {
        launched.started = true;
        started.resolve();
      }
    });
    worker.on('error', (error) => failed(launched, { code: undefined, message: error.stack ?? error.message }, started.reject));
    worker.on('exit', (code) => {
      gone.resolve();
      failed(launched, { code: undefined, message: `the service thread ended with code ${code}` }, started.reject);
    });
    return started.promise;
  }

  /** Of a thread's several last words only the first counts. A thread that never started is the caller's to judge. */
  function failed(who: ServiceThread, failure: Failure, rejectStart: (error: Error) => void): void {
    if (who !== thread || stopping) return;
    thread = undefined;
    const ended = who.worker.terminate();
    if (!who.started) return rejectStart(new ServiceError(failure.code ?? 'SERVICE_FAILED', failure.message));
    void ended.then(() => startLater(failure.message));
  }

  function startLater(message: string): void {
    failures = clock.monotonic() - launchedAt >= provenAfterMs ? 1 : failures + 1;
    const restartInMs = backoffMs(restartBackoff, failures, random);
    options.onTrouble({ kind: 'failed', message, restartInMs });
    callOffRestart = timers.after(restartInMs, relaunch);
  }

  function relaunch(): void {
    if (stopping) return;
    launch().catch((error: Error) => startLater(error.message));
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

  async function end(ending: ServiceThread | undefined): Promise<void> {
    if (ending === undefined) return;
    const message: ToServiceThread = { kind: 'stop' };
    ending.worker.postMessage(message);
    await ending.gone;
  }

  return {
    start: async () => {
      await launch();
      look();
    },
    restart: async () => {
      callOffRestart();
      const old = thread;
      thread = undefined;
      await end(old);
      relaunch();
    },
    stop: async () => {
      stopping = true;
      callOffRestart();
      callOffLook();
      await end(thread);
    },
  };
}

/** The entry stands beside this file, as .ts in a checkout under tsx and as .js in the build. */
function entryUrl(): URL {
  return new URL(`./service.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}
