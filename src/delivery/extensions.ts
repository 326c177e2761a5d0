/** Interfaces through which extensions plug into a pool: carriers and deadlines here, steps after a response as `Follow` in `attempt.ts`. */
import type { Within } from '../../pools/contract.ts';
import type { Clock, EpochMs } from '../kit/clock.ts';
import type { DispositionKind, Outcome } from '../model/attempt.ts';
import type { NewDelivery } from '../model/delivery.ts';
import type { Admission } from './admission.ts';
import type { Attempt, JobOptions, Reply } from './attempt.ts';
import type { PoolRules } from './policy.ts';

/** Sends the attempts of a pool. The default carrier is `PoolThreads`. */
export interface Carrier {
  start(): Promise<void>;
  /** Waits for the attempts in flight. */
  stop(): Promise<void>;
  /** Abandons the attempts in flight. */
  kill(): Promise<void>;
  /** The pool is about to stop: attempts that only wait for a connection to come back are reported as lost. */
  drain(): void;
  /** Sends an attempt. Calls back in a later turn of the event loop, with the key in `options`. */
  carry(attempt: Attempt, options: JobOptions): void;
  /** Reports the stored disposition of a delivery to the callbacks that wait for it. */
  disposed(key: number, disposition: DispositionKind): void;
}

export interface CarrierCallbacks {
  onOutcome(key: number, reply: Reply): void;
  /** The outcomes of these attempts are unknown, because their thread died. */
  onLost(keys: readonly number[]): void;
}

export type OpenCarrier = (callbacks: CarrierCallbacks) => Carrier;

/** The reply to an attempt in a pool that cannot send it: a message in a pool of requests, or a request in a pool of messages. */
export const misplacedReply: Reply = {
  outcome: { kind: 'unsent', code: 'MISPLACED', message: 'this pool cannot send a delivery of this kind', durationMs: 0 },
  judgement: undefined,
};

/** Deadlines of a pool's deliveries, for those that must be sent in time or not at all. */
export interface Deadlines {
  /** The pool starts or resumes: the wait so far does not count. */
  restart(): void;
  /** When the wait for a worker ends; undefined for a delivery without a deadline. */
  waitsUntil(delivery: NewDelivery): EpochMs | undefined;
  /** The deadline of an attempt; undefined for a delivery without one. */
  within(delivery: NewDelivery): Within | undefined;
  /** The outcome of a delivery that must not be sent, or not any more; undefined if it may be sent. `now` is monotonic. */
  unsentOutcome(delivery: NewDelivery, now: number): Outcome | undefined;
}

export interface DeadlinesOptions {
  /** The current rules of the pool. */
  readonly rules: () => PoolRules;
  readonly admission: Admission;
  readonly clock: Clock;
}
