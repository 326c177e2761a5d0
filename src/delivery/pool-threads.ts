/** The carrier of a pool: its part of one or more threads. */
import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { JobCompactor, outcomeOf } from '../../pools/compact.ts';
import type { CompactJob, FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from '../../pools/contract.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { Pacer } from '../kit/pacing.ts';
import type { DispositionKind } from '../model/attempt.ts';
import type { EventSink } from '../telemetry/events.ts';
import { type Attempt, type JobOptions, toJob } from './attempt.ts';
import { type Carrier, type CarrierCallbacks, misplacedReply } from './extensions.ts';
import { type Tenant, ThreadHost } from './thread-host.ts';

interface PoolThreadsOptions extends PoolThreadOptions {
  /** `settings.workers` are for the whole pool; each thread gets its part. */
  readonly threads: number;
}

/** All threads of a pool. A job goes to the thread with the most free workers. */
export class PoolThreads implements Carrier {
  readonly #threads: readonly PoolThread[];
  readonly #onOutcome: CarrierCallbacks['onOutcome'];

  constructor({ settings, threads, ...shared }: PoolThreadsOptions) {
    this.#threads = Array.from(
      { length: threads },
      (_, index) => new PoolThread({ ...shared, settings: { ...settings, workers: partOf(settings.workers, threads, index) } }),
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

/** Divides so that no two parts differ by more than one. */
function partOf(workers: number, threads: number, index: number): number {
  return Math.floor(workers / threads) + (index < workers % threads ? 1 : 0);
}

interface PoolThreadOptions extends CarrierCallbacks {
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Returns the thread for the pool, when the pool starts. Default: a thread of its own. */
  readonly host?: (() => ThreadHost) | undefined;
}

/** Minimum time between two messages with jobs, ms. */
const jobsEveryMs = 1;

/** The pool in one thread, and in its successors. */
class PoolThread implements Tenant {
  readonly settings: PoolThreadSettings;
  readonly #options: PoolThreadOptions;
  readonly #inFlight = new Set<number>();
  readonly #awaitingDisposition = new Set<number>();
  readonly #compactor = new JobCompactor();
  readonly #pacer: Pacer;
  #host: ThreadHost | undefined;
  #port: MessagePort | undefined;
  #isUp = false;
  #batch: (CompactJob | Job)[] = [];
  #ending = false;
  #isIsolated = false;

  constructor(options: PoolThreadOptions) {
    this.#options = options;
    this.settings = options.settings;
    this.#pacer = new Pacer({ everyMs: jobsEveryMs, ...options }, () => this.#flush());
  }

  /** Workers without a job; negative if more jobs are sent than there are workers. A thread that is down has no workers. */
  get free(): number {
    return (this.#port === undefined ? 0 : this.settings.workers) - this.#inFlight.size;
  }

  start(): void {
    const { timers, host } = this.#options;
    this.#host = host?.() ?? new ThreadHost(timers);
    this.#host.join(this);
  }

  opened(port: MessagePort): void {
    this.#port = port;
    this.#isUp = false;
    this.#emitState('started');
    this.#post({ kind: 'ping' }); // answered once the thread has loaded everything
    this.#flush();
  }

  send(job: Job): void {
    this.#batch.push(this.#compactor.compact(job));
    if (this.#inFlight.size === 0)
      this.#pacer.actSoon(); // no outcome is expected, so no further job either
    else this.#pacer.nudge();
    this.#inFlight.add(job.key);
  }

  /** Without a thread the batch waits for the next one. */
  #flush(): void {
    if (this.#port === undefined || this.#batch.length === 0) return;
    this.#post({ kind: 'jobs', jobs: this.#batch });
    this.#batch = [];
  }

  receive(message: FromPoolThread): void {
    if (!this.#isUp) this.#emitState('up');
    this.#isUp = true;
    switch (message.kind) {
      case 'alive':
        return;
      case 'callback-failed': {
        const { kind, ...failure } = message;
        return this.#options.events.emit('delivery.callback-failed', { pool: this.settings.name, ...failure });
      }
      case 'token':
        return this.#options.events.emit('token.answered', { pool: this.settings.name, ...message.token });
      case 'outcomes':
        for (const outcome of message.outcomes) this.#ended(outcomeOf(outcome));
        return;
      default:
        return message satisfies never;
    }
  }

  #ended({ key, outcome, judgement }: KeyedOutcome): void {
    this.#inFlight.delete(key);
    if (judgement?.awaitsDisposition === true) this.#awaitingDisposition.add(key);
    this.#options.onOutcome(key, { outcome, judgement });
  }

  /** Reports the stored disposition of a delivery to the worker that waits for it, if it is one of this thread. */
  disposed(key: number, disposition: DispositionKind): void {
    if (this.#awaitingDisposition.delete(key)) this.#post({ kind: 'disposed', key, disposition });
  }

  died(reason: string): void {
    this.#port = undefined;
    if (this.#ending) return;
    this.#emitState('died', reason);
    const lost = [...this.#inFlight];
    this.#inFlight.clear();
    this.#awaitingDisposition.clear();
    this.#batch = [];
    if (lost.length > 0) this.#isolate();
    this.#options.onLost(lost);
  }

  /** One of the lost requests may have ended the thread: from now on it can end no other pool's. */
  #isolate(): void {
    const { host, timers } = this.#options;
    if (host === undefined || this.#isIsolated) return;
    this.#isIsolated = true;
    void this.#host?.leave(this);
    this.#host = new ThreadHost(timers);
    this.#host.join(this);
  }

  /** Waits for the jobs in flight, or for the death of the thread. */
  async stop(): Promise<void> {
    this.#end();
    const closed = this.#port === undefined ? undefined : once(this.#port, 'close');
    this.#post({ kind: 'stop' });
    await closed;
    await this.#leave();
  }

  async kill(): Promise<void> {
    this.#end();
    await this.#leave();
  }

  #end(): void {
    this.#ending = true;
    this.#pacer.stop();
  }

  async #leave(): Promise<void> {
    this.#port = undefined;
    await this.#host?.leave(this);
  }

  #post(message: ToPoolThread): void {
    this.#port?.postMessage(message);
  }

  #emitState(state: 'died' | 'started' | 'up', reason = ''): void {
    this.#options.events.emit('pool.thread', { pool: this.settings.name, state, reason });
  }
}
