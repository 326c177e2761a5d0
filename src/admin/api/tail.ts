import { z } from 'zod';
import { section, text } from '../../config/values.ts';
import { readFacts } from '../../model/facts.ts';
import type { TailLine } from '../tail.ts';
import { bareJidOf } from './bare-jid.ts';
import { refuseContentTo, withoutQuotes } from './content.ts';
import { eventShape, states } from './event-shapes.ts';
import { type ApiDependencies, type Caller, defineRoute, type Route } from './route.ts';
import { count, rfc3339, time } from './values.ts';

const parameters = section({
  viewer: text
    .optional()
    .describe('The `viewer` of the last response that was received. Without it, a view begins, and the response has no lines.'),
  handler: text.optional(),
  pool: text.optional(),
  host: text.optional(),
  jid: text.optional().describe('Bare JID of the sender or receiver; a resource is ignored. Only for callers that may see content.'),
  state: states.describe('State of the event after the step.'),
});

const { id, packetId, messageId, stanzaId, host, handler, pool, sender, receiver, kind, state } = eventShape.shape;

export const tailShape = z.object({
  viewer: z
    .string()
    .describe(
      'The parameter of the next request, with the same filter; the request confirms these lines. After 30 s without a request the viewer is forgotten.',
    ),
  begins: z.boolean().describe('Whether the view begins here: earlier steps are not shown.'),
  missed: count.describe('Number of earlier lines that were lost: only the last 5000 wait for a viewer.'),
  lines: z.array(
    z.object({
      at: time,
      what: z.enum(['accepted', 'attempt', 'settled', 'withheld']),
      ...{ id, packetId, messageId, stanzaId, host, handler, pool, sender, receiver, kind, state },
      attempt: z.int().nullable(),
      result: z.string().nullable().describe('Of an attempt: `answered`, `timed-out`, `unreachable` and so on.'),
      status: z.int().nullable(),
      durationMs: z.number().nullable(),
      reason: z
        .string()
        .describe('Why it failed, died or was withheld. Texts of callbacks are `[hidden]` for callers that may not see content.'),
    }),
  ),
});

/** The steps of events as they happen. A GET, so that a token that may only read can follow them. */
export function tailRoutes({ tail }: ApiDependencies): readonly Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/tail',
      summary: 'Follows the steps of events: each request returns those since the previous request.',
      parameters,
      response: tailShape,
      handle: ({ viewer, jid: user, state: wanted, ...filter }, caller) => {
        if (user !== undefined) refuseContentTo(caller);
        const page = tail.read(viewer, { ...filter, states: wanted, jid: user && bareJidOf(user) });
        return { ...page, lines: page.lines.map((line) => lineView(line, caller)) };
      },
    }),
  ];
}

function lineView({ at, what, subject, state: after, attempt, result, status, durationMs, reason }: TailLine, { mayReadContent }: Caller) {
  const { facts, sender: from, receiver: to, ...names } = subject;
  return {
    ...{ at: rfc3339(at), what, ...names, ...readFacts(facts), state: after },
    ...(mayReadContent ? { sender: from, receiver: to } : { sender: null, receiver: null }),
    ...{ attempt: attempt ?? null, result: result ?? null, status: status ?? null, durationMs: durationMs ?? null },
    reason: mayReadContent ? reason : withoutQuotes(reason, isOwnReason(result)),
  };
}

/** Whether the reason of a failure is a text of the service, not of a callback or a chat server. */
function isOwnReason(result: TailLine['result']): boolean {
  return result !== 'unsent' && result !== 'refused';
}
