import type { Within } from '../../../pools/contract.ts';
import type { Clock, EpochMs } from '../../kit/clock.ts';
import type { Outcome } from '../../model/attempt.ts';
import type { NewDelivery } from '../../model/delivery.ts';
import type { Admission } from '../admission.ts';
import type { Deadlines, DeadlinesOptions } from '../extensions.ts';
import type { PoolRules } from '../policy.ts';

/** Maximum time a question waits for a worker, ms: behind other requests, for a rate limit, or for a thread that is starting. */
const maxWaitMs = 30_000;

/** The code of a question that was not sent. */
export const notAsked = 'NOT_ASKED';

/**
 * Deadlines of the questions on a pool. The timeout of a question starts when a worker takes it. The wait for a worker starts
 * when its packet was accepted, and starts again after a crash or a pause of the pool.
 */
export class AskDeadlines implements Deadlines {
  readonly #rules: () => Pick<PoolRules, 'askTimeoutMs'>;
  readonly #admission: Admission;
  readonly #clock: Clock;
  #restartedAt: EpochMs = Number.POSITIVE_INFINITY;

  constructor({ rules, admission, clock }: DeadlinesOptions) {
    this.#rules = rules;
    this.#admission = admission;
    this.#clock = clock;
  }

  restart(): void {
    this.#restartedAt = this.#clock.now();
  }

  /** Undefined for a delivery that is no question, or that its handler does not ask on this pool. */
  waitsUntil(delivery: NewDelivery): EpochMs | undefined {
    if (this.#rules().askTimeoutMs(delivery) === undefined) return undefined;
    const waitsSince = Math.max(delivery.createdAt, this.#restartedAt);
    return Math.min(waitsSince, this.#clock.now()) + maxWaitMs; // a clock that is set back does not extend the wait
  }

  /** Undefined as in `waitsUntil`. */
  within(delivery: NewDelivery): Within | undefined {
    const atMostMs = this.#rules().askTimeoutMs(delivery);
    const until = this.waitsUntil(delivery);
    return atMostMs === undefined || until === undefined ? undefined : { until: until + atMostMs, atMostMs };
  }

  unsentOutcome(delivery: NewDelivery, now: number): Outcome | undefined {
    if (delivery.target.purpose?.kind !== 'ask') return undefined;
    const until = this.waitsUntil(delivery);
    if (until === undefined) return unsent('its handler no longer asks questions on this pool');
    if (until <= this.#clock.now()) return { kind: 'timed-out', phase: 'call', durationMs: 0 };
    return this.#admission.handler(delivery.handler).isBlocked(now) ? unsent('the circuit breaker is open') : undefined;
  }
}

function unsent(message: string): Outcome {
  return { kind: 'unsent', code: notAsked, message, durationMs: 0 };
}
