import type { Clock, EpochMs } from '../kit/clock.ts';
import type { MetricRegistry } from './registry.ts';
import type { Roster } from './roster.ts';

/** Current values, read from their owners on each scrape. None may block or count rows. */
export interface Readings {
  spoolStats(): SpoolReading;
  /** Requests in progress in each pool, and its number of workers. */
  inFlight(): readonly { readonly pool: string; readonly value: number; readonly workers: number }[];
  /** Deliveries whose handler or pool is not configured. */
  orphans(): readonly { readonly pool: string; readonly handler: string; readonly waiting: number }[];
  attached(): readonly { readonly attachment: string; readonly host: string; readonly attached: boolean }[];
  /** Bytes received from chat servers that are not yet on disk. */
  uncommittedBytes(): number;
}

/** The measured part of the spool's statistics. */
interface SpoolReading {
  readonly depths: readonly { readonly pool: string; readonly waiting: number; readonly dead: number }[];
  /** Pools and handlers (`pool/handler`) that an operator has paused. */
  readonly paused: readonly string[];
  readonly bytes: number;
  readonly writable: boolean;
  /** Time at which the oldest pending delivery was accepted, by pool. */
  readonly oldest: ReadonlyMap<string, EpochMs>;
  /** Time until intake stops because the spool is full; undefined while the spool does not grow. */
  readonly fullInMs: number | undefined;
  /** Reason why the last commits may be lost; empty if none are missing. */
  readonly loss: string;
}

interface GaugeOptions {
  readonly readings: Readings;
  readonly clock: Clock;
  readonly roster: Roster;
}

export function readGauges(registry: MetricRegistry, options: GaugeOptions): void {
  const { readings } = options;
  readSpool(registry, options);

  registry.gauge('event_pusher_uncommitted_bytes', () => [[[], readings.uncommittedBytes()]]);
  registry.gauge('event_pusher_attached', () =>
    readings.attached().map(({ attachment, host, attached }) => [[attachment, host], Number(attached)]),
  );
  registry.gauge('event_pusher_workers', () =>
    readings.inFlight().flatMap(({ pool, value, workers }) => [
      [[pool, 'busy'], value],
      [[pool, 'idle'], Math.max(0, workers - value)],
    ]),
  );
}

function readSpool(registry: MetricRegistry, { readings, clock, roster }: GaugeOptions): void {
  /** Sums over the handlers of each pool. A pool without deliveries has an empty backlog. */
  function depths(): ReadonlyMap<string, { readonly waiting: number; readonly dead: number }> {
    const sums = new Map(roster.pools.map((pool) => [pool, { waiting: 0, dead: 0 }]));
    for (const { pool, waiting, dead } of readings.spoolStats().depths) {
      const before = sums.get(pool) ?? { waiting: 0, dead: 0 };
      sums.set(pool, { waiting: before.waiting + waiting, dead: before.dead + dead });
    }
    return sums;
  }

  registry.gauge('event_pusher_spool_depth', () =>
    [...depths()].flatMap(([pool, { waiting, dead }]) => [
      [[pool, 'waiting'], waiting],
      [[pool, 'dead'], dead],
    ]),
  );
  registry.gauge('event_pusher_orphaned', () => readings.orphans().map(({ pool, handler, waiting }) => [[pool, handler], waiting]));
  registry.gauge('event_pusher_handler_paused', () =>
    readings.spoolStats().paused.flatMap((name) => {
      const [pool = '', handler] = name.split('/');
      return handler === undefined ? [] : [[[pool, handler], 1]];
    }),
  );
  registry.gauge('event_pusher_pool_paused', () => {
    const { paused } = readings.spoolStats();
    return roster.pools.map((pool) => [[pool], Number(paused.includes(pool))]);
  });
  registry.gauge('event_pusher_spool_oldest_age_seconds', () => {
    const { oldest } = readings.spoolStats();
    const now = clock.now();
    return [...new Set([...roster.pools, ...oldest.keys()])].map((pool) => [[pool], Math.max(0, now - (oldest.get(pool) ?? now)) / 1000]);
  });
  registry.gauge('event_pusher_spool_bytes', () => [[[], readings.spoolStats().bytes]]);
  registry.gauge('event_pusher_spool_possible_loss', () => [[[], Number(readings.spoolStats().loss !== '')]]);
  registry.gauge('event_pusher_spool_time_to_full_seconds', () => [
    [[], (readings.spoolStats().fullInMs ?? Number.POSITIVE_INFINITY) / 1000],
  ]);
  registry.gauge('event_pusher_spool_writable', () => [[[], Number(readings.spoolStats().writable)]]);
}
