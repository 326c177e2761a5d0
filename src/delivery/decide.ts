import type { EpochMs } from '../kit/clock.ts';
import { jittered, type Random } from '../kit/pacing.ts';
import type { DeadReason } from '../model/attempt.ts';
import type { ContextVariables } from '../model/delivery.ts';
import type { Disposition } from '../spool/spool.ts';
import type { Refuser, Verdict } from './classify.ts';

/** What a pool and a handler say about trying again. */
export interface Patience {
  /** One wait per retry, ms. */
  readonly scheduleMs: readonly number[];
  readonly jitter: number;
  /** Age at which a delivery is given up, ms. */
  readonly maxAgeMs: number;
  /** How long a failing head may hold its lane, ms; Infinity: for ever. */
  readonly holdMs: number;
}

/** Where a delivery stands when an attempt has ended. */
export interface Standing {
  /** Attempts spent, this one included. */
  readonly attempts: number;
  readonly createdAt: EpochMs;
  /** When its first attempt failed; this attempt's end if it is the first. */
  readonly failingSince: EpochMs;
  readonly inLane: boolean;
  /** What the callbacks want to find at the next attempt. */
  readonly context: ContextVariables;
  readonly now: EpochMs;
  readonly random: Random;
}

/** A backend may ask for patience, but not for ever: a longer `Retry-After` counts as this. */
export const retryAfterCapMs = 3_600_000;

/** Decides a delivery's disposition from what its attempt met. */
export function decide(verdict: Verdict, standing: Standing, patience: Patience): Disposition {
  switch (verdict.kind) {
    case 'accepted':
      return { kind: 'delivered' };
    case 'refused':
      return { kind: 'dead', reason: deadReason[verdict.by], detail: verdict.reason };
    case 'deferred':
      return tryAgain(verdict, standing, patience);
    default:
      return verdict satisfies never;
  }
}

const deadReason = { backend: 'refused', callback: 'callback-failed', service: 'internal-error' } as const satisfies Record<
  Refuser,
  DeadReason
>;

type Deferred = Extract<Verdict, { kind: 'deferred' }>;

function tryAgain(verdict: Deferred, standing: Standing, patience: Patience): Disposition {
  const wait = patience.scheduleMs[standing.attempts - 1];
  if (wait === undefined) return { kind: 'dead', reason: 'attempts-exhausted', detail: verdict.reason };

  const { notBefore, leaveLane } = whenAndWhere(jittered(wait, patience.jitter, standing.random), verdict, { standing, patience });
  if (notBefore - standing.createdAt > patience.maxAgeMs) return { kind: 'dead', reason: 'expired', detail: verdict.reason };
  return { kind: 'retry', notBefore, leaveLane, context: standing.context };
}

/**
 * The later of schedule and hint. A head whose hold is over leaves its lane; one whose next wait would outlast its hold
 * is tried once more just as the hold ends, so that a lane is held as long as was said and no longer, unless the
 * backend itself asks to wait beyond it.
 */
function whenAndWhere(
  waitMs: number,
  verdict: Deferred,
  { standing, patience }: { readonly standing: Standing; readonly patience: Patience },
): { readonly notBefore: EpochMs; readonly leaveLane: boolean } {
  const { now, failingSince, inLane } = standing;
  const scheduled = now + waitMs;
  const hinted = now + Math.min(verdict.retryAfterMs ?? 0, retryAfterCapMs);
  const notBefore = Math.max(scheduled, hinted);
  if (!inLane || notBefore <= failingSince + patience.holdMs) return { notBefore, leaveLane: false };

  const holdEnds = failingSince + patience.holdMs;
  if (now >= holdEnds || hinted > holdEnds) return { notBefore, leaveLane: true };
  return { notBefore: holdEnds, leaveLane: false };
}

/** The end of one that grew too old while it waited: it is not even tried. */
export function whenExpired(
  { createdAt }: { readonly createdAt: EpochMs },
  { maxAgeMs }: Pick<Patience, 'maxAgeMs'>,
  now: EpochMs,
): Extract<Disposition, { kind: 'dead' }> | undefined {
  if (now - createdAt <= maxAgeMs) return undefined;
  return { kind: 'dead', reason: 'expired', detail: `it waited for longer than ${maxAgeMs} ms` };
}
