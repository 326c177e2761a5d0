import type { Within } from '../../pools/contract.ts';
import type { Clock, EpochMs } from '../kit/clock.ts';
import type { Outcome } from '../model/attempt.ts';
import type { NewDelivery } from '../model/delivery.ts';
import type { Admission } from './admission.ts';
import type { PoolRules } from './policy.ts';

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

export interface DeadlinesParts {
  /** The current rules of the pool. */
  readonly rules: () => PoolRules;
  readonly admission: Admission;
  readonly clock: Clock;
}

export const noDeadlines: Deadlines = {
  restart: () => undefined,
  waitsUntil: () => undefined,
  within: () => undefined,
  unsentOutcome: () => undefined,
};
