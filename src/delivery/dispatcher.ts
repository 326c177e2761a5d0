import type { PoolThreadSettings } from '../../pools/contract.ts';
import type { CallbackLimits, PoolConfig } from '../config/config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { type Completion, promised } from '../kit/completion.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Random } from '../kit/pacing.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Entry, QueueDepth, Refused, Settled, Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Admission } from './admission.ts';
import { Backlog, IntakeQueue } from './backlog.ts';
import { appendParts } from './error-boundary.ts';
import type { CarrierCallbacks, OpenCarrier } from './extensions.ts';
import type { TestAnswer } from './in-flight.ts';
import { type DispatchConfig, fixedSettingsOf, pausedName, queuesOf, rulesOf, sessionsOf, signingOf, threadSettingsOf } from './policy.ts';
import { PoolDispatcher, type PoolDispatcherOptions } from './pool-dispatcher.ts';
import { PoolThreads } from './pool-threads.ts';
import { released } from './settle.ts';
import { SharedThreads } from './thread-host.ts';

interface DispatcherOptions extends DispatchConfig, Pick<PoolDispatcherOptions, 'follow' | 'openDeadlines'> {
  readonly spool: Spool;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Sent as `user-agent`. */
  readonly userAgent: string;
  readonly limits: Pick<CallbackLimits, 'timeoutMs'>;
  /** Carriers of the pools that send without threads, by pool. */
  readonly carriers?: ReadonlyMap<string, OpenCarrier>;
  /** Time for the attempts in flight of a pool that is replaced, ms. */
  readonly drainTimeoutMs: number;
  /** The spool has failed: the service cannot go on. */
  readonly onFailed: (error: Error) => void;
}

/** The results of one packet, or of one replayed dead letter. */
type PacketResult = Pick<Entry, 'deadLetters' | 'deliveries' | 'mark'> & Partial<Pick<Entry, 'revives'>>;

/** A configured pool; it runs, except for a moment while it is replaced. */
interface Pool {
  readonly config: PoolConfig;
  /** The settings that cannot change while it runs, as text to compare. */
  readonly fixedSettings: string;
  readonly dispatcher: PoolDispatcher;
  readonly backlog: Backlog;
}

/** Stores the deliveries of the hooks in the spool and dispatches them to their pools; those that can be sent at once do not leave memory. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #intake: IntakeQueue;
  readonly #pools: Map<string, Pool>;
  readonly #sharedThreads: SharedThreads;
  #config: DispatchConfig;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#config = options;
    this.#intake = new IntakeQueue(options.timers);
    this.#sharedThreads = new SharedThreads(options.timers);
    this.#pools = new Map(options.pools.map((pool) => [pool.id, this.#open(pool)]));
  }

  #open(config: PoolConfig): Pool {
    const { userAgent, limits, carriers } = this.#options;
    const handlers = sessionsOf(config, this.#config);
    const signing = signingOf(config, this.#config.handlers);
    const settings = threadSettingsOf(config, { userAgent, callbackTimeoutMs: limits.timeoutMs, handlers, signing });
    const options = { ...this.#options, pool: config, onReady: this.wake };
    const dispatcher = new PoolDispatcher({
      ...options,
      rules: rulesOf(config, this.#config.handlers, handlers),
      openCarrier: carriers?.get(config.id) ?? ((callbacks) => this.#openThreads(callbacks, settings, config)),
      onGone: () => void this.#pauseGone(config.id),
    });
    return { config, fixedSettings: fixedSettingsOf(config, this.#config), dispatcher, backlog: new Backlog(options) };
  }

  #openThreads(callbacks: CarrierCallbacks, settings: PoolThreadSettings, { threads }: PoolConfig): PoolThreads {
    const host = threads === undefined && mayShare(settings) ? this.#sharedThreads.next : undefined;
    return new PoolThreads({ ...this.#options, ...callbacks, settings, host, threads: threads ?? 1 });
  }

  async start(): Promise<void> {
    this.#warnOfOrphans();
    await this.#forEachPool((dispatcher) => dispatcher.start());
  }

  /** Waits up to `graceMs` for the attempts in flight; the other deliveries stay on disk. */
  async stop(graceMs: number): Promise<void> {
    this.#intake.close();
    await this.#forEachPool((dispatcher) => dispatcher.stop({ graceMs, release: false }));
  }

  async #forEachPool(act: (dispatcher: PoolDispatcher) => Promise<void>): Promise<void> {
    await Promise.all(Array.from(this.#pools.values(), ({ dispatcher }) => act(dispatcher)));
  }

  /** Stores the results of a packet and begins to deliver them. Done when they are on disk, in the order of the calls. */
  readonly accept = (result: PacketResult, completion: Completion<void>): void => {
    const turn = this.#intake.join(() => this.#hasCapacity(result.deliveries));
    if (turn === undefined) this.#store(result, completion);
    else turn.then(() => this.#store(result, completion)).catch(this.#fail);
  };

  readonly #fail = (thrown: unknown): void => this.#options.onFailed(toError(thrown));

  /** Whether no full pool holds intake. */
  #hasCapacity(deliveries: readonly NewDelivery[]): boolean {
    return deliveries.every(({ pool, handler }) => this.#pools.get(pool)?.backlog.holdsIntake(handler) !== true);
  }

  #admit(all: readonly NewDelivery[]): Pick<Entry, 'deliveries' | 'refused'> {
    const refused: Refused[] = [];
    for (const delivery of all) {
      const backlog = this.#pools.get(delivery.pool)?.backlog;
      if (backlog?.enter(delivery.handler) === false) refused.push({ delivery, reason: 'overflow', detail: backlog.fullness });
    }
    if (refused.length === 0) return { deliveries: all, refused };
    const excess = new Set(refused.map(({ delivery }) => delivery));
    return { deliveries: all.filter((delivery) => !excess.has(delivery)), refused };
  }

  #store({ deliveries: all, deadLetters, mark, revives }: PacketResult, completion: Completion<void>): void {
    const { spool, clock } = this.#options;
    const { deliveries, refused } = this.#admit(all);
    const pools = deliveries.map(({ pool }) => this.#pools.get(pool));
    const claim = deliveries.map((delivery, index) => pools[index]?.dispatcher.reserve(delivery) === true);
    const entry: Entry = { deliveries, deadLetters, mark, claim, refused, revives };
    const done = (claimed: readonly Claimed[]): void => {
      this.#stored(entry, pools, claimed);
      completion.done();
    };
    const failed = (thrown: unknown): void => {
      const stored = (): void => {
        done([]);
        this.wake(deliveries.map(({ pool }) => pool));
      };
      appendParts(spool, entry, { thrown, now: clock.now() })
        .then(stored, (error: unknown) => completion.failed(toError(error)))
        .catch(this.#fail);
    };
    try {
      spool.append(entry, { done, failed });
    } catch (thrown) {
      failed(thrown); // its rows cannot be encoded
    }
  }

  #stored({ deliveries, claim }: Entry, pools: readonly (Pool | undefined)[], claimed: readonly Claimed[]): void {
    deliveries.forEach((delivery, index) => {
      const pool = pools[index];
      pool?.backlog.stored();
      if (claim[index] === true) pool?.dispatcher.release(delivery);
      else this.#pools.get(delivery.pool)?.dispatcher.unclaimed(delivery); // the pool may have been replaced during the commit
    });
    for (const delivery of claimed) this.#handOver(delivery);
  }

  /** The pool may have been replaced or removed during the commit. */
  #handOver(delivery: Claimed): void {
    const pool = this.#pools.get(delivery.pool);
    if (pool !== undefined) pool.dispatcher.take(delivery);
    else void this.#release(delivery);
  }

  async #release({ seq }: Claimed): Promise<void> {
    try {
      const settlement = { seq, ...released, claimNext: 0 };
      const { readyPools } = await promised<Settled>((completion) => this.#options.spool.settle(settlement, completion));
      this.wake(readyPools);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** The spool may hold ready deliveries of these pools. */
  readonly wake = (pools: readonly string[]): void => {
    for (const pool of pools) this.#pools.get(pool)?.dispatcher.wake();
  };

  /** Changes to another set of pools and handlers; unchanged pools are not interrupted. Resolves when the new pools run. */
  async reconfigure(next: DispatchConfig): Promise<void> {
    this.#config = next;
    const replaced = [...this.#pools.values()].filter((pool) => isReplaced(pool, next));
    const added = next.pools.filter(({ id }) => !this.#pools.has(id));
    for (const { config } of replaced) this.#pools.delete(config.id);
    for (const { config, dispatcher } of this.#pools.values()) {
      dispatcher.change(rulesOf(config, next.handlers, sessionsOf(config, next)));
    }
    await Promise.all([...replaced.map((pool) => this.#replace(pool)), ...added.map((config) => this.#add(config))]);
    this.#warnOfOrphans();
  }

  /** The old dispatcher ends first, so that no lane is delivered by two. */
  async #replace({ config: { id }, dispatcher }: Pool): Promise<void> {
    await dispatcher.stop({ graceMs: this.#options.drainTimeoutMs, release: true });
    const config = this.#config.pools.find((pool) => pool.id === id);
    if (config !== undefined) await this.#add(config);
  }

  async #add(config: PoolConfig): Promise<void> {
    const pool = this.#open(config);
    this.#pools.set(config.id, pool);
    await pool.dispatcher.start();
  }

  /** Queues with deliveries whose pool or handler is not configured. */
  orphans(): readonly QueueDepth[] {
    const served = new Set(this.#config.handlers.flatMap(queuesOf).map(({ pool, handler }) => `${pool}\n${handler}`));
    const isServed = ({ pool, handler }: QueueDepth): boolean => served.has(`${pool}\n${handler}`);
    return this.#options.spool.stats().depths.filter((queue) => queue.waiting > 0 && !isServed(queue));
  }

  #warnOfOrphans(): void {
    for (const { pool, handler, waiting } of this.orphans()) {
      const text = `${waiting} deliveries wait for the handler ${handler} on the pool ${pool}, which is not configured: configure it, or move or purge them (event-pusher orphans)`;
      this.#options.events.emit('notice', { text, level: 'warn' });
    }
  }

  /** Pauses or resumes a pool, or one handler of it, also over restarts and after its removal. False if there is no such pool or pause. */
  readonly setPaused = async (pool: string, paused: boolean, handler = ''): Promise<boolean> => {
    const name = pausedName(pool, handler);
    if (!this.#pools.has(pool) && !this.#options.spool.stats().paused.includes(name)) return false;
    await this.#options.spool.setPaused(name, paused);
    this.#pools.get(pool)?.dispatcher.setPaused(paused, handler);
    this.#options.events.emit('pool.paused', { pool, handler, paused });
    return true;
  };

  async #pauseGone(pool: string): Promise<void> {
    const { spool, events, onFailed } = this.#options;
    if (spool.stats().paused.includes(pool)) return;
    events.emit('notice', {
      text: `the backend of pool ${pool} answered 410 (gone): the pool is paused until it is resumed (event-pusher pools resume)`,
    });
    await this.setPaused(pool, true).catch(onFailed);
  }

  /** Sends a request that is not stored, outside all queues and limits. Throws UNKNOWN_QUEUE if there is no such pool. */
  async sendTest(delivery: NewDelivery): Promise<TestAnswer> {
    const pool = this.#pools.get(delivery.pool);
    if (pool === undefined) throw new ServiceError('UNKNOWN_QUEUE', `there is no pool ${delivery.pool}`);
    return await pool.dispatcher.sendTest(delivery);
  }

  inFlight(): readonly { readonly pool: string; readonly value: number; readonly workers: number }[] {
    return Array.from(this.#pools.values(), ({ config: { id, workers }, dispatcher }) => ({
      pool: id,
      value: dispatcher.inFlight,
      workers,
    }));
  }

  /** The breakers and pauses of a pool. */
  admission(pool: string): Admission | undefined {
    return this.#pools.get(pool)?.dispatcher.admission;
  }
}

/** A callback can block its thread, and got costs a multiple of undici: such pools have threads of their own. */
function mayShare({ client, handlers }: PoolThreadSettings): boolean {
  return client === 'undici' && handlers.length === 0;
}

function isReplaced({ config: { id }, fixedSettings }: Pool, next: DispatchConfig): boolean {
  const config = next.pools.find((pool) => pool.id === id);
  return config === undefined || fixedSettingsOf(config, next) !== fixedSettings;
}
