import { collectDefaultMetrics, type Registry } from 'prom-client';
import type { Clock } from '../kit/clock.ts';
import { countAsks, countDeliveries } from './count-deliveries.ts';
import { countGuards } from './count-guards.ts';
import { countGate, countIntake } from './count-intake.ts';
import { countAsMongooseIm, countPushes } from './count-pushes.ts';
import type { EventBus, Events } from './events.ts';
import { type Readings, readGauges } from './read-gauges.ts';
import { createMetricRegistry, type MetricRegistry } from './registry.ts';
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

export type ReloadResult = Events['config.reload']['result'];

/** How often a new configuration was asked for, by what came of it. */
export type ReloadCounts = Readonly<Record<ReloadResult, number>>;

export const noReloads: ReloadCounts = { applied: 0, refused: 0, restart: 0 };

interface ReloadOptions {
  readonly events: EventBus;
  readonly clock: Clock;
  /** Those before this service was started: a reload may be what started it. */
  readonly reloads: ReloadCounts;
}

/** Whether the file that was read last is what runs. A service that starts has just read its file. */
export function countReloads(registry: MetricRegistry, { events, clock, reloads }: ReloadOptions): void {
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
