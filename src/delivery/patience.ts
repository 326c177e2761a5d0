import type { Concluded } from './attempt.ts';
import { retryAfterCapMs } from './decide.ts';
import { retryAfterMs } from './retry-after.ts';

/** For a backend that says "too many" without saying how long, to one whose delivery is not tried again, ms. */
const shortestPauseMs = 1000;

/**
 * How long a backend wants to be left alone by a handler: 429 speaks of all its requests, not of the one that met it
 * (RFC 6585 §4). The later of `Retry-After` and the delivery's own wait. Undefined: it has not asked, or a pool counts 429
 * as something else. What is ordered goes to many, and a question that is answered so has failed like any other: the next is
 * put all the same.
 */
export function askedPatienceMs({ attempt, outcome, verdict, disposition, at }: Concluded): number | undefined {
  if (attempt.delivery.target.purpose !== undefined) return undefined;
  if (outcome.kind !== 'answered' || outcome.status !== 429 || verdict.kind !== 'deferred') return undefined;
  const hintMs = Math.min(retryAfterMs(outcome.retryAfter, at) ?? 0, retryAfterCapMs);
  return Math.max(hintMs, disposition.kind === 'retry' ? disposition.notBefore - at : shortestPauseMs);
}
