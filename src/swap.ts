/** Gives a running service the parts of a new configuration that it can take without being started anew. */
import type { Logger } from 'pino';
import type { SessionHandler } from '../pools/contract.ts';
import type { Config } from './config/config.ts';
import type { Dispatcher } from './delivery/dispatcher.ts';
import type { DispatchConfig } from './delivery/policy.ts';
import type { Evaluator } from './hooks/evaluate.ts';
import type { LoadedHandler } from './hooks/handler.ts';
import { subscriptionOf } from './hooks/subscription.ts';
import type { Source } from './sources/source.ts';
import type { EventSink } from './telemetry/events.ts';
import type { Metrics } from './telemetry/metrics.ts';

export interface SwappedParts {
  readonly dispatcher: Dispatcher;
  readonly evaluator: Evaluator;
  readonly sources: readonly Source[];
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly events: EventSink;
}

export interface Change {
  readonly next: Config;
  /** The handlers of `next`; their modules' URLs are those that they were imported by. */
  readonly loaded: readonly LoadedHandler[];
  readonly running: Config;
}

/** Every packet meets the old handlers or the new ones: all is changed in one turn. Resolves when new and changed pools run. */
export async function swap({ dispatcher, evaluator, sources, metrics, log, events }: SwappedParts, change: Change): Promise<void> {
  const { next, loaded, running } = change;
  const parts = partsOf(next, loaded);
  const reconfigured = dispatcher.reconfigure(parts);
  metrics.know({ pools: next.pools.map(({ id }) => id), handlers: parts.handlers });
  evaluator.swap(loaded);
  for (const source of sources) source.resubscribe(subscriptionOf(loaded));
  log.level = next.logLevel;
  for (const text of next.notices) if (!running.notices.includes(text)) events.emit('notice', { text });
  await reconfigured;
}

/** What the dispatcher is to serve. */
export function partsOf({ pools }: Pick<Config, 'pools'>, loaded: readonly LoadedHandler[]): DispatchConfig {
  return { pools, handlers: loaded.map(({ config }) => config), sessions: loaded.flatMap(sessionOf) };
}

/** A handler whose module has callbacks at delivery works in its pool's threads too. */
function sessionOf({ config: { name, module }, delivers, opts }: LoadedHandler): readonly SessionHandler[] {
  return delivers && module.kind === 'url' ? [{ name, url: module.url, opts }] : [];
}
