import type { PoolThreadSettings } from '../../pools/contract.ts';
import type { HandlerConfig, PoolConfig } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import type { Timers } from '../kit/timers.ts';
import type { Entry, Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { DeliveryPolicy } from './attempt.ts';
import { createPolicies } from './policy.ts';
import { createPoolDispatcher, type PoolDispatcher } from './pool-dispatcher.ts';
import { createPoolThreads } from './pool-threads.ts';

export interface DispatcherOptions {
  readonly pools: readonly PoolConfig[];
  readonly handlers: readonly HandlerConfig[];
  readonly spool: Spool;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Sent as `user-agent`. */
  readonly userAgent: string;
  /** The spool is gone: the service cannot go on. */
  readonly onFailed: (error: Error) => void;
}

/** Between the hooks and the pools: all goes through the spool, and what it lets us have at once goes straight on. */
export interface Dispatcher {
  start(): Promise<void>;
  /** Lets what is in flight end, for at most `graceMs`; what is left stays on disk. */
  stop(graceMs: number): Promise<void>;
  /** Stores what a packet leaves behind and begins to deliver it; resolves when it is on disk. */
  accept(leavings: Omit<Entry, 'claim'>): Promise<void>;
  /** Goes on with other pools and handlers; resolves when they run. */
  reconfigure(parts: Pick<DispatcherOptions, 'handlers' | 'pools'>): Promise<void>;
  inFlight(): readonly { readonly pool: string; readonly value: number; readonly workers: number }[];
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { spool, events } = options;
  let configs = new Map(options.pools.map((pool) => [pool.id, pool]));
  let policies = policiesOf(options);
  const pools = new Map(options.pools.map((pool) => [pool.id, openPool(pool)]));

  function openPool(pool: PoolConfig): PoolDispatcher {
    const { id, workers, threads } = pool;
    const settings = settingsOf(pool, options.userAgent);
    return createPoolDispatcher({
      ...options,
      pool: id,
      workers,
      policyFor: (handler) => policies(configs.get(id) ?? pool, handler),
      openThreads: (callbacks) => createPoolThreads({ ...options, ...callbacks, settings, threads }),
      onReady: wake,
    });
  }

  function wake(names: readonly string[]): void {
    for (const name of names) pools.get(name)?.wake();
  }

  async function accept({ deliveries, deadLetters, mark }: Omit<Entry, 'claim'>): Promise<void> {
    const claim = deliveries.map((delivery) => pools.get(delivery.pool)?.reserve(delivery) ?? false);
    const claimed = await spool.append({ deliveries, deadLetters, mark, claim });
    deliveries.forEach((delivery, index) => {
      const pool = pools.get(delivery.pool);
      if (claim[index] === true) pool?.release(delivery);
      else pool?.wake();
    });
    for (const delivery of claimed) pools.get(delivery.pool)?.take(delivery);
  }

  /** What is owed to a pool that is no longer configured is kept, but nobody takes it. */
  function warnOfOrphans(): void {
    for (const { pool, waiting } of spool.stats().depths) {
      if (waiting === 0 || pools.has(pool)) continue;
      events.emit('notice', {
        text: `${waiting} deliveries wait in the spool for the pool ${pool}, which is not configured: they stay until it is`,
      });
    }
  }

  async function each(act: (pool: PoolDispatcher) => Promise<void>): Promise<void> {
    await Promise.all([...pools.values()].map(act));
  }

  async function reconfigure(parts: Pick<DispatcherOptions, 'handlers' | 'pools'>): Promise<void> {
    const added = parts.pools.filter(({ id }) => !pools.has(id)).map((pool) => [pool.id, openPool(pool)] as const);
    await Promise.all(added.map(([, pool]) => pool.start()));
    const kept = new Set(parts.pools.map(({ id }) => id));
    const removed = [...pools].filter(([id]) => !kept.has(id));
    configs = new Map(parts.pools.map((pool) => [pool.id, pool]));
    policies = policiesOf(parts);
    for (const [id, pool] of added) pools.set(id, pool);
    for (const [id, pool] of removed) {
      pools.delete(id);
      void pool.stop(0);
    }
    wake([...pools.keys()]);
  }

  return {
    reconfigure,
    start: async () => {
      warnOfOrphans();
      await each((pool) => pool.start());
    },
    stop: (graceMs) => each((pool) => pool.stop(graceMs)),
    accept,
    inFlight: () => [...configs.values()].map(({ id, workers }) => ({ pool: id, value: pools.get(id)?.inFlight ?? 0, workers })),
  };
}

function policiesOf({ handlers }: Pick<DispatcherOptions, 'handlers'>): (pool: PoolConfig, handler: string) => DeliveryPolicy {
  return (pool, handler) => createPolicies(pool, handlers)(handler);
}

function settingsOf(pool: PoolConfig, userAgent: string): PoolThreadSettings {
  const { id, client, origin, workers, requestTimeoutMs, callTimeoutMs, maxResponseBytes, tls } = pool;
  return { name: id, client, origin, workers, requestTimeoutMs, callTimeoutMs, maxResponseBytes, userAgent, tls };
}
