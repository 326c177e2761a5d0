/** The state of the service at one instant, as plain values: the verdict and the dashboard are made of it. */
import type { PoolConfig } from '../../config/config.ts';
import type { EpochMs } from '../../kit/clock.ts';
import type { HistorySpan } from '../../spool/history/record.ts';
import type { AttachmentState, BreakerState } from '../../telemetry/events.ts';
import type { FlowPoint, QueueRates } from '../../telemetry/flow.ts';

export interface Facts {
  readonly now: EpochMs;
  readonly startedAt: EpochMs;
  readonly draining: boolean;
  /** Averages of the last seconds, and levels. */
  readonly flow: FlowPoint;
  readonly spool: SpoolFacts;
  /** The span of settled events that is recorded; null if they are not. */
  readonly history: HistorySpan | null;
  readonly pools: readonly PoolFacts[];
  readonly hosts: readonly HostFacts[];
  /** Deliveries whose pool or handler is not configured. */
  readonly orphaned: number;
  /** Pauses of pools and handlers that are not configured. */
  readonly removedPauses: readonly { readonly pool: string; readonly handler: string | null }[];
  readonly reload: ReloadFacts | null;
}

export interface SpoolFacts {
  readonly bytes: number;
  /** 0 if the engine has no limit. */
  readonly maxBytes: number;
  readonly writable: boolean;
  /** Why intake is stopped; empty if it is not. */
  readonly reason: string;
  readonly refusesSince: EpochMs | null;
  /** Time until intake stops because the spool is full, ms; null while it does not grow. */
  readonly fullInMs: number | null;
  /** Why the last commits may be lost, as found at the start; empty if none are missing. */
  readonly loss: string;
}

/** The error of an attempt. Not yet masked. */
export interface ErrorFacts {
  readonly at: EpochMs;
  readonly text: string;
  readonly nextAt: EpochMs | null;
}

/** What pools and queues have in common. */
interface SendingFacts {
  readonly name: string;
  readonly waiting: number;
  readonly dead: number;
  /** Whether an operator has paused it. */
  readonly paused: boolean;
  /** Null if it was paused before the start of the service, or is not paused. */
  readonly pausedSince: EpochMs | null;
  readonly breaker: BreakerState;
  /** When the breaker opened; null if it is closed. */
  readonly breakerSince: EpochMs | null;
  /** Remaining open time of the breaker, ms; null if it is not open. */
  readonly probeInMs: number | null;
}

export interface QueueFacts extends SendingFacts {
  /** End of the pause that the backend asked for; null without a pause. */
  readonly pausedUntil: EpochMs | null;
  readonly consecutiveFailures: number;
  readonly failingSince: EpochMs | null;
  readonly lastError: ErrorFacts | null;
  /** Attempts within five minutes, and the accepted ones among them. */
  readonly attempts: number;
  readonly accepted: number;
  readonly rates: QueueRates;
  /** `error`: the error of the callback on accept that failed, if it was one. */
  readonly lastDeath: { readonly at: EpochMs; readonly reason: string; readonly error: string | null } | null;
}

export interface PoolFacts extends SendingFacts {
  readonly origin: string;
  readonly workers: number;
  readonly inFlight: number;
  readonly oldestAt: EpochMs | null;
  readonly maxBacklog: number;
  readonly overflow: PoolConfig['overflow'];
  /** Age at which its deliveries are given up, ms. */
  readonly maxAgeMs: number;
  readonly lastOverflowAt: EpochMs | null;
  readonly handlers: readonly QueueFacts[];
}

/** A host of an attachment, at one of its nodes. */
export interface HostFacts {
  readonly attachment: string;
  readonly host: string;
  /** Empty if the attachment has one node. */
  readonly node: string;
  readonly state: AttachmentState;
  readonly reason: string;
  readonly since: EpochMs;
  readonly lastPacketAt: EpochMs | null;
  /** The queue of the tap in the chat server; null if it has not reported one. */
  readonly tap: { readonly items: number; readonly bytes: number; readonly ratio: number } | null;
  /** The last loss in the chat server; `missing` is null if its size is unknown. */
  readonly lost: { readonly at: EpochMs; readonly missing: number | null } | null;
}

export interface ReloadFacts {
  readonly at: EpochMs;
  readonly result: 'applied' | 'refused' | 'restart';
  readonly reason: string;
}
