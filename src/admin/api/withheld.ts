import { z } from 'zod';
import { oneOf, section, text, whole } from '../../config/values.ts';
import type { WithheldPush } from '../../telemetry/recent.ts';
import { contentFlag, quoted, refuseContentTo, type Visibility } from './content.ts';
import { type ApiDependencies, defineRoute, type Route } from './route.ts';
import { rfc3339, time } from './values.ts';

const withheldParameters = section({
  handler: text.optional(),
  host: text.optional(),
  limit: whole(1, 1000).default(100),
  order: oneOf(['newest', 'oldest'])
    .default('newest')
    .describe('Which ones are listed if there are more than the limit. The oldest is always first.'),
  content: contentFlag,
});

const reasons = [
  ...['action-code', 'bad-answer', 'bad-status', 'broken', 'no-receiver', 'not-asked', 'refused', 'timed-out', 'unreachable'],
] as const;

const withheldShape = z.object({
  id: z.string().describe('The operationID of the request to the business server.'),
  packetId: z.string(),
  at: time,
  handler: z.string(),
  host: z.string(),
  why: z
    .enum(reasons)
    .describe(
      '`refused` and `no-receiver` are answers; all other reasons are failures: `on_failure` refuses, or (`bad-answer`) the `userIDList` of the answer is invalid.',
    ),
  errCode: z.int().nullable().describe('From the answer.'),
  errMsg: z.string().describe('From the answer; `[hidden]` for callers that may not see content.'),
  errDlt: z.string().describe('From the answer; `[hidden]` for callers that may not see content.'),
  sender: z.string().optional().describe('A bare JID, only with content.'),
  receiver: z.string().optional().describe('A bare JID, only with content.'),
});

/** Pushes that business servers withheld recently. */
export function withheldRoutes({ withheld }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/withheld',
    summary: 'Lists the last pushes that business servers withheld, newest last. The list is kept in memory.',
    parameters: withheldParameters,
    response: z.array(withheldShape),
    handle: ({ handler, host, limit, order, content }, caller) => {
      if (content) refuseContentTo(caller);
      const matching = withheld.list().filter((push) => (handler ?? push.handler) === push.handler && (host ?? push.host) === push.host);
      return (order === 'newest' ? matching.slice(-limit) : matching.slice(0, limit)).map((push) =>
        withheldView(push, { content, mayQuote: caller.mayReadContent }),
      );
    },
  });
  return [list];
}

function withheldView(push: WithheldPush, { content, mayQuote }: Visibility): z.input<typeof withheldShape> {
  const { at, id, packetId, handler, host, why, errCode, sender, receiver, errMsg, errDlt } = push;
  const texts = { errMsg: quoted(errMsg, mayQuote), errDlt: quoted(errDlt, mayQuote) };
  return { id, packetId, at: rfc3339(at), handler, host, why, errCode, ...texts, ...(content ? { sender, receiver } : {}) };
}
