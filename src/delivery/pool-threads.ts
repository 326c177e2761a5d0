/** The threads of a pool, which send its requests, and the replacement of those that die. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { JobCompactor, outcomeOf } from '../../pools/compact.ts';
import type { CompactJob, FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from '../../pools/contract.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { loggable, toError } from '../kit/errors.ts';
import { type Backoff, backoffMs, Pacer } from '../kit/pacing.ts';
import type { DispositionKind } from '../model/attempt.ts';
import type { EventSink } from '../telemetry/events.ts';
import { type Attempt, type JobOptions, toJob } from './attempt.ts';
import { type Carrier, type CarrierCallbacks, misplacedReply } from './extensions.ts';

interface PoolThreadsOptions extends PoolThreadOptions {
  /** `settings.workers` are for the whole pool; each thread gets its share. */
  readonly threads: number;
}

/** All threads of a pool. A job goes to the thread with the most free workers. */
export class PoolThreads implements Carrier {
  readonly #threads: readonly PoolThread[];
  readonly #onOutcome: CarrierCallbacks['onOutcome'];

  constructor({ settings, threads, ...shared }: PoolThreadsOptions) {
    this.#threads = Array.from(
      { length: threads },
      (_, index) => new PoolThread({ ...shared, settings: { ...settings, workers: share(settings.workers, threads, index) } }),
    );
    this.#onOutcome = shared.onOutcome;
  }

  async start(): Promise<void> {
    for (const thread of this.#threads) thread.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  async kill(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.kill()));
  }

  drain(): void {
    // threads finish what is in flight
  }

  carry(attempt: Attempt, options: JobOptions): void {
    const job = toJob(attempt, options);
    if (job === undefined) setImmediate(this.#onOutcome, options.key, misplacedReply);
    else this.send(job);
  }

  send(job: Job): void {
    let best = this.#threads[0];
    for (const thread of this.#threads) if (best === undefined || thread.free > best.free) best = thread;
    best?.send(job);
  }

  disposed(key: number, disposition: DispositionKind): void {
    for (const thread of this.#threads) thread.disposed(key, disposition);
  }
}

/** Divides so that no two shares differ by more than one. */
function share(workers: number, threads: number, index: number): number {
  return Math.floor(workers / threads) + (index < workers % threads ? 1 : 0);
}

interface PoolThreadOptions extends CarrierCallbacks {
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
}

const respawnBackoff: Backoff = { firstMs: 100, capMs: 10_000, jitter: 0 };

/** Minimum time between two messages with jobs, ms. */
const jobsEveryMs = 1;

/** How often a thread is pinged; a thread that has not answered by the next ping is replaced. */
const pingEveryMs = 10_000;

/**
 * One thread of a pool, with a successor when it dies:
 *
 *   starting → up → stopping → ended
 *      ↑        ↓ died, or does not answer
 *      └── waiting (doubles while it keeps dying)
 */
class PoolThread {
  readonly #options: PoolThreadOptions;
  readonly #pool: string;
  readonly #inFlight = new Set<number>();
  readonly #awaitingDisposition = new Set<number>();
  readonly #pacer: Pacer;
  #life: ThreadLife | undefined;
  readonly #compactor = new JobCompactor();
  #batch: (CompactJob | Job)[] = [];
  #deaths = 0;
  #ending = false;
  #cancelRespawn: () => void = () => undefined;

  constructor(options: PoolThreadOptions) {
    this.#options = options;
    this.#pool = options.settings.name;
    this.#pacer = new Pacer({ everyMs: jobsEveryMs, ...options }, () => this.#flush());
  }

  /** Workers without a job; negative if more jobs are sent than there are workers. A thread that is down has no workers. */
  get free(): number {
    return (this.#life === undefined ? 0 : this.#options.settings.workers) - this.#inFlight.size;
  }

  start(): void {
    const life = new ThreadLife(this.#options.settings, {
      onMessage: (message) => this.#receive(message),
      onDeath: (dead, reason) => this.#died(dead, reason),
    });
    this.#life = life;
    this.#emitState('started');
    life.post({ kind: 'ping' }); // answered once the thread has loaded everything
    this.#schedulePing(life);
    this.#flush();
  }

  send(job: Job): void {
    this.#batch.push(this.#compactor.compact(job));
    if (this.#inFlight.size === 0)
      this.#pacer.hurry(); // no other outcome will bring on more
    else this.#pacer.nudge();
    this.#inFlight.add(job.key);
  }

  /** Without a thread the batch waits for the next one. */
  #flush(): void {
    if (this.#life === undefined || this.#batch.length === 0) return;
    this.#life.post({ kind: 'jobs', jobs: this.#batch });
    this.#batch = [];
  }

  #receive(message: FromPoolThread): void {
    this.#answered();
    switch (message.kind) {
      case 'alive':
        return;
      case 'callback-failed': {
        const { kind, ...failure } = message;
        return this.#options.events.emit('delivery.callback-failed', { pool: this.#pool, ...failure });
      }
      case 'outcomes':
        this.#deaths = 0;
        for (const outcome of message.outcomes) this.#ended(outcomeOf(outcome));
        return;
      default:
        return message satisfies never;
    }
  }

  /** The first message of a thread means that it has loaded everything. */
  #answered(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.answered = true;
    if (life.isUp) return;
    life.isUp = true;
    this.#emitState('up');
  }

  #ended({ key, outcome, judgement }: KeyedOutcome): void {
    this.#inFlight.delete(key);
    if (judgement?.awaitsDisposition === true) this.#awaitingDisposition.add(key);
    this.#options.onOutcome(key, { outcome, judgement });
  }

  /** Reports the stored disposition of a delivery to the worker that waits for it, if it is one of this thread. */
  disposed(key: number, disposition: DispositionKind): void {
    if (this.#awaitingDisposition.delete(key)) this.#life?.post({ kind: 'disposed', key, disposition });
  }

  #schedulePing(life: ThreadLife): void {
    life.cancelPing = this.#options.timers.after(pingEveryMs, () => {
      if (!life.answered) return this.#died(life, `it has not answered for ${pingEveryMs} ms`);
      life.answered = false;
      life.post({ kind: 'ping' });
      this.#schedulePing(life);
    });
  }

  #died(dead: ThreadLife, reason: string): void {
    if (dead !== this.#life) return;
    this.#life = undefined;
    dead.cancelPing();
    void dead.destroy();
    if (this.#ending) return;
    this.#deaths += 1;
    this.#emitState('died', reason);
    const lost = [...this.#inFlight];
    this.#inFlight.clear();
    this.#awaitingDisposition.clear();
    this.#batch = [];
    const waitMs = backoffMs(respawnBackoff, this.#deaths, () => 0.5);
    this.#cancelRespawn = this.#options.timers.after(waitMs, () => this.start());
    this.#options.onLost(lost);
  }

  stop(): Promise<void> {
    return this.#end((life) => life.stop());
  }

  kill(): Promise<void> {
    return this.#end((life) => life.destroy());
  }

  /** Pings continue, since a callback may block the thread while it stops. */
  async #end(how: (life: ThreadLife) => Promise<void>): Promise<void> {
    this.#ending = true;
    this.#pacer.stop();
    this.#cancelRespawn();
    if (this.#life !== undefined) await how(this.#life);
  }

  #emitState(state: 'died' | 'started' | 'up', reason = ''): void {
    this.#options.events.emit('pool.thread', { pool: this.#pool, state, reason });
  }
}

interface ThreadLifeCallbacks {
  onMessage(message: FromPoolThread): void;
  onDeath(life: ThreadLife, reason: string): void;
}

/** Requests and responses live for ms, so a third of Node's default is enough, and there may be many threads. */
const youngGenerationMb = 16;

/**
 * A thread from its start to its end: a piscina instance with one thread and one task that lasts as long as the thread, because
 * threads cannot be addressed otherwise. Its atomics are off, since they freeze the timers of an idle thread.
 */
class ThreadLife {
  answered = true;
  isUp = false;
  cancelPing: () => void = () => undefined;
  readonly #port: MessagePort;
  readonly #piscina: Piscina;
  readonly #task: Promise<void>;
  #destroyed: Promise<void> | undefined;

  constructor(settings: PoolThreadSettings, { onMessage, onDeath }: ThreadLifeCallbacks) {
    const { port1, port2 } = new MessageChannel();
    // With minThreads above 0 piscina starts another thread when this one ends, and aborts the whole process if that one ends
    // while it is still loading.
    const resourceLimits = { maxYoungGenerationSizeMb: youngGenerationMb };
    this.#port = port1;
    this.#piscina = new Piscina({ filename: entryUrl().href, minThreads: 0, maxThreads: 1, atomics: 'disabled', resourceLimits });
    this.#task = this.#piscina.run({ port: port2, settings }, { transferList: [port2] });
    port1.on('message', onMessage);
    this.#task.then(
      () => onDeath(this, 'its task ended'),
      (thrown) => onDeath(this, loggable(toError(thrown), 'message')),
    );
  }

  post(message: ToPoolThread): void {
    this.#port.postMessage(message);
  }

  /** Waits for the jobs in flight, then destroys the thread. */
  async stop(): Promise<void> {
    this.post({ kind: 'stop' });
    await this.#task.catch(() => undefined); // a failed task has ended too
    await this.destroy();
  }

  destroy(): Promise<void> {
    this.#port.close();
    this.#destroyed ??= this.#piscina.destroy();
    return this.#destroyed;
  }
}

/** The entry file: .ts in a checkout under tsx, .js in the build. */
function entryUrl(): URL {
  return new URL(`../../pools/deliver.worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}
