/** Verdict → disposition: whether a delivery is retried, when, and in which order with its lane. */
import type { EpochMs } from '../kit/clock.ts';
import { jittered, type Random } from '../kit/pacing.ts';
import type { DeadReason } from '../model/attempt.ts';
import type { ContextVariables } from '../model/delivery.ts';
import type { Disposition } from '../spool/spool.ts';
import type { RefusedBy, Verdict } from './classify.ts';

export interface RetryPolicy {
  /** One wait per retry, ms. */
  readonly scheduleMs: readonly number[];
  readonly jitter: number;
  /** Maximum age of a delivery, ms. */
  readonly maxAgeMs: number;
  /** How long a failing head may block its lane, ms; Infinity: without limit. */
  readonly holdMs: number;
}

/** State of a delivery at the end of an attempt. */
export interface AttemptContext {
  /** Attempts made, including this one. */
  readonly attempts: number;
  readonly createdAt: EpochMs;
  /** When its first attempt failed; the end of this attempt if it is the first. */
  readonly failingSince: EpochMs;
  readonly inLane: boolean;
  /** Context variables of the callbacks for the next attempt. */
  readonly context: ContextVariables;
  readonly now: EpochMs;
  readonly random: Random;
}

/** Maximum wait that a backend can ask for, ms: a longer `Retry-After` counts as this. */
export const maxRetryAfterMs = 3_600_000;

/** Decides the disposition of a delivery after an attempt. */
export function decide(verdict: Verdict, context: AttemptContext, policy: RetryPolicy): Disposition {
  switch (verdict.kind) {
    case 'accepted':
      return { kind: 'delivered' };
    case 'refused':
      return { kind: 'dead', reason: deadReasons[verdict.by], detail: verdict.reason };
    case 'deferred':
      return retry(verdict, context, policy);
    default:
      return verdict satisfies never;
  }
}

const deadReasons = { backend: 'refused', callback: 'callback-failed', service: 'internal-error' } as const satisfies Record<
  RefusedBy,
  DeadReason
>;

function retry(verdict: Extract<Verdict, { kind: 'deferred' }>, context: AttemptContext, policy: RetryPolicy): Disposition {
  const wait = policy.scheduleMs[context.attempts - 1];
  if (wait === undefined) return { kind: 'dead', reason: 'attempts-exhausted', detail: verdict.reason };

  const scheduled = context.now + jittered(wait, policy.jitter, context.random);
  const hinted = context.now + Math.min(verdict.retryAfterMs ?? 0, maxRetryAfterMs);
  const { notBefore, leaveLane } = withHold({ scheduled, hinted }, context, policy);
  if (notBefore - context.createdAt > policy.maxAgeMs) return { kind: 'dead', reason: 'expired', detail: verdict.reason };
  return { kind: 'retry', notBefore, leaveLane, context: context.context };
}

/**
 * The later of schedule and hint. A head whose hold is over leaves its lane; a head whose next wait would outlast its hold is
 * retried once more at the end of the hold, so that it blocks its lane for exactly that time, unless the backend itself asks
 * for a longer wait.
 */
function withHold(
  { scheduled, hinted }: { readonly scheduled: EpochMs; readonly hinted: EpochMs },
  { now, failingSince, inLane }: AttemptContext,
  { holdMs }: RetryPolicy,
): { readonly notBefore: EpochMs; readonly leaveLane: boolean } {
  const notBefore = Math.max(scheduled, hinted);
  const holdEnds = failingSince + holdMs;
  if (!inLane || notBefore <= holdEnds) return { notBefore, leaveLane: false };
  if (now >= holdEnds || hinted > holdEnds) return { notBefore, leaveLane: true };
  return { notBefore: holdEnds, leaveLane: false };
}

/** The disposition of a delivery that exceeded its maximum age before an attempt; undefined if it has not. */
export function whenExpired(
  { createdAt }: { readonly createdAt: EpochMs },
  { maxAgeMs }: Pick<RetryPolicy, 'maxAgeMs'>,
  now: EpochMs,
): Extract<Disposition, { kind: 'dead' }> | undefined {
  if (now - createdAt <= maxAgeMs) return undefined;
  return { kind: 'dead', reason: 'expired', detail: `not sent within its maximum age of ${maxAgeMs} ms` };
}
