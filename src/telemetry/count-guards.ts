import type { Clock } from '../kit/clock.ts';
import type { BreakerState, EventBus } from './events.ts';
import type { MetricRegistry } from './registry.ts';
import type { Roster } from './roster.ts';
import { Series } from './series.ts';

interface GuardOptions {
  readonly events: EventBus;
  readonly clock: Pick<Clock, 'now'>;
  readonly roster: Roster;
}

/** Counts the protections against failing backends: circuit breakers, pauses, rate limits, and bounded backlogs. */
export function countGuards(registry: MetricRegistry, { events, clock, roster }: GuardOptions): void {
  countBreakers(registry, events, roster);
  countPauses(registry, events, roster);
  countShortages(registry, events, roster);
  countOverflow(registry, events);
  countDeleted(registry, events, roster);
  countDeliveryCallbacks(registry, events);
  countTokens(registry, { events, clock });
}

/** A larger value is worse, so that an alert can test for "above 0". */
const breakerValues: Readonly<Record<BreakerState, number>> = { closed: 0, 'slow-start': 1, 'half-open': 2, open: 3 };

function countBreakers(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const states = new Series<{ value: number }, [string, string]>(() => ({ value: 0 }));
  const opened = registry.counter('event_pusher_breaker_opened_total');
  roster.eachPool((pool) => states.at(pool, ''));
  roster.eachHandler(({ name, pool, beforePush }) => {
    states.at(pool, name);
    if (beforePush !== undefined) states.at(beforePush.pool, beforePush.queue);
  });

  events.on('breaker.state', ({ pool, handler, state }) => {
    states.at(pool, handler).value = breakerValues[state];
    if (state === 'open') opened.at(pool, handler).add();
  });
  registry.gauge('event_pusher_breaker_state', () =>
    Array.from(states.cells(), ([[pool = '', handler = ''], { value }]) => [[pool, handler], value] as const),
  );
}

function countPauses(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const pauses = registry.counter('event_pusher_handler_pauses_total');
  const throttled = registry.counter('event_pusher_throttled_seconds_total');
  roster.eachHandler(({ name, pool }) => pauses.at(pool, name));
  roster.eachPool((pool) => throttled.at(pool));
  events.on('handler.paused', ({ pool, handler }) => pauses.at(pool, handler).add());
  events.on('pool.throttled', ({ pool, waitMs }) => throttled.at(pool).add(waitMs / 1000));
}

function countShortages(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const shortages = registry.counter('event_pusher_local_shortages_total');
  roster.eachPool((pool) => shortages.at(pool));
  events.on('pool.shortage', ({ pool, state }) => {
    if (state !== 'ended') shortages.at(pool).add();
  });
}

function countOverflow(registry: MetricRegistry, events: EventBus): void {
  const overflow = registry.counter('event_pusher_overflow_total');
  events.on('backlog.overflow', ({ pool, handler, policy, count }) => overflow.at(pool, handler, policy).add(count));
}

/** Counts undelivered events that were deleted. Series of automatic deletions start at 0. */
function countDeleted(registry: MetricRegistry, events: EventBus, roster: Roster): void {
  const deleted = registry.counter('event_pusher_deleted_total');
  roster.eachHandler(({ name, pool }) => {
    for (const reason of ['age', 'count']) deleted.at(pool, name, reason);
  });
  events.on('spool.deleted', ({ pool, handler, reason, count }) => deleted.at(pool, handler, reason).add(count));
}

function countDeliveryCallbacks(registry: MetricRegistry, events: EventBus): void {
  const failures = registry.counter('event_pusher_delivery_callback_failures_total');
  events.on('delivery.callback-failed', ({ handler, callback }) => failures.at(handler, callback).add());
}

/** Series begin with the first answer: few pools have tokens. The newest token counts, whichever thread it was given to. */
function countTokens(registry: MetricRegistry, { events, clock }: Pick<GuardOptions, 'clock' | 'events'>): void {
  const requests = registry.counter('event_pusher_token_requests_total');
  const expiry = new Map<string, number>();
  events.on('token.answered', ({ pool, lifetimeMs, reason }) => {
    for (const result of ['issued', 'failed']) requests.at(pool, result);
    requests.at(pool, reason === '' ? 'issued' : 'failed').add();
    if (reason === '') expiry.set(pool, clock.now() + lifetimeMs);
  });
  registry.gauge('event_pusher_token_expiry_timestamp_seconds', () => Array.from(expiry, ([pool, at]) => [[pool], at / 1000] as const));
}
