import type { HandlerConfig, PoolConfig } from '../config/config.ts';
import type { DeliveryPolicy } from './attempt.ts';

/** A delivery whose handler is no longer configured is still owed; it holds its lane as a handler does by default. */
const defaultHoldMs = 30_000;

/** The rules for a pool's deliveries, by handler: the pool's own, with the handler's `hold` and the sooner of both ends. */
export function createPolicies(pool: PoolConfig, handlers: readonly HandlerConfig[]): (handler: string) => DeliveryPolicy {
  const { scheduleMs, jitter, maxAgeMs, accept, defer, refuse } = pool.retry;
  const plain: DeliveryPolicy = { scheduleMs, jitter, maxAgeMs, holdMs: defaultHoldMs, lists: { accept, defer, refuse } };
  const policies = new Map(
    handlers.map(({ name, holdMs, ttlMs }) => [name, { ...plain, holdMs, maxAgeMs: Math.min(maxAgeMs, ttlMs ?? maxAgeMs) }]),
  );
  return (handler) => policies.get(handler) ?? plain;
}
