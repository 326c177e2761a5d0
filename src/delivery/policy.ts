/** What the configuration says about the deliveries of a pool: its queues, and the rules for each handler on it. */
import type { PoolThreadSettings, SessionHandler, SigningKeys } from '../../pools/contract.ts';
import type { BuiltInPool, HandlerConfig, PoolConfig } from '../config/config.ts';
import type { NewDelivery, QueueName } from '../model/delivery.ts';
import type { AllowedOrigins, DeliveryPolicy, JobOptions } from './attempt.ts';

/** The part of the configuration that the dispatcher uses, and that a reload may change. */
export interface DispatchConfig {
  readonly pools: readonly PoolConfig[];
  readonly handlers: readonly HandlerConfig[];
  /** Handlers whose modules have callbacks at delivery. */
  readonly sessions: readonly SessionHandler[];
}

/** The queues of a handler: of its pushes, its questions, and what its backend orders. Questions have a queue of their own, since their backend is another. */
export function queuesOf({ name, pool, beforePush, followUp }: HandlerConfig): readonly QueueName[] {
  return [
    { pool, handler: name },
    ...(beforePush === undefined ? [] : [{ pool: beforePush.pool, handler: beforePush.queue }]),
    ...(followUp === undefined ? [] : [orderPool, messagePool].map((followUpPool) => ({ pool: followUpPool, handler: name }))),
  ];
}

/** The name by which the spool knows that a handler of a pool is paused, or without a handler, the pool: names contain no slash. */
export const pausedName = (pool: string, handler: string): string => (handler === '' ? pool : `${pool}/${handler}`);

/** The built-in pool of the requests that responses order. */
export const orderPool: BuiltInPool = 'follow_up';
/** The built-in pool of the messages to users that responses order. */
export const messagePool: BuiltInPool = 'follow_up_messages';

export function isFollowUpPool(pool: string): boolean {
  return pool === orderPool || pool === messagePool;
}

/** The handlers with callbacks in the threads of this pool. */
export function sessionsOf(pool: PoolConfig, { handlers, sessions }: DispatchConfig): readonly SessionHandler[] {
  const own = new Set(handlers.filter((handler) => handler.pool === pool.id).map(({ name }) => name));
  return sessions.filter(({ name }) => own.has(name));
}

/** The settings that cannot change while a pool runs, as text to compare. It contains secrets. */
export function fixedSettingsOf(pool: PoolConfig, config: DispatchConfig): string {
  return JSON.stringify([pool, sessionsOf(pool, config), signingOf(pool, config.handlers), revealed(pool)]);
}

/** The settings of a pool that contain secrets, in plain text. */
function revealed({ headers, oauth, egress }: PoolConfig): Pick<PoolThreadSettings, 'egress' | 'headers' | 'tokens'> {
  return {
    headers: headers.map(({ name, value, from }) => ({ name, value: value.reveal(), replaces: from !== 'headers' })),
    tokens: oauth && { ...oauth, clientSecret: oauth.clientSecret.reveal() },
    egress: { ...egress, proxy: egress.proxy?.reveal() },
  };
}

/** Undefined if no request of the pool is signed. */
export function signingOf({ id, sign = [] }: PoolConfig, handlers: readonly HandlerConfig[]): SigningKeys | undefined {
  const signers = handlers.filter((handler) => handler.pool === id && handler.sign !== undefined);
  const ofHandlers = signers.map((handler) => [handler.name, handler.sign?.map((key) => key.reveal()) ?? []] as const);
  return sign.length + signers.length === 0 ? undefined : { ofPool: sign.map((key) => key.reveal()), ofHandlers };
}

type ThreadParts = Pick<PoolThreadSettings, 'callbackTimeoutMs' | 'handlers' | 'signing' | 'userAgent'>;

export function threadSettingsOf(pool: PoolConfig, parts: ThreadParts): PoolThreadSettings {
  const { id: name, client, origin, workers, tls, requestTimeoutMs, callTimeoutMs, maxConnectionAgeMs, maxResponseBytes } = pool;
  const limits = { requestTimeoutMs, callTimeoutMs, maxConnectionAgeMs, maxResponseBytes };
  return { name, client, origin, workers, tls, ...revealed(pool), ...limits, ...parts };
}

/** Deliveries in memory: so many that their bytes are the limit, except for those with short bodies. */
const slots = 4096;
const maxBytes = 16 * 1024 * 1024;

/** Settlements not on disk: enough to keep the workers busy during a commit, few enough to repeat after a crash. */
const settlementsPerWorker = 8;
const minSettlements = 256;

/** One job for a worker and one in reserve, so that no worker waits for the next turn of the main thread. */
const inFlightPerWorker = 2;

/** Limits on the deliveries of a pool that are in memory. */
export function limitsOf({ workers, firstAttemptShare }: Pick<PoolConfig, 'firstAttemptShare' | 'workers'>) {
  const inFlight = workers * inFlightPerWorker;
  return {
    ...{ slots, bytes: maxBytes, inFlight },
    settlements: Math.max(minSettlements, workers * settlementsPerWorker),
    /** Retries in flight, unless no first attempt waits. */
    retries: Math.floor(inFlight * (1 - firstAttemptShare)),
  };
}

/** The rules of a pool; a reload may change them while it runs. */
export interface PoolRules {
  /** The names of the pool's queues. */
  readonly handlers: readonly string[];
  /** Whether a queue holds questions, which have deadlines. */
  readonly asks: (queue: string) => boolean;
  /** Timeout of a question, ms; undefined for other deliveries, and for questions that are no longer configured. */
  readonly askTimeoutMs: (delivery: Subject) => number | undefined;
  readonly policyFor: (delivery: Subject) => DeliveryPolicy;
  /** Whether the module of the handler has callbacks at delivery. */
  readonly hasCallbacks: (delivery: Subject) => boolean;
  /** Whether the body of the response is evaluated. */
  readonly wantsBody: (delivery: Subject) => boolean;
  /** Whether the handler has signing keys of its own. */
  readonly signs: (delivery: Subject) => boolean;
  /** Origins that orders of the handler's backend may go to. */
  readonly allowedFor: (delivery: Subject) => AllowedOrigins;
}

/** The part of a delivery that its rules depend on. */
type Subject = Pick<NewDelivery, 'handler' | 'target'>;

/** The rules of a delivery and the facts of its attempt; without a spread, because every attempt makes one. */
export function jobOptionsOf(
  rules: PoolRules,
  delivery: Subject,
  { key, within, rfc3339 }: Pick<JobOptions, 'key' | 'rfc3339' | 'within'>,
): JobOptions {
  const [hasCallbacks, wantsBody, allowed] = [rules.hasCallbacks(delivery), rules.wantsBody(delivery), rules.allowedFor(delivery)];
  return { key, hasCallbacks, wantsBody, signs: rules.signs(delivery), within, allowed, rfc3339 };
}

/** The hold of a delivery in flight whose handler is no longer configured, ms. */
const defaultHoldMs = 30_000;

/** The rules of a pool by handler: those of the pool, with the `hold` of the handler and the shorter of both maximum ages. */
export function rulesOf(pool: PoolConfig, handlers: readonly HandlerConfig[], sessions: readonly SessionHandler[]): PoolRules {
  const { scheduleMs, jitter, maxAgeMs, accept, defer, refuse } = pool.retry;
  const poolPolicy: DeliveryPolicy = { scheduleMs, jitter, maxAgeMs, holdMs: defaultHoldMs, lists: { accept, defer, refuse } };
  const policies = new Map(
    handlers.flatMap((handler) => {
      const policy = { ...poolPolicy, holdMs: handler.holdMs, maxAgeMs: Math.min(maxAgeMs, handler.ttlMs ?? maxAgeMs) };
      return queuesOf(handler).flatMap((queue) => (queue.pool === pool.id ? [[queue.handler, policy] as const] : []));
    }),
  );
  const signers = new Set(handlers.filter((handler) => handler.pool === pool.id && handler.sign !== undefined).map(({ name }) => name));
  const withCallbacks = new Set(sessions.map(({ name }) => name));
  const followUps = new Map(handlers.flatMap(({ name, followUp }) => (followUp === undefined ? [] : [[name, followUp] as const])));
  const askTimeouts = new Map(
    handlers.flatMap(({ beforePush }) => (beforePush?.pool === pool.id ? [[beforePush.queue, beforePush.timeoutMs]] : [])),
  );

  function policyFor({ handler, target }: Subject): DeliveryPolicy {
    if (target.purpose?.kind === 'ask') return askPolicy;
    const policy = policies.get(handler) ?? poolPolicy;
    return target.purpose?.kind === 'order' ? { ...policy, lists: orderLists } : policy;
  }

  return {
    handlers: [...policies.keys()],
    asks: (queue) => askTimeouts.has(queue),
    askTimeoutMs: ({ handler, target }) => (target.purpose?.kind === 'ask' ? askTimeouts.get(handler) : undefined),
    policyFor,
    hasCallbacks: ({ handler, target }) => target.purpose === undefined && withCallbacks.has(handler),
    wantsBody: ({ handler, target }) => target.purpose?.kind === 'ask' || followUps.has(handler),
    signs: ({ handler }) => signers.has(handler),
    allowedFor: ({ handler }) => followUps.get(handler) ?? noOrigins,
  };
}

/** For a handler that is no longer configured, or without `follow_up`. */
const noOrigins: AllowedOrigins = { allow: [], ownOrigin: '' };

/** A question is sent once: the handler's `on_failure` decides about any failure. It does not expire by age. */
const askPolicy: DeliveryPolicy = {
  ...{ scheduleMs: [], jitter: 0, maxAgeMs: Number.POSITIVE_INFINITY, holdMs: Number.POSITIVE_INFINITY },
  lists: { accept: [], defer: [], refuse: [] },
};

/** A chain of orders continues at 200 and 201, is retried at 429 and 5xx, and ends at any other status. */
const orderLists: DeliveryPolicy['lists'] = {
  accept: [200, 201],
  defer: [429, ...statuses(500, 599)],
  refuse: [...statuses(202, 428), ...statuses(430, 499)],
};

function statuses(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
