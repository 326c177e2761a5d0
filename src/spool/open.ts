import type { SpoolConfig } from '../config/config.ts';
import { type Clock, systemTimers, type Timers } from '../kit/clock.ts';
import type { ServiceError } from '../kit/errors.ts';
import type { EventSink } from '../telemetry/events.ts';
import { createMemorySpool } from './memory/spool.ts';
import type { Spool } from './spool.ts';
import { createSqliteSpool } from './sqlite/spool.ts';

export interface SpoolDeps {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers?: Timers;
  /** Whether an earlier start found the spool damaged; its file is then checked in full before use. Default false. */
  readonly check?: boolean;
  /** The engine is gone: every call rejects with SPOOL_FAILED from now on, and only a new spool helps. Called once. */
  readonly onFailed?: (error: ServiceError) => void;
}

/** The spool with the engine that the configuration names; not started yet. */
export function openSpool(config: SpoolConfig, deps: SpoolDeps): Spool {
  switch (config.engine) {
    case 'memory':
      return createMemorySpool(deps);
    case 'sqlite':
      return createSqliteSpool(config, { timers: systemTimers, onFailed: () => undefined, ...deps });
    default:
      return config.engine satisfies never;
  }
}
