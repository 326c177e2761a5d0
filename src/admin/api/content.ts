/** Content in responses: texts that may quote messages, and outcomes with such texts, as far as a caller may see them. */
import { z } from 'zod';
import { flag } from '../../config/values.ts';
import { ServiceError } from '../../kit/errors.ts';
import type { DeadReason, Outcome } from '../../model/attempt.ts';
import type { Caller } from './route.ts';

export const contentFlag = flag
  .default(false)
  .describe(
    'Whether to show content (bodies, packets, JIDs). The caller must have the admin token if one is configured, or be on loopback.',
  );

/** Throws CONTENT_HIDDEN if the caller may not see content. */
export function refuseContentTo({ mayReadContent }: Caller): void {
  if (!mayReadContent) throw new ServiceError('CONTENT_HIDDEN', 'content is shown only to callers with the token of [admin] token');
}

/** How much of a record a response shows. */
export interface Visibility {
  /** Whether content is shown. */
  readonly content: boolean;
  /** Whether texts that may quote content are shown: error texts of callbacks, responses of backends and business servers. */
  readonly mayQuote: boolean;
}

/** Replaces a text that the caller may not see. */
export const hidden = '[hidden]';

/** A text that may quote content. */
export function quoted(text: string, mayQuote: boolean): string {
  return mayQuote || text === '' ? text : hidden;
}

/** The callback name at the start of a failure text. */
const callbackName = /^(shouldMakeReq|prepareHeaders|prepareBody): /;

/**
 * The reason of a failure for callers that may not see content. Error texts of callbacks may quote a message or an option, so
 * only the status, the name of the callback and the service's own texts remain.
 */
export function withoutQuotes(text: string, isOwnText: boolean): string {
  const status = /^status \d{3}/.exec(text)?.[0];
  if (status !== undefined) return status === text ? text : `${status} ${hidden}`;
  const callback = callbackName.exec(text)?.[0];
  if (callback !== undefined) return `${callback}${hidden}`;
  return isOwnText || text === '' ? text : hidden;
}

/** The detail of a dead letter, as far as a caller may see it. */
export function shownDetail({ detail, reason }: { readonly detail: string; readonly reason: string }, mayQuote: boolean): string {
  return mayQuote ? detail : withoutQuotes(detail, !quotingReasons.has(reason));
}

/** Reasons whose detail may be the error text of a callback, or of an internal error, which may quote the data that caused it. */
const quotingReasons: ReadonlySet<string> = new Set(['callback-failed', 'internal-error', 'refused'] satisfies DeadReason[]);

const durationMs = z.number();
const failure = { code: z.string(), message: z.string(), durationMs };

/** Outcome of an attempt. `unsent`: a callback made no request, or an order is not allowed; `sent` and `refused`: a message to a user. */
export const outcomeShape = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('answered'),
    status: z.int(),
    durationMs,
    /** The header `retry-after` as received. */
    retryAfter: z.string().nullable(),
    excerpt: z.string().describe('The first part of the body. `[hidden]` for callers that may not see content.'),
    truncated: z.boolean(),
  }),
  z.object({ kind: z.literal('timed-out'), phase: z.enum(['body', 'call', 'connect', 'headers']), durationMs }),
  z.object({ kind: z.literal('sent'), durationMs }),
  z.object({ kind: z.literal('refused'), message: z.string(), durationMs }),
  z.object({ kind: z.literal('unreachable'), ...failure }),
  z.object({ kind: z.literal('broken'), ...failure }),
  z.object({ kind: z.literal('unsent'), ...failure }),
]);

/** `mayQuote`: whether response excerpts and error texts of callbacks are shown. */
export function outcomeView(outcome: Outcome, mayQuote: boolean): z.input<typeof outcomeShape> {
  if (outcome.kind === 'answered') {
    const { body, ...rest } = outcome;
    return { ...rest, excerpt: quoted(outcome.excerpt, mayQuote), retryAfter: outcome.retryAfter ?? null };
  }
  const isQuote = outcome.kind === 'refused' || (outcome.kind === 'unsent' && !ownCodes.has(outcome.code));
  return isQuote && !mayQuote ? { ...outcome, message: hidden } : outcome;
}

/** Codes of `unsent` whose messages are written by the service itself. */
const ownCodes: ReadonlySet<string> = new Set(['DESTINATION_REFUSED', 'MISPLACED', 'NOT_ASKED', 'THREAD_LOST']);
