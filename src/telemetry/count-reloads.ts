import type { Clock } from '../kit/clock.ts';
import type { EventBus, Events } from './events.ts';
import type { MetricRegistry } from './registry.ts';

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
