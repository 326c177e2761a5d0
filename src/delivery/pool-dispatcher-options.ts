import type { PoolConfig } from '../config/config.ts';
import type { Clock, Timers } from '../kit/clock.ts';
import type { Random } from '../kit/pacing.ts';
import type { Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { OpenCarrier } from './carrier.ts';
import type { Deadlines, DeadlinesParts } from './deadlines.ts';
import type { Follow } from './follow.ts';
import type { PoolRules } from './policy.ts';

/** What a pool's dispatcher works with. */
export interface PoolDispatcherOptions {
  readonly pool: Pick<PoolConfig, 'circuitBreaker' | 'firstAttemptShare' | 'id' | 'pauseOnGone' | 'rateLimit' | 'workers'>;
  readonly rules: PoolRules;
  /** An operator has paused it before. */
  readonly paused: boolean;
  readonly spool: Spool;
  readonly openCarrier: OpenCarrier;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Steps after a response, in this order; the first result counts. */
  readonly follow?: readonly Follow[];
  /** Default: no delivery has a deadline. */
  readonly openDeadlines?: (parts: DeadlinesParts) => Deadlines;
  /** The backend says that it is gone for good (410), and the pool is to be paused then. */
  readonly onGone: () => void;
  /** Pools, perhaps others, gained ready deliveries. */
  readonly onReady: (pools: readonly string[]) => void;
  /** The spool is gone: the service cannot go on. */
  readonly onFailed: (error: Error) => void;
}

export interface HowToStop {
  /** Time for attempts in flight to end, ms; the other deliveries stay on disk. */
  readonly graceMs: number;
  /** The process continues, so unfinished claims are released. */
  readonly release: boolean;
}
