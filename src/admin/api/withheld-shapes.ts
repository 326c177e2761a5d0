/** The question and the answer about pushes that were withheld. */
import { z } from 'zod';
import { oneOf, section, text, whole } from '../../config/values.ts';
import { contentFlag } from './dead-letter-shapes.ts';
import { time } from './values.ts';

export const withheldQuestion = section({
  handler: text.optional(),
  host: text.optional(),
  limit: whole(1, 1000).default(100),
  order: oneOf(['newest', 'oldest'])
    .default('newest')
    .describe('Which are listed when there are more. Either way the oldest stands first.'),
  content: contentFlag,
});

const reasons = [
  ...['action-code', 'bad-answer', 'bad-status', 'broken', 'no-receiver', 'not-asked', 'refused', 'timed-out', 'unreachable'],
] as const;

export const withheldList = z.array(
  z.object({
    id: z.string().describe('The operationID that the business server was asked with.'),
    packetId: z.string(),
    at: time,
    handler: z.string(),
    host: z.string(),
    why: z
      .enum(reasons)
      .describe(
        '`refused` and `no-receiver` are answers; all other reasons are failures: `on_failure` refuses, or (`bad-answer`) the `userIDList` of the answer is invalid.',
      ),
    errCode: z.int().nullable().describe('As answered.'),
    errMsg: z.string().describe('As answered; `[hidden]` for callers that may not see content.'),
    errDlt: z.string().describe('As answered; `[hidden]` for callers that may not see content.'),
    sender: z.string().optional().describe('A bare JID, only with content.'),
    receiver: z.string().optional().describe('A bare JID, only with content.'),
  }),
);
