import { collectDefaultMetrics, type Registry } from 'prom-client';
import type { Clock } from '../kit/clock.ts';
import { countAsks } from './count-asks.ts';
import { countDeliveries } from './count-deliveries.ts';
import { countGate } from './count-gate.ts';
import { countGuards } from './count-guards.ts';
import { countIntake } from './count-intake.ts';
import { countPushes } from './count-pushes.ts';
import { countReloads, type ReloadCounts } from './count-reloads.ts';
import type { EventBus } from './events.ts';
import { countAsMongooseIm } from './mongooseim-metrics.ts';
import { type Readings, readGauges } from './read-gauges.ts';
import { createMetricRegistry } from './registry.ts';
import { type Configured, createRoster } from './roster.ts';

export interface Metrics {
  /** All metrics in the text format of Prometheus, and the content type to send with it. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** What a reload brought: its series show 0 from now on. */
  know(configured: Configured): void;
}

export interface MetricsOptions extends Configured {
  readonly events: EventBus;
  readonly clock: Clock;
  /** Local virtual hosts: the only values of the label `host` beside `other`. */
  readonly hosts: readonly string[];
  readonly readings: Readings;
  /** Adds the names that MongooseIM gives these metrics from 6.3 on. */
  readonly mongooseim: boolean;
  /** Configurations that were asked for before this service was started. */
  readonly reloads: ReloadCounts;
  /** Of this service. */
  readonly version: string;
}

/** Counts what the events tell, from the moment it is created, and renders it for Prometheus. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { events, hosts, version } = options;
  const registry = createMetricRegistry();
  const { prometheus } = registry;
  const roster = createRoster(options);

  countPushes(registry, options);
  countIntake(registry, events, hosts);
  countGate(registry, events);
  countAsks(registry, events, roster);
  countDeliveries(registry, events, roster);
  countGuards(registry, events, roster);
  countReloads(registry, options);
  readGauges(registry, { ...options, roster });
  registry.gauge('event_pusher_build_info', () => [[[version, process.version], 1]]);
  if (options.mongooseim) countAsMongooseIm(registry, events, hosts);
  measureProcess(prometheus);

  return {
    render: async () => ({ contentType: prometheus.contentType, text: await prometheus.metrics() }),
    know: (configured) => roster.add(configured),
  };
}

/**
 * Memory, processor, open files, event loop and garbage collection. Left out are the counts of handles and requests:
 * they are gauges with `_total` in their names, and cost a walk over all of them.
 */
function measureProcess(register: Registry): void {
  collectDefaultMetrics({ register });
  for (const kind of ['handles', 'requests', 'resources']) {
    register.removeSingleMetric(`nodejs_active_${kind}`);
    register.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
}
