import type { EventBus } from './events.ts';
import type { MetricRegistry } from './registry.ts';
import type { Roster } from './roster.ts';

/** What business servers say of pushes. A handler that asks shows 0 as soon as it is configured. */
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
