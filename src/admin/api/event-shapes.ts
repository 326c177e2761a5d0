/** Parameters and responses of the event routes; the command line checks responses with them. */
import { z } from 'zod';
import { flag, oneOf, section, text, whole } from '../../config/values.ts';
import { eventStates } from '../event-lookup.ts';
import { contentFlag } from './content.ts';
import { letterShape, mostAtOnce } from './dead-letter-shapes.ts';
import { addedLater, count, deliveryId, instant, time } from './values.ts';

const idsExpected = `a list of 1 to ${mostAtOnce} ids`;
const ids = z.array(deliveryId, { error: idsExpected }).min(1, { error: idsExpected }).max(mostAtOnce, { error: idsExpected });

const cursorExpected = 'the `next` of the previous response';
const cursor = z.string({ error: cursorExpected }).min(1, { error: cursorExpected }).max(2000, { error: cursorExpected }).optional();

/** A status that an HTTP response or a callback can have. */
const status = whole(100, 999).optional();

const filterKeys = {
  jid: text.optional().describe('Bare JID of the sender or receiver; a resource is ignored. Only for callers that may see content.'),
  stanzaId: text.optional().describe('The `id` attribute of the stanza, or its archive id.'),
  handler: text.optional(),
  pool: text.optional(),
  host: text.optional(),
  status: status.describe('Of the last response.'),
  since: instant.optional().describe('Settled at this instant or later; for waiting events, accepted.'),
  before: instant.optional().describe('Settled before this instant; for waiting events, accepted.'),
};

const statesExpected = `a list of ${eventStates.join(', ')}`;
export const states = z.array(oneOf(eventStates), { error: statesExpected }).min(1, { error: statesExpected }).optional();

export const listParameters = section({
  ...filterKeys,
  id: ids.optional().describe('A `webhook-id`.'),
  state: states,
  limit: whole(1, mostAtOnce).default(100),
  order: oneOf(['newest', 'oldest'])
    .default('newest')
    .describe('Which ones are listed first if there are more than the limit. Within a page the oldest is always first.'),
  cursor: cursor.describe('Continues a search: the `next` of its previous page, with the other parameters unchanged.'),
});

const person = z.string().nullable().describe('A bare JID; null for callers that may not see content.');

const eventKeys = {
  id: z.string().describe('The `webhook-id`.'),
  packetId: z.string(),
  messageId: z.string().nullable().describe('The `id` attribute of the stanza, at most 256 characters.'),
  stanzaId: z.string().nullable().describe('The archive id (XEP-0359).'),
  host: z.string(),
  handler: z.string(),
  pool: z.string(),
  sender: person,
  receiver: person,
  kind: z.string().nullable().describe('Null if it was stored by a version that did not keep it.'),
  state: z.enum(eventStates),
  status: z.int().nullable().describe('Of the last response; null if there was none.'),
  attempts: count,
  createdAt: time,
  settledAt: time.nullable().describe('Null while it waits.'),
  reason: z.string().describe('Why it is dead or was withheld, otherwise empty.'),
  dueAt: time.nullable().describe('When a waiting event is due; null if it is being sent, or waits for an earlier one of its lane.'),
  held: z.boolean().describe('Whether the process holds it, to send it at once or when its pool may send.'),
};

export const eventShape = z.object(eventKeys);

export const eventList = z.object({
  events: z.array(eventShape),
  next: z.string().nullable().describe('The `cursor` of the next page; null at the end. A page may be incomplete before the end.'),
});

export const showParameters = section({ id: deliveryId, content: contentFlag });

export const eventDetailShape = z.object({
  ...eventKeys,
  seenAt: time,
  detail: z.string().describe('For callers that may not see content, the error text of a callback is `[hidden]`.'),
  parent: letterShape.shape.parent.describe('The delivery whose response created this one; null if there is none.'),
  behind: addedLater(z.string().nullable(), null).describe('The earliest event of its lane if the event waits for it, else null.'),
  descendants: z
    .array(z.object({ id: z.string(), state: z.enum(eventStates) }))
    .describe('Deliveries that its response created, and theirs, as far as they are known.'),
  target: letterShape.shape.target.describe('Null if no request was made, or if it is no longer stored.'),
  history: letterShape.shape.history,
  timeline: addedLater(
    z.array(
      z.object({
        at: time,
        what: z
          .enum(['seen', 'created', 'asked', 'accepted', 'attempt', 'settled'])
          .describe(
            '`created`: by the response to an attempt of `parent`. `asked`: a business server answered the question about the push.',
          ),
        attempt: z.int().nullable(),
        result: z
          .string()
          .describe(
            'Of an attempt: `answered`, `timed-out`, `unreachable` and so on. Of the end: the state. Of `accepted`: `request-made`, or `no-request` if a callback failed.',
          ),
        status: z.int().nullable(),
        durationMs: z.number().nullable(),
        detail: z.string().describe('Phase of a timeout, name of an error, or reason of the end.'),
      }),
    ),
    [],
  ).describe('What happened to the event, as far as it is stored, in order.'),
  incomplete: addedLater(z.boolean(), false).describe(
    'Whether the search of the history ended at its limit (2 s, 1000 records), so that steps may be missing.',
  ),
  bodyBytes: letterShape.shape.bodyBytes,
  body: letterShape.shape.body,
  packet: letterShape.shape.packet,
});

const filter = section({ ...filterKeys, state: states });

const selections = '"ids", a "filter" with at least one key, both, or only "all": true';

export const actionParameters = section({
  ids: ids.optional(),
  filter: filter.optional(),
  all: z.literal(true, { error: 'true' }).optional(),
  dryRun: flag.default(false).describe('Only count.'),
  limit: whole(1, mostAtOnce).default(1000).describe('Maximum number of events in one call; the oldest come first.'),
  cursor: cursor.describe('Continues the action: the `next` of the previous response, with its `before` in the filter.'),
})
  .refine(hasSelection, { path: ['all'], error: `${selections} to select events` })
  .describe(`Selection: ${selections}.`);

/** An empty selection does not mean all, and "all" excludes ids and a filter. A continued action has the filter key `before`. */
function hasSelection({
  ids: given,
  filter: keys,
  all,
}: {
  readonly ids?: unknown;
  readonly filter?: object | undefined;
  readonly all?: true | undefined;
}): boolean {
  const isNamed = given !== undefined || Object.keys(keys ?? {}).length > 0;
  return isNamed !== (all === true);
}

export const actionShape = z.object({
  count: count.describe('Number of changed events; in a dry run, of those that would be.'),
  failed: count.describe('Dead letters that remain, because their callbacks failed again or make no request now.'),
  skipped: z.array(z.object({ id: z.string(), why: z.string() })).describe('Selected events that were not changed.'),
  next: z.string().nullable().describe('The `cursor` of the next call; null at the end.'),
  before: time.describe('Events before this instant were selected. Use it as the filter `before` in the next calls.'),
});
