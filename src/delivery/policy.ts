import type { SessionHandler } from '../../pools/contract.ts';
import type { HandlerConfig, PoolConfig } from '../config/config.ts';
import type { DeliveryPolicy } from './attempt.ts';

/** What may change while a pool goes on. */
export interface PoolRules {
  readonly handlers: readonly string[];
  readonly policyFor: (handler: string) => DeliveryPolicy;
  /** Whether the handler's module works on its requests in the pool's threads. */
  readonly hasCallbacks: (handler: string) => boolean;
}

/** A delivery may outlive its handler's place in the configuration while it is under way; it holds its lane as by default. */
const defaultHoldMs = 30_000;

/** What holds for a pool's deliveries, by handler: the pool's own rules, with the handler's `hold` and the sooner of both ends. */
export function rulesOf(pool: PoolConfig, handlers: readonly HandlerConfig[], sessions: readonly SessionHandler[]): PoolRules {
  const { scheduleMs, jitter, maxAgeMs, accept, defer, refuse } = pool.retry;
  const plain: DeliveryPolicy = { scheduleMs, jitter, maxAgeMs, holdMs: defaultHoldMs, lists: { accept, defer, refuse } };
  const own = handlers.filter((handler) => handler.pool === pool.id);
  const policies = new Map(
    own.map(({ name, holdMs, ttlMs }) => [name, { ...plain, holdMs, maxAgeMs: Math.min(maxAgeMs, ttlMs ?? maxAgeMs) }]),
  );
  const withCallbacks = new Set(sessions.map(({ name }) => name));
  return {
    handlers: [...policies.keys()],
    policyFor: (handler) => policies.get(handler) ?? plain,
    hasCallbacks: (handler) => withCallbacks.has(handler),
  };
}
