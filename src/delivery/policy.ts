import type { SessionHandler } from '../../pools/contract.ts';
import type { HandlerConfig, PoolConfig } from '../config/config.ts';
import type { NewDelivery } from '../model/delivery.ts';
import type { Allowed, DeliveryPolicy, Posting } from './attempt.ts';
import { queuesOf } from './served.ts';

/** What may change while a pool goes on. */
export interface PoolRules {
  /** The queues that the pool serves, by the names that they have in the place of a handler's. */
  readonly handlers: readonly string[];
  /** Whether a queue holds questions: they wait for nothing for long. */
  readonly asks: (queue: string) => boolean;
  /** How long a question may hold up its pushes, ms; undefined for what is none, or none that is asked here any more. */
  readonly askTimeoutMs: (delivery: Work) => number | undefined;
  readonly policyFor: (delivery: Work) => DeliveryPolicy;
  /** Whether the handler's module works on the request in the pool's threads. */
  readonly hasCallbacks: (delivery: Work) => boolean;
  /** Whether something comes of the answer's body. */
  readonly wantsBody: (delivery: Work) => boolean;
  /** Where the orders of its backend may go. */
  readonly allowedFor: (delivery: Work) => Allowed;
}

/** What the rules say of how a delivery is posted. */
export function postingBy(
  { hasCallbacks, wantsBody, allowedFor }: PoolRules,
  delivery: Work,
): Pick<Posting, 'allowed' | 'hasCallbacks' | 'wantsBody'> {
  return { hasCallbacks: hasCallbacks(delivery), wantsBody: wantsBody(delivery), allowed: allowedFor(delivery) };
}

/** What says how a delivery is treated. */
export type Work = Pick<NewDelivery, 'handler' | 'target'>;

/** A delivery may outlive its handler's place in the configuration while it is under way; it holds its lane as by default. */
const defaultHoldMs = 30_000;

/** What holds for a pool's deliveries, by handler: the pool's own rules, with the handler's `hold` and the sooner of both ends. */
export function rulesOf(pool: PoolConfig, handlers: readonly HandlerConfig[], sessions: readonly SessionHandler[]): PoolRules {
  const { scheduleMs, jitter, maxAgeMs, accept, defer, refuse } = pool.retry;
  const plain: DeliveryPolicy = { scheduleMs, jitter, maxAgeMs, holdMs: defaultHoldMs, lists: { accept, defer, refuse } };
  const policies = new Map(
    handlers.flatMap((handler) => {
      const policy = { ...plain, holdMs: handler.holdMs, maxAgeMs: Math.min(maxAgeMs, handler.ttlMs ?? maxAgeMs) };
      return queuesOf(handler).flatMap((queue) => (queue.pool === pool.id ? [[queue.handler, policy] as const] : []));
    }),
  );
  const withCallbacks = new Set(sessions.map(({ name }) => name));
  const followUps = new Map(handlers.flatMap(({ name, followUp }) => (followUp === undefined ? [] : [[name, followUp] as const])));
  const timeouts = new Map(
    handlers.flatMap(({ beforePush }) => (beforePush?.pool === pool.id ? [[beforePush.queue, beforePush.timeoutMs]] : [])),
  );

  function policyFor({ handler, target }: Work): DeliveryPolicy {
    if (target.purpose?.kind === 'ask') return askedOnce;
    const policy = policies.get(handler) ?? plain;
    return target.purpose?.kind === 'order' ? { ...policy, lists: chainLists } : policy;
  }

  return {
    handlers: [...policies.keys()],
    asks: (queue) => timeouts.has(queue),
    askTimeoutMs: ({ handler, target }) => (target.purpose?.kind === 'ask' ? timeouts.get(handler) : undefined),
    policyFor,
    hasCallbacks: ({ handler, target }) => target.purpose === undefined && withCallbacks.has(handler),
    wantsBody: ({ handler, target }) => target.purpose?.kind === 'ask' || followUps.has(handler),
    allowedFor: ({ handler }) => followUps.get(handler) ?? nowhere,
  };
}

/** Of a handler that is gone, or never followed up. */
const nowhere: Allowed = { allow: [], ownOrigin: '' };

/** A chain goes on at 200 and 201, waits at 429 and 5xx, and ends at everything else. */
const chainLists: DeliveryPolicy['lists'] = {
  accept: [200, 201],
  defer: [429, ...statuses(500, 599)],
  refuse: [...statuses(202, 428), ...statuses(430, 499)],
};

function statuses(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** An ask is put once: whatever comes of it, the handler's `on_failure` has an answer to. It cannot grow too old. */
const askedOnce: DeliveryPolicy = {
  ...{ scheduleMs: [], jitter: 0, maxAgeMs: Number.POSITIVE_INFINITY, holdMs: Number.POSITIVE_INFINITY },
  lists: { accept: [], defer: [], refuse: [] },
};
