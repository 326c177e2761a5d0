import type { Within } from '../../../pools/contract.ts';
import type { Clock, EpochMs } from '../../kit/clock.ts';
import type { Outcome } from '../../model/attempt.ts';
import type { NewDelivery } from '../../model/delivery.ts';
import type { Admission } from '../admission.ts';
import type { PoolRules } from '../policy.ts';

/** How long a question may wait for a worker, ms: behind others, for a rate limit, or for a thread that is not up yet. */
export const askWaitMs = 30_000;

/** For how long pushes wait for their question. */
export interface AskPatience {
  /** From now on questions are put: the time before is held against none of them. */
  begin(): void;
  /** The deadline of a question; undefined for another delivery, or a question that its handler does not ask on this pool. */
  within(delivery: NewDelivery): Within | undefined;
  /** When a question has waited too long for a worker; undefined as above. */
  waitsUntil(delivery: NewDelivery): EpochMs | undefined;
  /**
   * What an attempt would come to that is not even made: the question has waited for too long, its way is shut, or its
   * handler asks here no longer. Undefined: it may be made. `now` is of a clock that never jumps.
   */
  whyUnasked(delivery: NewDelivery, now: number): Outcome | undefined;
}

/** The code of a question that was not put. */
export const notAsked = 'NOT_ASKED';

export interface AskPatienceParts {
  /** Asked anew each time: they change with the configuration. */
  readonly rules: () => Pick<PoolRules, 'askTimeoutMs'>;
  readonly admission: Admission;
  readonly clock: Clock;
}

/**
 * The timeout of a question starts when a worker takes it. The wait for a worker starts when its packet was accepted, and
 * starts again after a crash or a pause of the pool.
 */
export function createAskPatience({ rules, admission, clock }: AskPatienceParts): AskPatience {
  let begunAt: EpochMs = Number.POSITIVE_INFINITY;

  function waitsUntil(delivery: NewDelivery): EpochMs | undefined {
    if (rules().askTimeoutMs(delivery) === undefined) return undefined;
    return Math.min(Math.max(delivery.createdAt, begunAt), clock.now()) + askWaitMs; // a clock that is set back does not extend the wait
  }

  function within(delivery: NewDelivery): Within | undefined {
    const atMostMs = rules().askTimeoutMs(delivery);
    const until = waitsUntil(delivery);
    return atMostMs === undefined || until === undefined ? undefined : { until: until + atMostMs, atMostMs };
  }

  function whyUnasked(delivery: NewDelivery, now: number): Outcome | undefined {
    if (delivery.target.purpose?.kind !== 'ask') return undefined;
    const until = waitsUntil(delivery);
    if (until === undefined) return unasked('its handler no longer asks questions on this pool');
    if (until <= clock.now()) return { kind: 'timed-out', phase: 'call', durationMs: 0 };
    return admission.handler(delivery.handler).isShut(now) ? unasked('the circuit breaker is open') : undefined;
  }

  return {
    begin: () => {
      begunAt = clock.now();
    },
    waitsUntil,
    within,
    whyUnasked,
  };
}

function unasked(message: string): Outcome {
  return { kind: 'unsent', code: notAsked, message, durationMs: 0 };
}
