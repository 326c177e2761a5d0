import type { EpochMs } from '../kit/clock.ts';
import { LOCAL_SHORTAGE } from '../kit/dial-tcp.ts';
import type { Judgement, Outcome } from '../model/attempt.ts';
import { type Dead, internalErrorCode } from './boundary.ts';
import { retryAfterMs } from './retry-after.ts';

/** What an outcome means for its delivery. `reason` is for people. */
export type Verdict =
  | { readonly kind: 'accepted' }
  /** May succeed later; `retryAfterMs` is the backend's own wish. */
  | { readonly kind: 'deferred'; readonly reason: string; readonly retryAfterMs: number | undefined }
  /** A retry cannot succeed: the backend rejected it, a callback made no valid request, or an internal error occurred. */
  | { readonly kind: 'refused'; readonly by: Refuser; readonly reason: string };

/** The verdict if classification threw. */
export function refusedByUs({ detail: reason }: Dead): Verdict {
  return { kind: 'refused', by: 'service', reason };
}

export type Refuser = 'backend' | 'callback' | 'service';

/** Status codes that a pool counts otherwise than by default. A code stands in one list at most. */
export interface StatusLists {
  readonly accept: readonly number[];
  readonly defer: readonly number[];
  readonly refuse: readonly number[];
}

/**
 * Judges an outcome. By default 2xx is accepted; what says "this request, never" is refused (400, 410, 413, 414, 415,
 * 422, 431, 501, 505); everything else is deferred, redirects and 401 or 404 included, since a deployment causes them
 * and ends them. Where the handler's callbacks have judged, their word counts.
 */
export function classify(outcome: Outcome, judgement: Judgement | undefined, { lists, now }: Standards): Verdict {
  const hintMs = outcome.kind === 'answered' ? retryAfterMs(outcome.retryAfter, now) : undefined;
  if (judgement === undefined) return classifyOutcome(outcome, lists, hintMs);
  const reason = judgement.status === undefined ? 'no status' : `status ${judgement.status} ${judgement.detail}`.trimEnd();
  switch (judgement.verdict) {
    case 'permfailed':
      return { kind: 'refused', by: 'backend', reason };
    case 'success':
      return { kind: 'accepted' };
    case 'tempfailed':
      return deferred(reason, hintMs);
    case 'unclassified':
      return judgement.status === undefined || judgement.origin === 'internal'
        ? classifyOutcome(outcome, lists, hintMs)
        : classifyStatus(judgement.status, { lists, hintMs, reason });
    default:
      return judgement.verdict satisfies never;
  }
}

export interface Standards {
  readonly lists: StatusLists;
  readonly now: EpochMs;
}

function classifyOutcome(outcome: Outcome, lists: StatusLists, hintMs: number | undefined): Verdict {
  switch (outcome.kind) {
    case 'answered':
      return classifyStatus(outcome.status, { lists, hintMs, reason: `status ${outcome.status}` });
    case 'broken':
      return deferred(`connection broken: ${outcome.code}`);
    case 'refused':
      return { kind: 'refused', by: 'backend', reason: outcome.message };
    case 'sent':
      return { kind: 'accepted' };
    case 'timed-out':
      return deferred(`timed out (${outcome.phase})`);
    case 'unreachable':
      return deferred(`unreachable: ${outcome.code}`);
    case 'unsent':
      if (outcome.code === threadLost || outcome.code === LOCAL_SHORTAGE) return deferred(outcome.message);
      return { kind: 'refused', by: outcome.code === internalErrorCode ? 'service' : 'callback', reason: outcome.message };
    default:
      return outcome satisfies never;
  }
}

/** The code of an attempt whose thread died again and again. */
export const threadLost = 'THREAD_LOST';

const refusedByDefault: ReadonlySet<number> = new Set([400, 410, 413, 414, 415, 422, 431, 501, 505]);

function classifyStatus(
  status: number,
  { lists, hintMs, reason }: { readonly lists: StatusLists; readonly hintMs: number | undefined; readonly reason: string },
): Verdict {
  if (lists.accept.includes(status)) return { kind: 'accepted' };
  if (lists.defer.includes(status)) return deferred(reason, hintMs);
  if (lists.refuse.includes(status)) return { kind: 'refused', by: 'backend', reason };
  if (status >= 200 && status < 300) return { kind: 'accepted' };
  if (refusedByDefault.has(status)) return { kind: 'refused', by: 'backend', reason };
  return deferred(reason, hintMs);
}

function deferred(reason: string, hintMs?: number): Verdict {
  return { kind: 'deferred', reason, retryAfterMs: hintMs };
}
