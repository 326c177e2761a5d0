import type { MessagePort } from 'node:worker_threads';
import { type Clock, systemTimers } from '../src/kit/clock.ts';
import { Fifo } from '../src/kit/fifo.ts';
import { createDeferred, type Deferred } from '../src/kit/lifecycle.ts';
import { Pacer, systemRandom } from '../src/kit/pacing.ts';
import type { DispositionKind } from '../src/model/attempt.ts';
import { compactOutcome, jobOf } from './compact.ts';
import type { Dial } from './connection.ts';
import type { CompactOutcome, FromPoolThread, Job, KeyedOutcome, PoolThreadSettings, ToPoolThread } from './contract.ts';
import { Deadlines, Exchange, type ExchangeContext } from './exchange.ts';
import { HttpClient, type NewWorker } from './http-client.ts';

interface ThreadOptions {
  readonly port: MessagePort;
  readonly settings: PoolThreadSettings;
  readonly clock: Clock;
  /** Opens what carries the thread's jobs. */
  readonly openCarrier: OpenCarrier;
}

/** Carries the jobs of a thread. */
export interface Carrier {
  /** Starts a job, reports its outcome, and calls `free` once, when the job's worker can take another. Never throws. */
  carry(job: Job, free: () => void): void;
  /** The disposition of a delivery is on disk; only callbacks of a session take it. */
  disposed?(key: number, disposition: DispositionKind): void;
  /** No further dispositions arrive. */
  stop?(): void;
  /** Closes the connections, and abandons the jobs in progress. */
  close(): Promise<void>;
}

export type OpenCarrier = (context: CarrierContext) => Promise<Carrier>;

export interface CarrierContext extends ExchangeContext {
  readonly settings: PoolThreadSettings;
  readonly post: (message: FromPoolThread) => void;
}

/**
 * Serves a pool in a thread: takes jobs from the port and sends each outcome back when its request has ended, together with
 * those of the same millisecond. Resolves after `stop`, when no job is in progress and everything is closed, or after the port
 * has closed, which abandons the jobs. Rejects if the carrier cannot be opened.
 */
export async function serve({ port, settings, clock, openCarrier }: ThreadOptions): Promise<void> {
  const stopped = createDeferred<void>();
  const post = (message: FromPoolThread): void => port.postMessage(message);
  const batch = new OutcomeBatch(clock, post);
  const carrier = await openCarrier({ settings, clock, post, deadlines: new Deadlines(clock), onOutcome: batch.add });
  const queue = new JobQueue(settings.workers, carrier, batch.sendSoon);

  port.on('message', (message: ToPoolThread) => {
    switch (message.kind) {
      case 'disposed':
        return carrier.disposed?.(message.key, message.disposition);
      case 'jobs':
        for (const job of message.jobs) queue.add(jobOf(job));
        return;
      case 'ping':
        return post({ kind: 'alive' });
      case 'stop':
        carrier.stop?.();
        return stopped.resolve();
      default:
        return message satisfies never;
    }
  });

  port.once('close', () => {
    queue.abandon();
    stopped.resolve();
  });

  await stopped.promise;
  await queue.ended();
  await carrier.close();
  batch.send();
  port.close();
}

/** Gives jobs to the carrier in the order of their arrival, at most `workers` at a time. */
class JobQueue {
  readonly #workers: number;
  readonly #carrier: Carrier;
  readonly #onIdle: () => void;
  readonly #waiting = new Fifo<Job>();
  #busy = 0;
  #isStarting = false;
  #isAbandoned = false;
  #ended: Deferred<void> | undefined;

  /** `onIdle` is called whenever no job is waiting or in progress. */
  constructor(workers: number, carrier: Carrier, onIdle: () => void) {
    this.#workers = workers;
    this.#carrier = carrier;
    this.#onIdle = onIdle;
  }

  add(job: Job): void {
    if (this.#busy < this.#workers) this.#start(job);
    else this.#waiting.push(job);
  }

  /** Resolves when no job is waiting or in progress. */
  ended(): Promise<void> {
    this.#ended ??= createDeferred();
    if (this.#busy === 0) this.#ended.resolve();
    return this.#ended.promise;
  }

  /** Starts no further job, and waits for none. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#ended ??= createDeferred();
    this.#ended.resolve();
  }

  #start(job: Job): void {
    this.#busy += 1;
    this.#carrier.carry(job, this.#free);
  }

  /** Jobs that end while they start are handled by the loop of the first call, so their number does not deepen the stack. */
  readonly #free = (): void => {
    this.#busy -= 1;
    if (this.#isStarting || this.#isAbandoned) return;
    this.#isStarting = true;
    while (this.#busy < this.#workers) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#start(next);
    }
    this.#isStarting = false;
    if (this.#busy > 0) return;
    this.#onIdle();
    this.#ended?.resolve();
  };
}

/** Minimum time between two messages with outcomes, ms. */
const outcomesEveryMs = 1;

/** Gathers outcomes into one message: the first after a pause leaves at once, the next message takes all that followed. */
class OutcomeBatch {
  readonly #post: (message: FromPoolThread) => void;
  readonly #pacer: Pacer;
  #outcomes: (CompactOutcome | KeyedOutcome)[] = [];

  constructor(clock: Clock, post: (message: FromPoolThread) => void) {
    this.#post = post;
    this.#pacer = new Pacer({ everyMs: outcomesEveryMs, clock, timers: systemTimers }, () => this.send());
  }

  readonly add = (outcome: KeyedOutcome): void => {
    this.#outcomes.push(compactOutcome(outcome));
    this.#pacer.nudge();
  };

  /** Sends in this turn of the event loop: without a job in progress, no further outcome is expected. */
  readonly sendSoon = (): void => {
    if (this.#outcomes.length > 0) this.#pacer.actSoon();
  };

  send(): void {
    if (this.#outcomes.length > 0) this.#post({ kind: 'outcomes', outcomes: this.#outcomes });
    this.#outcomes = [];
  }
}

export function createClient(
  { settings, clock }: CarrierContext,
  parts: { readonly newWorker: NewWorker; readonly dial: Dial },
): HttpClient {
  return new HttpClient({ settings, clock, random: systemRandom, ...parts });
}

/** Loads undici, which takes some 20 MB of a thread: threads with another client do without. */
export async function undiciWorkers(origin: string): Promise<NewWorker> {
  const { UndiciWorker } = await import('./undici-worker.ts');
  return (connection) => new UndiciWorker(origin, connection);
}

/** Gives each job to the HTTP client as it is. */
export class HttpCarrier implements Carrier {
  readonly #context: CarrierContext;
  readonly #client: HttpClient;

  constructor(context: CarrierContext, client: HttpClient) {
    this.#context = context;
    this.#client = client;
  }

  carry(job: Job, free: () => void): void {
    const exchange = new Exchange(job, this.#context);
    if (exchange.concludeIfLate()) free();
    else this.#client.send(exchange, free);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
