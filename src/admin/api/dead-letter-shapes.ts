/** Parameters and responses of the dead letter routes; the command line checks responses with them. */
import { z } from 'zod';
import { flag, oneOf, section, text, whole } from '../../config/values.ts';
import { deadReasons } from '../../model/attempt.ts';
import { contentFlag, outcomeShape } from './content.ts';
import { count, deliveryId, instant, time } from './values.ts';

/** Maximum number of dead letters in one list, and of ids in one request. */
export const mostAtOnce = 10_000;

/** All keys must match. */
const filterKeys = {
  pool: text.optional(),
  handler: text.optional(),
  host: text.optional(),
  reason: oneOf(deadReasons).optional(),
  detail: z.string({ error: 'a text' }).max(10_000).optional().describe('The whole text of `detail`.'),
  /** Died at this instant or later. */
  since: instant.optional(),
  /** Died before this instant. */
  before: instant.optional(),
};

const idsExpected = `a list of 1 to ${mostAtOnce} ids`;
const ids = z.array(deliveryId, { error: idsExpected }).min(1, { error: idsExpected }).max(mostAtOnce, { error: idsExpected });

export const listParameters = section({
  ...filterKeys,
  id: ids.optional(),
  limit: whole(1, mostAtOnce).default(100),
  order: oneOf(['newest', 'oldest'])
    .default('newest')
    .describe('Which ones are listed if there are more than the limit. The oldest is always first.'),
  content: contentFlag,
});

const letterKeys = {
  id: z.string(),
  host: z.string(),
  handler: z.string(),
  pool: z.string(),
  reason: z.enum(deadReasons),
  detail: z.string().describe('For callers that may not see content, the error text of a callback is `[hidden]`.'),
  status: z.int().nullable().describe('Of the last response; null if there was none.'),
  attempts: count,
  createdAt: time,
  diedAt: time,
  sender: z.string().optional().describe('A bare JID, only with content.'),
  receiver: z.string().optional().describe('A bare JID, only with content.'),
};

export const letterList = z.array(z.object(letterKeys));

export const groupsShape = z.object({
  total: count.describe('Number of dead letters.'),
  seen: count.describe('Number of the newest ones, from which the groups are made.'),
  groups: z
    .array(
      z.object({
        pool: z.string(),
        handler: z.string(),
        reason: z.enum(deadReasons),
        detail: letterKeys.detail,
        count,
        oldestAt: time,
        newestAt: time,
        filter: z
          .object({ pool: z.string(), handler: z.string(), reason: z.enum(deadReasons), detail: z.string().optional() })
          .describe('Selects the group for a replay or a purge. Without `detail` if the caller may not see it.'),
      }),
    )
    .describe('At most 200, the largest first.'),
});

export const letterParameters = section({ id: deliveryId, content: contentFlag });

const judgement = z.object({
  verdict: z.enum(['permfailed', 'success', 'tempfailed', 'unclassified']),
  status: z.int().nullable(),
  detail: z.string(),
  origin: z.enum(['http', 'internal', 'module']),
  context: z.record(z.string(), z.string()),
});

export const answeredShape = z.object({
  result: z.enum(['allowed', 'failed']),
  reason: z.string().optional().describe('Why there is no valid answer.'),
  userIDList: z.array(z.string()).optional().describe('Only with content.'),
  offlinePushInfo: z.record(z.string(), z.unknown()).optional().describe('Only with content.'),
});

const requestShape = z.object({
  kind: z.literal('http'),
  origin: z
    .string()
    .optional()
    .describe('Destination of a request that a response ordered; empty if it breaks a rule. Other requests go to their pool.'),
  method: z.string(),
  path: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])).describe('Values of secret-looking names are redacted without content.'),
  stanza: z.string().optional().describe('XML, only with content.'),
  answered: answeredShape.optional().describe('The answer of a business server about this push.'),
});

const messageShape = z.object({
  kind: z.literal('xmpp'),
  from: z.string().nullable().describe('Null: the attachment.'),
  to: z.string().optional().describe('As ordered, only with content.'),
});

export const letterShape = z.object({
  ...letterKeys,
  target: z.discriminatedUnion('kind', [requestShape, messageShape]).nullable().describe('Null if no request was made.'),
  parent: z.string().nullable().describe('The delivered delivery whose response created this one; null if there is none.'),
  descendants: z
    .array(z.object({ id: z.string(), state: z.enum(['dead', 'owed']) }))
    .describe('Deliveries that its response created, and theirs, as far as they are pending or dead.'),
  history: z.array(
    z.object({
      number: z.int().min(1),
      at: time,
      outcome: outcomeShape,
      judgement: judgement.nullable().describe('Result of the callbacks of the handler.'),
    }),
  ),
  bodyBytes: count.nullable(),
  body: z
    .object({ encoding: z.enum(['base64', 'text']), data: z.string() })
    .optional()
    .describe('Only with content.'),
  packet: z.string().optional().describe('The packet as JSON text if no request was made of it; only with content.'),
});

const filter = section(filterKeys);

const selectionKeys = {
  ids: ids.optional(),
  filter: filter.optional(),
  all: z.literal(true, { error: 'true' }).optional(),
  dryRun: flag.default(false).describe('Only count.'),
};

const selections = '"ids", a "filter" with at least one key, both, or only "all": true';
const required = { path: ['all'], error: `${selections} to select dead letters` };

export const purgeParameters = section(selectionKeys).refine(hasSelection, required).describe(`Selection: ${selections}.`);

export const replayParameters = section({
  ...selectionKeys,
  limit: whole(1).optional().describe('Maximum number; the oldest are replayed first.'),
})
  .refine(hasSelection, required)
  .describe(`Selection: ${selections}.`);

/** An empty selection does not mean all, and "all" excludes ids and a filter. */
function hasSelection({
  ids,
  filter,
  all,
}: {
  readonly ids?: unknown;
  readonly filter?: object | undefined;
  readonly all?: true | undefined;
}): boolean {
  const isNamed = ids !== undefined || Object.keys(filter ?? {}).length > 0;
  return isNamed !== (all === true);
}

const before = time.describe(
  'Letters that died before this instant were selected. Use it as the filter `before` to select the same ones again.',
);

export const purgedShape = z.object({ count, before });

export const replayedShape = z.object({
  count: count.describe('Number of deliveries made; in a dry run, number of selected letters.'),
  failed: count.describe('Number of letters that remain, because their callbacks failed again or make no request now.'),
  before,
});
