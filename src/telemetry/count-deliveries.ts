import { ServiceError } from '../kit/errors.ts';
import type { EventBus, Events } from './events.ts';
import { attemptBuckets, type MetricRegistry, waitBuckets } from './registry.ts';
import type { Roster } from './roster.ts';
import { Series } from './series.ts';

/** Counts events between the spool and the backends. Series of pools start at 0 when these are configured. */
export function countDeliveries(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  countAttempts(registry, events, roster);
  countConsecutiveFailures(registry, events, roster);
  countDispositions(registry, events, roster);
  countDeadLetters(registry, events, roster);
  countIgnoredAnswers(registry, events);
  countThreadDeaths(registry, events, roster);
}

function countAttempts(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const attempts = registry.counter('event_pusher_attempts_total');
  const duration = registry.histogram('event_pusher_attempt_duration_seconds', attemptBuckets);
  const firstLag = registry.histogram('event_pusher_first_attempt_lag_seconds', waitBuckets);
  const retries = registry.counter('event_pusher_retries_total');
  roster.eachPool((pool) => {
    for (const series of [duration, firstLag, retries]) series.at(pool);
  });

  events.on('attempt.ended', ({ pool, attempt, outcome, ageMs }) => {
    attempts.at(pool, outcome.kind, codeClass(outcome)).add();
    duration.at(pool).observe(outcome.durationMs / 1000);
    if (attempt === 1) firstLag.at(pool).observe((ageMs - outcome.durationMs) / 1000);
    else retries.at(pool).add();
  });
}

/** Rises with the first failed attempt, so that it shows a failure at low traffic and before a circuit breaker opens. */
function countConsecutiveFailures(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const failures = new Series<{ value: number }, [pool: string, handler: string]>(() => ({ value: 0 }));
  roster.eachHandler(({ name, pool, beforePush }) => {
    failures.at(pool, name);
    if (beforePush !== undefined) failures.at(beforePush.pool, beforePush.queue);
  });

  events.on('attempt.ended', ({ pool, handler, accepted }) => {
    const cell = failures.at(pool, handler);
    cell.value = accepted ? 0 : cell.value + 1;
  });
  registry.gauge('event_pusher_consecutive_failures', () =>
    Array.from(failures.cells(), ([[pool = '', handler = ''], { value }]) => [[pool, handler], value] as const),
  );
}

const codeClasses = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];

function codeClass(outcome: Events['attempt.ended']['outcome']): string {
  return outcome.kind === 'answered' ? (codeClasses[Math.floor(outcome.status / 100)] ?? 'other') : 'none';
}

function countDispositions(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const accepted = registry.counter('event_pusher_accepted_total');
  const deliveries = registry.counter('event_pusher_deliveries_total');
  const latency = registry.histogram('event_pusher_delivery_latency_seconds', waitBuckets);
  const leftLane = registry.counter('event_pusher_left_lane_total');
  const claimed = registry.counter('event_pusher_deliveries_claimed_total');
  roster.eachPool((pool) => {
    for (const series of [accepted, latency, leftLane]) series.at(pool);
    for (const how of ['append', 'next', 'spool']) claimed.at(pool, how);
  });
  roster.eachHandler(({ name, pool }) => {
    for (const disposition of ['delivered', 'dead', 'retry']) deliveries.at(pool, name, disposition);
  });

  events.on('delivery.accepted', ({ pool }) => accepted.at(pool).add());
  events.on('delivery.claimed', ({ pool, how, count }) => claimed.at(pool, how).add(count));
  events.on('delivery.left-lane', ({ pool }) => leftLane.at(pool).add());
  events.on('delivery.settled', ({ pool, handler, disposition, ageMs }) => {
    deliveries.at(pool, handler, disposition).add();
    if (disposition === 'delivered') latency.at(pool).observe(ageMs / 1000);
  });
}

/** Dead letters have three sources: deliveries that failed, deliveries beyond a full backlog, and failed callbacks on accept. */
function countDeadLetters(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const deadLetters = registry.counter('event_pusher_dead_letters_total');
  const poolOf = new Map<string, string>();
  roster.eachHandler(({ name, pool }) => {
    poolOf.set(name, pool);
    deadLetters.at(pool, name, 'callback-failed');
  });

  events.on('delivery.settled', ({ pool, handler, disposition, reason }) => {
    if (disposition === 'dead') deadLetters.at(pool, handler, reason).add();
  });
  events.on('backlog.overflow', ({ pool, handler, policy, count }) => {
    if (policy !== 'hold-intake') deadLetters.at(pool, handler, 'overflow').add(count);
  });
  events.on('callback.failed', ({ handler, error }) => {
    const blocked = error instanceof ServiceError && error.code === 'CALLBACK_BLOCKED';
    deadLetters.at(poolOf.get(handler) ?? 'other', handler, blocked ? 'callback-blocked' : 'callback-failed').add();
  });
}

function countIgnoredAnswers(registry: MetricRegistry, events: EventBus): void {
  const ignored = registry.counter('event_pusher_answers_ignored_total');
  events.on('answer.ignored', ({ handler, reason }) => ignored.at(handler, reason).add());
}

function countThreadDeaths(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const deaths = registry.counter('event_pusher_pool_thread_deaths_total');
  roster.eachPool((pool) => deaths.at(pool));
  events.on('pool.thread', ({ pool, state }) => {
    if (state === 'died') deaths.at(pool).add();
  });
}

/** Counts questions to business servers. Series of a handler with questions start at 0 when it is configured. */
export function countAsks(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const asks = registry.counter('event_pusher_asks_total');
  const failures = registry.counter('event_pusher_ask_failures_total');
  roster.eachHandler(({ name, beforePush }) => {
    if (beforePush !== undefined) for (const result of ['allowed', 'failed', 'withheld']) asks.at(name, result);
  });

  events.on('ask.ended', ({ handler, result, reason }) => {
    asks.at(handler, result).add();
    if (reason !== undefined) failures.at(handler, reason).add();
  });
}
