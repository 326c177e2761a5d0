import type { PoolThreadSettings, SessionHandler } from '../../pools/contract.ts';
import type { BuiltInPool, HandlerConfig, PoolConfig } from '../config/config.ts';
import type { QueueName } from '../model/delivery.ts';

/** What the dispatcher serves, and a new configuration may change. */
export interface Served {
  readonly pools: readonly PoolConfig[];
  readonly handlers: readonly HandlerConfig[];
  /** Those whose modules have callbacks at delivery. */
  readonly sessions: readonly SessionHandler[];
}

/** The queues of a handler: that of its pushes, and those of its questions and follow-ups. Questions and pushes never share a queue, because their backends differ. */
export function queuesOf({ name, pool, beforePush, followUp }: HandlerConfig): readonly QueueName[] {
  return [
    { pool, handler: name },
    ...(beforePush === undefined ? [] : [{ pool: beforePush.pool, handler: beforePush.queue }]),
    ...(followUp === undefined ? [] : [orderPool, messagePool].map((followUpPool) => ({ pool: followUpPool, handler: name }))),
  ];
}

/** The built-in pools of what answers order: requests, and messages to users. */
export const orderPool: BuiltInPool = 'follow_up';
export const messagePool: BuiltInPool = 'follow_up_messages';

export function isFollowUpPool(pool: string): boolean {
  return pool === orderPool || pool === messagePool;
}

/** Those that work in the threads of this pool. */
export function sessionsOf(pool: PoolConfig, { handlers, sessions }: Served): readonly SessionHandler[] {
  const own = new Set(handlers.filter((handler) => handler.pool === pool.id).map(({ name }) => name));
  return sessions.filter(({ name }) => own.has(name));
}

/** What must not change under a running pool, as text to compare. */
export function fixedOf(pool: PoolConfig, served: Served): string {
  return JSON.stringify([pool, sessionsOf(pool, served)]);
}

/** What the threads of a pool are told at their start. */
export function threadSettingsOf(
  pool: PoolConfig,
  { userAgent, callbackTimeoutMs, handlers }: Pick<PoolThreadSettings, 'callbackTimeoutMs' | 'handlers' | 'userAgent'>,
): PoolThreadSettings {
  const { id, client, origin, workers, requestTimeoutMs, callTimeoutMs, maxConnectionAgeMs, maxResponseBytes, tls } = pool;
  return {
    ...{ name: id, client, origin, workers, requestTimeoutMs, callTimeoutMs, maxConnectionAgeMs, maxResponseBytes, tls },
    ...{ userAgent, callbackTimeoutMs, handlers },
  };
}
