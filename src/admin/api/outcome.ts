import { z } from 'zod';
import type { Outcome } from '../../model/attempt.ts';
import { hidden } from './content.ts';

const durationMs = z.number();
const trouble = { code: z.string(), message: z.string(), durationMs };

/** What happened on the wire; `unsent`: a callback of the handler made no request, or an order may not go; `sent` and `refused`: a message to a user. */
export const outcomeShape = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('answered'),
    status: z.int(),
    durationMs,
    /** The header `retry-after` as it came. */
    retryAfter: z.string().nullable(),
    excerpt: z.string().describe('The first part of the body. `[hidden]` for callers that may not see content.'),
    truncated: z.boolean(),
  }),
  z.object({ kind: z.literal('timed-out'), phase: z.enum(['body', 'call', 'connect', 'headers']), durationMs }),
  z.object({ kind: z.literal('sent'), durationMs }),
  z.object({ kind: z.literal('refused'), message: z.string(), durationMs }),
  z.object({ kind: z.literal('unreachable'), ...trouble }),
  z.object({ kind: z.literal('broken'), ...trouble }),
  z.object({ kind: z.literal('unsent'), ...trouble }),
]);

/** `mayQuote`: whether response excerpts and error texts of callbacks are shown. */
export function outcomeView(outcome: Outcome, mayQuote: boolean): z.input<typeof outcomeShape> {
  if (outcome.kind === 'answered') {
    const { body, ...rest } = outcome;
    const excerpt = mayQuote || outcome.excerpt === '' ? outcome.excerpt : hidden;
    return { ...rest, excerpt, retryAfter: outcome.retryAfter ?? null };
  }
  const isQuote = outcome.kind === 'refused' || (outcome.kind === 'unsent' && !ownCodes.has(outcome.code));
  return isQuote && !mayQuote ? { ...outcome, message: hidden } : outcome;
}

/** Codes of `unsent` whose messages are written by the service itself. */
const ownCodes: ReadonlySet<string> = new Set(['DESTINATION_REFUSED', 'MISPLACED', 'NOT_ASKED', 'THREAD_LOST']);
