import { createHostLabel } from './count-pushes.ts';
import type { EventBus } from './events.ts';
import type { MetricRegistry } from './registry.ts';

/** Microseconds, each bound twice the one before: 2^0 to 2^30. */
const microsecondBuckets = Array.from({ length: 31 }, (_, exponent) => 2 ** exponent);

/**
 * The same under the names and units of MongooseIM from 6.3 on, so that its dashboards work as they are. As there, the
 * counters show 0 from the start, and the histogram appears with its first observation.
 */
export function countAsMongooseIm(registry: MetricRegistry, events: EventBus, hosts: readonly string[]): void {
  const hostLabel = createHostLabel(hosts);
  const sent = registry.counter('mod_event_pusher_http_sent_count');
  const failed = registry.counter('mod_event_pusher_http_sent_failure_count');
  const responseTime = registry.histogram('mod_event_pusher_http_sent_response_time', microsecondBuckets);
  for (const series of [sent, failed]) for (const host of hosts) series.at(host);

  events.on('attempt.ended', ({ accepted, host, outcome, purpose }) => {
    if (purpose !== 'push') return;
    const label = hostLabel(host);
    (accepted ? sent : failed).at(label).add();
    if (accepted) responseTime.at(label).observe(Math.round(outcome.durationMs * 1000));
  });
}
