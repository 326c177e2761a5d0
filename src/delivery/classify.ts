import type { Outcome } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import { retryAfterMs } from './retry-after.ts';

/** What an outcome means for its delivery. `reason` is for people. */
export type Verdict =
  | { readonly kind: 'accepted' }
  /** May succeed later; `retryAfterMs` is the backend's own wish. */
  | { readonly kind: 'deferred'; readonly reason: string; readonly retryAfterMs: number | undefined }
  /** Will never succeed as it is. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Status codes that a pool counts otherwise than by default. A code stands in one list at most. */
export interface StatusLists {
  readonly accept: readonly number[];
  readonly defer: readonly number[];
  readonly refuse: readonly number[];
}

/**
 * Judges an outcome. By default 2xx is accepted; what says "this request, never" is refused (400, 410, 413, 414, 415,
 * 422, 431, 501, 505); everything else is deferred, redirects and 401 or 404 included, since a deployment causes them
 * and ends them.
 */
export function classify(outcome: Outcome, lists: StatusLists, now: EpochMs): Verdict {
  switch (outcome.kind) {
    case 'answered':
      return classifyStatus(outcome.status, lists, retryAfterMs(outcome.retryAfter, now));
    case 'timed-out':
      return deferred(`timed out (${outcome.phase})`);
    case 'unreachable':
      return deferred(`unreachable: ${outcome.code}`);
    case 'broken':
      return deferred(`connection broken: ${outcome.code}`);
    default:
      return outcome satisfies never;
  }
}

const refusedByDefault: ReadonlySet<number> = new Set([400, 410, 413, 414, 415, 422, 431, 501, 505]);

function classifyStatus(status: number, lists: StatusLists, hintMs: number | undefined): Verdict {
  const reason = `status ${status}`;
  if (lists.accept.includes(status)) return { kind: 'accepted' };
  if (lists.defer.includes(status)) return deferred(reason, hintMs);
  if (lists.refuse.includes(status)) return { kind: 'refused', reason };
  if (status >= 200 && status < 300) return { kind: 'accepted' };
  if (refusedByDefault.has(status)) return { kind: 'refused', reason };
  return deferred(reason, hintMs);
}

function deferred(reason: string, hintMs?: number): Verdict {
  return { kind: 'deferred', reason, retryAfterMs: hintMs };
}
