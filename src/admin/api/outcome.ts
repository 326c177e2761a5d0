import { z } from 'zod';
import type { Outcome } from '../../../pools/contract.ts';

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
    /** The first part of the answer's body. */
    excerpt: z.string(),
    truncated: z.boolean(),
  }),
  z.object({ kind: z.literal('timed-out'), phase: z.enum(['body', 'call', 'connect', 'headers']), durationMs }),
  z.object({ kind: z.literal('sent'), durationMs }),
  z.object({ kind: z.literal('refused'), message: z.string(), durationMs }),
  z.object({ kind: z.literal('unreachable'), ...trouble }),
  z.object({ kind: z.literal('broken'), ...trouble }),
  z.object({ kind: z.literal('unsent'), ...trouble }),
]);

export function outcomeView(outcome: Outcome): z.input<typeof outcomeShape> {
  if (outcome.kind !== 'answered') return outcome;
  const { body, ...rest } = outcome;
  return { ...rest, retryAfter: outcome.retryAfter ?? null };
}
