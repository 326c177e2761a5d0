/**
 * One thread of a pool, and the next when it dies:
 *
 *   starting → up → stopping → gone
 *      ↑        ↓ died, or does not answer
 *      └── waiting (doubles while it keeps dying)
 *
 * A piscina instance of one thread with one task that lasts as long as the thread: a thread can't be addressed otherwise.
 * Its atomics are off, since they freeze an idle thread's timers.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from '../../pools/contract.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { loggable, toError } from '../kit/errors.ts';
import { type Backoff, backoffMs, Pacer } from '../kit/pacing.ts';
import type { DispositionKind } from '../model/attempt.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Reply } from './attempt.ts';

export interface PoolThread {
  /** Workers without a job; negative while more is handed over than there are. A thread that is down has none. */
  readonly free: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  send(job: Job): void;
  /** Tells the worker that waits for it, if it is one of this thread's, what became of its delivery. */
  disposed(key: number, disposition: DispositionKind): void;
}

export interface PoolThreadsCallbacks {
  onOutcome(key: number, reply: Reply): void;
  /** Nothing is known of these jobs: their thread is gone. */
  onLost(keys: readonly number[]): void;
}

export interface PoolThreadOptions extends PoolThreadsCallbacks {
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

const respawnBackoff: Backoff = { firstMs: 100, capMs: 10_000, jitter: 0 };

/** Messages leave at most this often, ms. */
const jobsEveryMs = 1;

/** A request and its answer live for ms: a third of Node's own size is enough for them, and there may be many threads. */
const youngGenerationMb = 16;

/** How often a thread is asked whether it still turns; one that has not answered by the next time is replaced. */
const pingEveryMs = 10_000;

export function createPoolThread(options: PoolThreadOptions): PoolThread {
  const { settings, timers, events, onOutcome, onLost } = options;
  const { name: pool } = settings;
  const underway = new Map<number, Job>();
  const awaitingDisposition = new Set<number>();
  let life: Life | undefined;
  const pacer = new Pacer({ everyMs: jobsEveryMs, ...options }, flush);
  let batch: Job[] = [];
  let deaths = 0;
  let ending = false;
  let callOffWait: () => void = () => undefined;

  function spawn(): void {
    life = beginLife(settings, { onMessage: hear, onDeath: died });
    events.emit('pool.thread', { pool, state: 'started', reason: '' });
    life.post({ kind: 'ping' }); // the thread answers once everything is loaded
    pingLater(life);
    flush();
  }

  function hear(message: FromPoolThread): void {
    heardFrom(life);
    switch (message.kind) {
      case 'alive':
        return;
      case 'callback-failed': {
        const { kind, ...failure } = message;
        return events.emit('delivery.callback-failed', { pool, ...failure });
      }
      case 'outcomes':
        deaths = 0;
        return message.outcomes.forEach(ended);
      default:
        return message satisfies never;
    }
  }

  /** The first message of a thread means that it has loaded everything. */
  function heardFrom(speaker: Life | undefined): void {
    if (speaker === undefined) return;
    speaker.answered = true;
    if (speaker.isUp) return;
    speaker.isUp = true;
    events.emit('pool.thread', { pool, state: 'up', reason: '' });
  }

  function ended({ key, outcome, judgement }: KeyedOutcome): void {
    underway.delete(key);
    if (judgement?.awaitsDisposition === true) awaitingDisposition.add(key);
    onOutcome(key, { outcome, judgement });
  }

  function pingLater(pinged: Life): void {
    pinged.callOffPing = timers.after(pingEveryMs, () => {
      if (!pinged.answered) return died(pinged, `it has not answered for ${pingEveryMs} ms`);
      pinged.answered = false;
      pinged.post({ kind: 'ping' });
      pingLater(pinged);
    });
  }

  function died(dead: Life, reason: string): void {
    if (dead !== life) return;
    life = undefined;
    dead.callOffPing();
    void dead.destroy();
    if (ending) return;
    deaths += 1;
    events.emit('pool.thread', { pool, state: 'died', reason });
    const lost = [...underway.keys()];
    underway.clear();
    awaitingDisposition.clear();
    batch = [];
    callOffWait = timers.after(
      backoffMs(respawnBackoff, deaths, () => 0.5),
      spawn,
    );
    onLost(lost);
  }

  function send(job: Job): void {
    underway.set(job.key, job);
    batch.push(job);
    pacer.nudge();
  }

  /** While there is no thread the batch waits for the next one. */
  function flush(): void {
    if (life === undefined || batch.length === 0) return;
    life.post({ kind: 'jobs', jobs: batch });
    batch = [];
  }

  async function end(how: (last: Life) => Promise<void>): Promise<void> {
    ending = true;
    pacer.stop();
    callOffWait();
    if (life !== undefined) await how(life); // it is asked on, since a callback may block it on its way out
  }

  return {
    get free() {
      return (life === undefined ? 0 : settings.workers) - underway.size;
    },
    start: async () => spawn(),
    stop: () => end((last) => last.stop()),
    kill: () => end((last) => last.destroy()),
    send,
    disposed: (key, disposition) => {
      if (awaitingDisposition.delete(key)) life?.post({ kind: 'disposed', key, disposition });
    },
  };
}

/** A thread from its start to its end. */
interface Life {
  answered: boolean;
  isUp: boolean;
  callOffPing: () => void;
  post(message: ToPoolThread): void;
  /** Lets it finish, then destroys it. */
  stop(): Promise<void>;
  destroy(): Promise<void>;
}

function beginLife(
  settings: PoolThreadSettings,
  { onMessage, onDeath }: { onMessage(message: FromPoolThread): void; onDeath(life: Life, reason: string): void },
): Life {
  const { port1: ours, port2: theirs }: { readonly port1: MessagePort; readonly port2: MessagePort } = new MessageChannel();
  // With minThreads above 0 it starts another thread when this one ends, which nobody needs, and which aborts the whole
  // process when that ends while it is still loading.
  const resourceLimits = { maxYoungGenerationSizeMb: youngGenerationMb };
  const piscina = new Piscina({ filename: entryUrl().href, minThreads: 0, maxThreads: 1, atomics: 'disabled', resourceLimits });
  const task: Promise<void> = piscina.run({ port: theirs, settings }, { transferList: [theirs] });
  ours.on('message', onMessage);
  let destroyed: Promise<void> | undefined;

  const life: Life = {
    answered: true,
    isUp: false,
    callOffPing: () => undefined,
    post: (message) => ours.postMessage(message),
    stop: async () => {
      ours.postMessage({ kind: 'stop' } satisfies ToPoolThread);
      await task.catch(() => undefined); // however it ended, it has ended
      await life.destroy();
    },
    destroy: () => {
      ours.close();
      destroyed ??= piscina.destroy();
      return destroyed;
    },
  };
  task.then(
    () => onDeath(life, 'its task ended'),
    (thrown) => onDeath(life, loggable(toError(thrown), 'message')),
  );
  return life;
}

/** The entry, as .ts in a checkout under tsx and as .js in the build. */
function entryUrl(): URL {
  return new URL(`../../pools/deliver.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}
