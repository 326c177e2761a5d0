import { collectDefaultMetrics, type Registry } from 'prom-client';
import type { Clock } from '../kit/clock.ts';
import { countAsks, countDeliveries } from './count-deliveries.ts';
import { countGuards } from './count-guards.ts';
import { countGate, countIntake } from './count-intake.ts';
import { countAsMongooseIm, countPushes } from './count-pushes.ts';
import type { EventBus, Events } from './events.ts';
import { type Readings, readGauges } from './read-gauges.ts';
import { MetricRegistry } from './registry.ts';
import { type Configured, Roster } from './roster.ts';

export interface Metrics {
  /** All metrics in the text format of Prometheus, and the content type to send with it. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Adds the pools and handlers of a reload, whose series start at 0. */
  add(configured: Configured): void;
}

export interface MetricsOptions extends Configured {
  readonly events: EventBus;
  readonly clock: Clock;
  /** Local virtual hosts: the values of the label `host`, in addition to `other`. */
  readonly hosts: readonly string[];
  readonly readings: Readings;
  /** Whether to add the names of these metrics in MongooseIM 6.3 and later. */
  readonly mongooseim: boolean;
  /** Reloads requested before this service was started. */
  readonly reloads: ReloadCounts;
  /** Version of this service. */
  readonly version: string;
}

/** Counts events from its creation on, and renders the metrics for Prometheus. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { events, hosts, version } = options;
  const registry = new MetricRegistry();
  const { prometheus } = registry;
  const roster = new Roster(options);

  countPushes(registry, options);
  countIntake(registry, events, hosts);
  countGate(registry, events);
  countAsks(registry, events, roster);
  countDeliveries(registry, events, roster);
  countGuards(registry, { ...options, roster });
  countReloads(registry, options);
  readGauges(registry, { ...options, roster });
  registry.gauge('event_pusher_build_info', () => [[[version, process.version], 1]]);
  if (options.mongooseim) countAsMongooseIm(registry, events, hosts);
  measureProcess(prometheus);

  return {
    render: async () => ({ contentType: prometheus.contentType, text: await prometheus.metrics() }),
    add: (configured) => roster.add(configured),
  };
}

/**
 * Memory, processor, open files, event loop and garbage collection. The counts of handles and requests are omitted: they are gauges
 * with `_total` in their names, and need a walk over all handles.
 */
function measureProcess(register: Registry): void {
  collectDefaultMetrics({ register });
  for (const kind of ['handles', 'requests', 'resources']) {
    register.removeSingleMetric(`nodejs_active_${kind}`);
    register.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
}

export type ReloadResult = Events['config.reload']['result'];

/** Number of requested reloads by result. */
export type ReloadCounts = Readonly<Record<ReloadResult, number>>;

export const noReloads: ReloadCounts = { applied: 0, refused: 0, restart: 0 };

interface ReloadOptions {
  readonly events: EventBus;
  readonly clock: Clock;
  /** Reloads before this service was started, including one that restarted it. */
  readonly reloads: ReloadCounts;
}

/** Counts reloads. A service that starts has just read its file, so the last reload counts as successful. */
function countReloads(registry: MetricRegistry, { events, clock, reloads }: ReloadOptions): void {
  const total = registry.counter('event_pusher_config_reloads_total');
  for (const result of ['applied', 'refused', 'restart'] as const) total.at(result).add(reloads[result]);
  let successful = true;
  let succeededAt = clock.now();

  events.on('config.reload', ({ result }) => {
    total.at(result).add();
    successful = result !== 'refused';
    if (successful) succeededAt = clock.now();
  });
  registry.gauge('event_pusher_config_last_reload_successful', () => [[[], Number(successful)]]);
  registry.gauge('event_pusher_config_last_reload_success_timestamp_seconds', () => [[[], succeededAt / 1000]]);
}
