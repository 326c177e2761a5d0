/** The meaning of an outcome: for its delivery (`classify`), and for the health of the backend (`healthOf`). */
import type { EpochMs } from '../kit/clock.ts';
import { LOCAL_SHORTAGE } from '../kit/dial-tcp.ts';
import { type Judgement, type Outcome, TOKEN_UNAVAILABLE } from '../model/attempt.ts';
import { internalErrorCode } from './error-boundary.ts';

/** What an outcome means for its delivery. `reason` is shown to operators. */
export type Verdict =
  | { readonly kind: 'accepted' }
  /** May succeed later; `retryAfterMs` is the wait that the backend asks for. */
  | { readonly kind: 'deferred'; readonly reason: string; readonly retryAfterMs: number | undefined }
  /** A retry cannot succeed: the backend rejected it, a callback made no valid request, or an internal error occurred. */
  | { readonly kind: 'refused'; readonly by: RefusedBy; readonly reason: string };

export type RefusedBy = 'backend' | 'callback' | 'service';

/** The verdict after an internal error. */
export function refusedByService(reason: string): Verdict {
  return { kind: 'refused', by: 'service', reason };
}

/** Status codes that a pool classifies differently from the default. A code is in one list at most. */
export interface StatusLists {
  readonly accept: readonly number[];
  readonly defer: readonly number[];
  readonly refuse: readonly number[];
}

interface ClassifyOptions {
  readonly lists: StatusLists;
  readonly now: EpochMs;
}

/**
 * Classifies an outcome. By default 2xx is accepted; 400, 410, 413, 414, 415, 422, 431, 501 and 505 are refused, because the same
 * request cannot succeed later; every other status is deferred, including redirects, 401 and 404, which a deployment can cause
 * and end. The judgement of the handler's callbacks takes precedence.
 */
export function classify(outcome: Outcome, judgement: Judgement | undefined, { lists, now }: ClassifyOptions): Verdict {
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
      return deferred(outcome.code === TOKEN_UNAVAILABLE ? outcome.message : `unreachable: ${outcome.code}`);
    case 'unsent':
      if (outcome.code === threadLostCode || outcome.code === LOCAL_SHORTAGE) return deferred(outcome.message);
      return { kind: 'refused', by: outcome.code === internalErrorCode ? 'service' : 'callback', reason: outcome.message };
    default:
      return outcome satisfies never;
  }
}

/** The code of an attempt whose pool thread died repeatedly. */
export const threadLostCode = 'THREAD_LOST';

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

/**
 * Reads a `Retry-After` header as ms from `now`: seconds (fractions are accepted and rounded up to whole ms) or an HTTP-date;
 * 0 for a date in the past, undefined for any other value. RFC 9110 §10.2.3.
 */
export function retryAfterMs(header: string | undefined, now: EpochMs): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  const date = httpDate(text);
  return date === undefined ? undefined : Math.max(0, date - now);
}

/** RFC 9110 §5.6.7: IMF-fixdate, and the two obsolete forms. `Date.parse` alone would also accept "1" or "2020". */
function httpDate(text: string): EpochMs | undefined {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined;
  const withZone = /GMT$/.test(text) ? text : `${text} GMT`;
  const date = Date.parse(withZone);
  return Number.isNaN(date) ? undefined : date;
}

/**
 * What an attempt says about the backend, for the circuit breakers. `unreachable` counts against the whole pool. `failing` counts
 * against this handler on this pool: the backend is up and does not process its requests. `healthy`: the backend processed
 * the request, even if it rejected it permanently. `unknown`: a callback or a pool thread failed before the backend could.
 */
export type BackendHealth = 'failing' | 'healthy' | 'unknown' | 'unreachable';

/** A status set by a module concerns one message, so only the status of the backend itself counts as a failure. */
export function healthOf(outcome: Outcome, judgement: Judgement | undefined, verdict: Verdict): BackendHealth {
  switch (outcome.kind) {
    case 'answered':
      if (judgement?.origin === 'internal') return 'unknown';
      return verdict.kind === 'deferred' && judgement?.origin !== 'module' ? 'failing' : 'healthy';
    case 'broken':
      return 'failing';
    case 'refused':
    case 'sent':
      return 'healthy';
    case 'timed-out':
      return outcome.phase === 'connect' ? 'unreachable' : 'failing';
    case 'unreachable':
      return 'unreachable';
    case 'unsent':
      return 'unknown';
    default:
      return outcome satisfies never;
  }
}
