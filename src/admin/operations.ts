import type { EpochMs } from '../kit/clock.ts';
import type { Outcome } from '../model/attempt.ts';
import type { DeliveryId, QueueName } from '../model/delivery.ts';
import type { DeadFilter } from '../spool/dead-letter.ts';
import type { BreakerState } from '../telemetry/events.ts';
import type { Standing } from '../telemetry/recent.ts';

/** What an operator may do to a running service beyond reading its spool; handed in by the composition root. */
export interface Operations {
  pools(): readonly PoolView[];
  /** The hosts that are configured. */
  hosts(): readonly string[];
  /** Stops sending to a pool, or goes on; remembered over restarts. False: there is no such pool. */
  setPaused(pool: string, paused: boolean): Promise<boolean>;
  /** Queues whose pool or handler is not configured. */
  orphans(): readonly OrphanView[];
  /** Gives an orphaned queue to a configured one; gives how many. Throws UNKNOWN_QUEUE. */
  moveOrphans(from: QueueName, to: QueueName): Promise<number>;
  purgeOrphans(queue: QueueName): Promise<number>;
  /** Replays dead letters, those that never were deliveries through the hooks; gives how many came back. */
  replay(filter: DeadFilter, limit: number): Promise<ReplayReport>;
  /** Sends one request through a handler, marked as a test, and gives what came back. Undefined: there is no such handler. */
  sendTest(handler: string): Promise<TestReport | undefined>;
}

export interface PoolView {
  readonly name: string;
  readonly origin: string;
  readonly workers: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly dead: number;
  readonly paused: boolean;
  /** When the oldest delivery still owed was accepted; null when nothing is. */
  readonly oldestAt: EpochMs | null;
  /** Seconds until intake of all pools stops because the spool is full, at the present rate; null while the spool does not grow. */
  readonly spoolFullInMs: number | null;
  /** The pool's own circuit breaker. */
  readonly breaker: BreakerState;
  readonly handlers: readonly QueueView[];
}

export interface QueueView {
  readonly name: string;
  readonly standing: Standing;
  readonly waiting: number;
  readonly dead: number;
  readonly breaker: BreakerState;
  /** Until when its backend has asked for patience; null when it has not. */
  readonly pausedUntil: EpochMs | null;
}

export interface OrphanView extends QueueName {
  readonly waiting: number;
}

export interface ReplayReport {
  readonly replayed: number;
  /** Their callbacks failed again, or want no request now: they stay dead letters. */
  readonly failed: number;
}

export interface TestReport {
  readonly id: DeliveryId;
  readonly method: string;
  readonly url: string;
  readonly outcome: Outcome;
  readonly accepted: boolean;
  /** Why it was not accepted; empty if it was. */
  readonly reason: string;
}
