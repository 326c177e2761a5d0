import type { CallbackLimits, PoolConfig } from '../config/config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import type { Random } from '../kit/pacing.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Entry, QueueDepth, Refused, Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Admission } from './admission.ts';
import { childless } from './attempt.ts';
import { type Backlog, createBacklog } from './backlog.ts';
import { appendOrBury } from './boundary.ts';
import { carryOverThreads, type OpenCarrier } from './carrier.ts';
import { rulesOf } from './policy.ts';
import { createPoolDispatcher, type PoolDispatcher } from './pool-dispatcher.ts';
import type { PoolDispatcherOptions } from './pool-dispatcher-options.ts';
import { createPoolThreads } from './pool-threads.ts';
import { fixedOf, queuesOf, type Served, sessionsOf, threadSettingsOf } from './served.ts';
import type { TestAnswer } from './test-sends.ts';
import { createWaitingLine } from './waiting-line.ts';

export interface DispatcherOptions extends Served, Pick<PoolDispatcherOptions, 'follow' | 'openDeadlines'> {
  readonly spool: Spool;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Sent as `user-agent`. */
  readonly userAgent: string;
  readonly limits: Pick<CallbackLimits, 'timeoutMs'>;
  /** Carriers of pools that send without threads, by pool. */
  readonly carriers?: Readonly<Record<string, OpenCarrier>>;
  /** How long a pool that is replaced may wait for what is in flight, ms. */
  readonly drainTimeoutMs: number;
  /** The spool is gone: the service cannot go on. */
  readonly onFailed: (error: Error) => void;
}

/** What one packet leaves behind, or what a replayed dead letter came to. */
export type Leavings = Pick<Entry, 'deadLetters' | 'deliveries' | 'mark'> & Partial<Pick<Entry, 'revives'>>;

/** Between the hooks and the pools: all goes through the spool, and what it lets us have at once goes straight on. */
export interface Dispatcher {
  start(): Promise<void>;
  /** Lets what is in flight end, for at most `graceMs`; what is left stays on disk. */
  stop(graceMs: number): Promise<void>;
  /** Stores what a packet leaves behind and begins to deliver it; resolves when it is on disk, in the order of the calls. */
  accept(leavings: Leavings): Promise<void>;
  /** Changes to another set of pools and handlers; those that stay the same go on undisturbed. Resolves when the new ones run. */
  reconfigure(served: Served): Promise<void>;
  /** The spool may hold ready deliveries of these pools. */
  wake(pools: readonly string[]): void;
  /** Stops sending to a pool, or goes on; remembered in the spool. False: there is no such pool. */
  setPaused(pool: string, paused: boolean): Promise<boolean>;
  /** Sends a request that is no delivery, beside all queues and limits. Throws UNKNOWN_QUEUE for a pool that is not there. */
  sendTest(delivery: NewDelivery): Promise<TestAnswer>;
  /** Queues with deliveries whose pool or handler is not configured. */
  orphans(): readonly QueueDepth[];
  inFlight(): readonly { readonly pool: string; readonly value: number; readonly workers: number }[];
  /** A pool's breakers and pauses. */
  admission(pool: string): Admission | undefined;
}

/** A pool that is configured and, but for a moment while it is replaced, runs. */
interface Member {
  readonly config: PoolConfig;
  /** What must not change under a running pool, as text to compare. */
  readonly fixed: string;
  readonly dispatcher: PoolDispatcher;
  readonly backlog: Backlog;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { spool, events, timers } = options;
  const line = createWaitingLine({ timers });
  let served: Served = options;
  const members = new Map(served.pools.map((pool) => [pool.id, open(pool)]));

  function open(config: PoolConfig): Member {
    const sessions = sessionsOf(config, served);
    const settings = threadSettingsOf(config, {
      userAgent: options.userAgent,
      callbackTimeoutMs: options.limits.timeoutMs,
      handlers: sessions,
    });
    const dispatcher = createPoolDispatcher({
      ...options,
      pool: config,
      rules: rulesOf(config, served.handlers, sessions),
      paused: spool.stats().paused.includes(config.id),
      openCarrier:
        options.carriers?.[config.id] ??
        ((callbacks) => carryOverThreads(createPoolThreads({ ...options, ...callbacks, settings, threads: config.threads }), callbacks)),
      onReady: wake,
      onGone: () => void pauseGone(config.id),
    });
    return { config, fixed: fixedOf(config, served), dispatcher, backlog: createBacklog({ ...options, pool: config, onReady: wake }) };
  }

  function wake(pools: readonly string[]): void {
    for (const pool of pools) members.get(pool)?.dispatcher.wake();
  }

  async function accept(leavings: Leavings): Promise<void> {
    const held = line.join(() => hasRoom(leavings.deliveries));
    if (held !== undefined) await held;
    const { accepted, refused } = sort(leavings.deliveries);
    await store({ ...leavings, deliveries: accepted }, refused);
  }

  /** Whether no pool that holds intake is full. */
  function hasRoom(deliveries: readonly NewDelivery[]): boolean {
    return deliveries.every(({ pool, handler }) => members.get(pool)?.backlog.holdsIntake(handler) !== true);
  }

  function sort(deliveries: readonly NewDelivery[]): { readonly accepted: readonly NewDelivery[]; readonly refused: readonly Refused[] } {
    const accepted: NewDelivery[] = [];
    const refused: Refused[] = [];
    for (const delivery of deliveries) {
      const backlog = members.get(delivery.pool)?.backlog;
      if (backlog === undefined || backlog.enter(delivery.handler)) accepted.push(delivery);
      else refused.push({ delivery, reason: 'overflow', detail: backlog.fullness });
    }
    return { accepted, refused };
  }

  async function store({ deliveries, deadLetters, mark, revives }: Leavings, refused: readonly Refused[]): Promise<void> {
    const owners = deliveries.map(({ pool }) => members.get(pool));
    const claim = deliveries.map((delivery, index) => owners[index]?.dispatcher.reserve(delivery) ?? false);
    const claimed = await appendOrBury(spool, { deliveries, deadLetters, mark, claim, refused, revives }, options.clock.now());
    deliveries.forEach((delivery, index) => {
      const owner = owners[index];
      owner?.backlog.arrived();
      if (claim[index] === true) owner?.dispatcher.release(delivery);
      else wake([delivery.pool]); // perhaps another by now
    });
    for (const delivery of claimed) handOver(delivery);
  }

  /** Its pool may have been replaced meanwhile, or removed. */
  function handOver(delivery: Claimed): void {
    const member = members.get(delivery.pool);
    if (member !== undefined) member.dispatcher.take(delivery);
    else void giveBack(delivery);
  }

  async function giveBack({ seq }: Claimed): Promise<void> {
    try {
      const { readyPools } = await spool.settle({
        seq,
        disposition: { kind: 'released' },
        attempt: undefined,
        ...childless,
        claimNext: false,
      });
      wake(readyPools);
    } catch (thrown) {
      options.onFailed(toError(thrown));
    }
  }

  async function reconfigure(next: Served): Promise<void> {
    served = next;
    const leaving = [...members.values()].filter((member) => isReplaced(member, next));
    for (const { config } of leaving) members.delete(config.id);
    for (const { config, dispatcher } of members.values()) {
      dispatcher.change(rulesOf(config, next.handlers, sessionsOf(config, next)));
    }
    await Promise.all([...leaving.map(replace), ...next.pools.filter(isNew).map(admit)]);
    warnOfOrphans();

    function isNew({ id }: PoolConfig): boolean {
      return !members.has(id) && !leaving.some(({ config }) => config.id === id);
    }
  }

  /** The old one ends first, so that no lane is in two hands. */
  async function replace({ config: { id }, dispatcher }: Member): Promise<void> {
    await dispatcher.stop({ graceMs: options.drainTimeoutMs, release: true });
    const config = served.pools.find((pool) => pool.id === id);
    if (config !== undefined) await admit(config);
  }

  async function admit(config: PoolConfig): Promise<void> {
    const member = open(config);
    members.set(config.id, member);
    await member.dispatcher.start();
  }

  function orphans(): readonly QueueDepth[] {
    const queues = served.handlers.flatMap(queuesOf);
    const isServed = ({ pool, handler }: QueueDepth) => queues.some((queue) => queue.handler === handler && queue.pool === pool);
    return spool.stats().depths.filter((queue) => queue.waiting > 0 && !isServed(queue));
  }

  function warnOfOrphans(): void {
    for (const { pool, handler, waiting } of orphans()) {
      const text = `${waiting} deliveries wait for the handler ${handler} on the pool ${pool}, which is not configured: they stay until it is, or are moved or purged (event-pusher orphans)`;
      events.emit('notice', { text, level: 'warn' });
    }
  }

  async function each(act: (dispatcher: PoolDispatcher) => Promise<void>): Promise<void> {
    await Promise.all(Array.from(members.values(), ({ dispatcher }) => act(dispatcher)));
  }

  async function setPaused(pool: string, paused: boolean): Promise<boolean> {
    if (!members.has(pool)) return false;
    await spool.setPaused(pool, paused);
    members.get(pool)?.dispatcher.setPaused(paused);
    events.emit('pool.paused', { pool, paused });
    return true;
  }

  async function pauseGone(pool: string): Promise<void> {
    if (spool.stats().paused.includes(pool)) return;
    events.emit('notice', {
      text: `the backend of pool ${pool} answered 410 (gone): the pool is paused until it is resumed (event-pusher pools resume)`,
    });
    await setPaused(pool, true).catch(options.onFailed);
  }

  return {
    start: async () => {
      warnOfOrphans();
      await each((dispatcher) => dispatcher.start());
    },
    stop: async (graceMs) => {
      line.close();
      await each((dispatcher) => dispatcher.stop({ graceMs, release: false }));
    },
    accept,
    reconfigure,
    wake,
    setPaused,
    sendTest: async (delivery) => {
      const member = members.get(delivery.pool);
      if (member === undefined) throw new ServiceError('UNKNOWN_QUEUE', `there is no pool ${delivery.pool}`);
      return await member.dispatcher.sendTest(delivery);
    },
    orphans,
    inFlight: () =>
      Array.from(members.values(), ({ config: { id, workers }, dispatcher }) => ({ pool: id, value: dispatcher.inFlight, workers })),
    admission: (pool) => members.get(pool)?.dispatcher.admission,
  };
}

function isReplaced({ config: { id }, fixed }: Member, next: Served): boolean {
  const config = next.pools.find((pool) => pool.id === id);
  return config === undefined || fixedOf(config, next) !== fixed;
}
