/** Questions and answers about dead letters. */
import { z } from 'zod';
import { flag, oneOf, section, text, whole } from '../../config/values.ts';
import { deadReasons } from '../../model/attempt.ts';
import { outcomeShape } from './outcome.ts';
import { count, deliveryId, instant, time } from './values.ts';

/** At most so many are listed, or named by their ids, at once. */
export const mostAtOnce = 10_000;

/** Every given key must hold. */
const filterKeys = {
  pool: text.optional(),
  handler: text.optional(),
  host: text.optional(),
  reason: oneOf(deadReasons).optional(),
  /** Died at this instant or after. */
  since: instant.optional(),
  /** Died before this instant. */
  before: instant.optional(),
};

const idsExpected = `a list of 1 to ${mostAtOnce} ids`;
const ids = z.array(deliveryId, { error: idsExpected }).min(1, { error: idsExpected }).max(mostAtOnce, { error: idsExpected });

export const contentFlag = flag
  .default(false)
  .describe(
    'Whether to show what people wrote (bodies, packets, JIDs): for callers that may. Such a caller bears the admin token, where there is one.',
  );

export const listQuestion = section({
  ...filterKeys,
  id: ids.optional(),
  limit: whole(1, mostAtOnce).default(100),
  order: oneOf(['newest', 'oldest'])
    .default('newest')
    .describe('Which are listed when there are more than the limit. Either way the oldest stands first.'),
  content: contentFlag,
});

const letterKeys = {
  id: z.string(),
  host: z.string(),
  handler: z.string(),
  pool: z.string(),
  reason: z.enum(deadReasons),
  detail: z.string().describe('For callers that may not see content, the error text of a callback is `[hidden]`.'),
  status: z.int().nullable().describe('Of the last answer; null where there was none.'),
  attempts: count,
  createdAt: time,
  diedAt: time,
  sender: z.string().optional().describe('A bare JID, only with content.'),
  receiver: z.string().optional().describe('A bare JID, only with content.'),
};

export const letterList = z.array(z.object(letterKeys));

export const letterQuestion = section({ id: deliveryId, content: contentFlag });

const judgement = z.object({
  verdict: z.enum(['permfailed', 'success', 'tempfailed', 'unclassified']),
  status: z.int().nullable(),
  detail: z.string(),
  origin: z.enum(['http', 'internal', 'module']),
  context: z.record(z.string(), z.string()),
});

export const answeredShape = z.object({
  result: z.enum(['allowed', 'failed']),
  reason: z.string().optional().describe('Why no answer counts.'),
  userIDList: z.array(z.string()).optional().describe('Only with content.'),
  offlinePushInfo: z.record(z.string(), z.unknown()).optional().describe('Only with content.'),
});

const requestShape = z.object({
  kind: z.literal('http'),
  origin: z.string().optional().describe('Where it goes that an answer ordered; empty where it breaks a rule. Others go to their pool.'),
  method: z.string(),
  path: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])).describe('What looks like a secret is masked without content.'),
  stanza: z.string().optional().describe('XML, only with content.'),
  answered: answeredShape.optional().describe('What a business server answered when it was asked about this push.'),
});

const messageShape = z.object({
  kind: z.literal('xmpp'),
  from: z.string().nullable().describe('Null: the attachment.'),
  to: z.string().optional().describe('As it was ordered, only with content.'),
});

export const letterShape = z.object({
  ...letterKeys,
  target: z.discriminatedUnion('kind', [requestShape, messageShape]).nullable().describe('Null for what never became a request.'),
  parent: z.string().nullable().describe('The delivery whose answer brought it about, and which was delivered; null where none did.'),
  descendants: z
    .array(z.object({ id: z.string(), state: z.enum(['dead', 'owed']) }))
    .describe('What came of it, and of that, and is still here; what was delivered is not.'),
  history: z.array(
    z.object({
      number: z.int().min(1),
      at: time,
      outcome: outcomeShape,
      judgement: judgement.nullable().describe('What the callbacks of the handler made of it.'),
    }),
  ),
  bodyBytes: count.nullable(),
  body: z
    .object({ encoding: z.enum(['base64', 'text']), data: z.string() })
    .optional()
    .describe('Only with content.'),
  packet: z.string().optional().describe('The raw packet, as JSON text, of what never became a request; only with content.'),
});

const filter = section(filterKeys);

const selectionKeys = {
  ids: ids.optional(),
  filter: filter.optional(),
  all: z.literal(true, { error: 'true' }).optional(),
  dryRun: flag.default(false).describe('Only count.'),
};

const ways = '"ids", a "filter" with at least one key, both, or "all": true alone';
const mustSay = { path: ['all'], error: `${ways}: say which dead letters are meant` };

export const purgeQuestion = section(selectionKeys).refine(saysWhich, mustSay).describe(`Which are meant: ${ways}.`);

export const replayQuestion = section({ ...selectionKeys, limit: whole(1).optional().describe('The oldest go first.') })
  .refine(saysWhich, mustSay)
  .describe(`Which are meant: ${ways}.`);

/** Nobody means everything by saying nothing, and who says "all" has no filter in mind. */
function saysWhich({
  ids,
  filter,
  all,
}: {
  readonly ids?: unknown;
  readonly filter?: object | undefined;
  readonly all?: true | undefined;
}): boolean {
  const names = ids !== undefined || Object.keys(filter ?? {}).length > 0;
  return names !== (all === true);
}

const before = time.describe('Those that died before this instant were meant. Give it along to mean the same ones again.');

export const purgedShape = z.object({ count, before });

export const replayedShape = z.object({
  count: count.describe('How many are deliveries again; of a dry run: how many are meant.'),
  failed: count.describe('How many stay dead letters, since their callbacks failed again or want no request now.'),
  before,
});
