import type { Clock } from '../kit/clock.ts';
import type { EventBus } from './events.ts';
import { attemptBuckets, type MetricRegistry } from './registry.ts';
import { otherValue, Series, Spiral } from './series.ts';

/** Returns the label of a host: its name if it is a local host, otherwise `other`. */
type HostLabel = (host: string) => string;

export function createHostLabel(hosts: readonly string[]): HostLabel {
  const local = new Set(hosts);
  return (host) => (local.has(host) ? host : otherValue);
}

interface PushOptions {
  readonly events: EventBus;
  readonly clock: Clock;
  readonly hosts: readonly string[];
}

/**
 * The three metrics of MongooseIM's mod_event_pusher_http by host: `sent` (accepted attempts), `failed` (other attempts) and
 * `response_time` (duration of accepted attempts). Series of local hosts start at 0.
 */
export function countPushes(registry: MetricRegistry, { events, clock, hosts }: PushOptions): void {
  const hostLabel = createHostLabel(hosts);
  const sent = new Series<Spiral, [string]>(() => new Spiral(clock));
  const failed = new Series<Spiral, [string]>(() => new Spiral(clock));
  const responseTime = registry.histogram('mod_event_pusher_http_response_time_seconds', attemptBuckets);

  registry.counterOf('mod_event_pusher_http_sent_total', () => readSpirals(sent, (spiral) => spiral.total));
  registry.gauge('mod_event_pusher_http_sent_one', () => readSpirals(sent, (spiral) => spiral.one()));
  registry.counterOf('mod_event_pusher_http_failed_total', () => readSpirals(failed, (spiral) => spiral.total));
  registry.gauge('mod_event_pusher_http_failed_one', () => readSpirals(failed, (spiral) => spiral.one()));
  for (const series of [sent, failed, responseTime]) for (const host of hosts) series.at(host);

  events.on('attempt.ended', ({ accepted, host, outcome, purpose }) => {
    if (purpose !== 'push') return;
    const label = hostLabel(host);
    (accepted ? sent : failed).at(label).add();
    if (accepted) responseTime.at(label).observe(outcome.durationMs / 1000);
  });
}

function* readSpirals(series: Series<Spiral, [string]>, read: (spiral: Spiral) => number): Generator<readonly [[string], number]> {
  for (const [[host = ''], spiral] of series.cells()) yield [[host], read(spiral)];
}

/** Bounds in microseconds: 2^0 to 2^30. */
const microsecondBuckets = Array.from({ length: 31 }, (_, exponent) => 2 ** exponent);

/**
 * The same metrics under the names and units of MongooseIM 6.3 and later, so that its dashboards work unchanged. As there, the
 * counters start at 0, and the histogram appears with its first observation.
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
