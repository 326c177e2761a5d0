import type { z } from 'zod';
import { mostAtOnce } from '../admin/api/dead-letter-shapes.ts';
import { eventDetailShape, eventList, type eventShape } from '../admin/api/event-shapes.ts';
import { systemClock } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { type AdminClient, findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { attemptsText, requestFacts } from './dead-letters.ts';
import { actOnEvents } from './event-actions.ts';
import { type OptionName, type OptionValues, wholeOption } from './options.ts';
import { counted, facts, none, output, table } from './terminal.ts';
import { localTime, readTime } from './times.ts';

const searchOptions = [
  ...(['before', 'handler', 'host', 'id', 'jid', 'pool', 'since', 'stanza-id', 'state', 'status'] as const),
] satisfies readonly OptionName[];

const actionOptions = ['all', 'dry-run', 'limit', 'rate', ...searchOptions, ...serviceOptions] satisfies readonly OptionName[];

/** The commands about events in every state. */
export const eventCommands: readonly Command[] = [
  {
    name: 'events list',
    synopsis: '[SEARCH] [--limit N] [SERVICE]',
    description: 'finds the newest 100 (or N) events by user, id, handler, state or time; the newest last',
    options: ['limit', ...searchOptions, ...serviceOptions],
    run: list,
  },
  {
    name: 'events show',
    synopsis: 'ID [--content] [SERVICE]',
    description: 'shows one event with its request and attempts; --content includes message texts',
    operands: { least: 1, most: 1 },
    options: ['content', ...serviceOptions],
    run: show,
  },
  {
    name: 'events retry',
    synopsis: '[ID…] [SEARCH] [--all] [--limit N] [--rate N] [--dry-run] [SERVICE]',
    description: 'makes waiting events due now and replays dead ones, the oldest first, N per second with --rate',
    operands: { least: 0, most: mostAtOnce },
    options: actionOptions,
    run: async (call) => actOnEvents(call, { verb: 'retry', done: 'retried', selection: selectionIn(call) }),
  },
  {
    name: 'events drop',
    synopsis: '[ID…] [SEARCH] [--all] [--limit N] [--rate N] [--dry-run] [--yes] [SERVICE]',
    description: 'removes waiting events permanently',
    operands: { least: 0, most: mostAtOnce },
    options: ['yes', ...actionOptions],
    run: async (call) => actOnEvents(call, { verb: 'drop', done: 'dropped', selection: selectionIn(call) }),
  },
];

/** The keys of a filter in the form of the API. Throws USAGE for an invalid time or number. */
function filterIn(values: OptionValues): Readonly<Record<string, string | number | readonly string[]>> {
  const given: [string, string | number | readonly string[]][] = [];
  for (const name of ['handler', 'host', 'jid', 'pool'] as const) if (values[name] !== undefined) given.push([name, values[name]]);
  for (const name of ['since', 'before'] as const) {
    const text = values[name];
    if (text !== undefined) given.push([name, readTime(name, text, systemClock.now())]);
  }
  const status = wholeOption(values, 'status', { most: 999 });
  if (status !== undefined) given.push(['status', status]);
  if (values['stanza-id'] !== undefined) given.push(['stanzaId', values['stanza-id']]);
  if (values.state !== undefined) given.push(['state', values.state.split(',')]);
  return Object.fromEntries(given);
}

/** Throws USAGE if there is no selection, or --all with ids or a filter. */
function selectionIn({ values, operands }: Call): { readonly ids?: readonly string[]; readonly filter?: object; readonly all?: true } {
  const filter = filterIn(values);
  const ids = [...operands, ...(values.id === undefined ? [] : [values.id])];
  const named = ids.length > 0 || Object.keys(filter).length > 0;
  if (values.all === true && named)
    throw new ServiceError('USAGE', '--all selects every event: omit either --all or the ids and the filter');
  if (values.all === true) return { all: true };
  if (!named) throw new ServiceError('USAGE', 'select events by their ids, by a filter such as --jid JID or --handler NAME, or with --all');
  return { ...(ids.length > 0 && { ids }), ...(Object.keys(filter).length > 0 && { filter }) };
}

async function list({ values }: Call): Promise<number> {
  const limit = wholeOption(values, 'limit', { most: mostAtOnce }) ?? 100;
  const { id } = values;
  const service = await findService(values);
  const { events, isWhole } = await allPages(service, { ...filterIn(values), ...(id === undefined ? {} : { id }) }, limit);
  output(values.json, events.map(documented), events.length === 0 ? 'No events.\n' : eventTable(events));
  if (!isWhole)
    process.stderr.write(`The search ended at ${counted(events.length, 'event')}: older ones may match; see --limit and --before.\n`);
  return 0;
}

type Event = z.output<typeof eventShape>;

/** Pages of the newest events until there are `limit`; a page may be incomplete because the search took long. */
async function allPages(
  service: AdminClient,
  query: Readonly<Record<string, string | number | readonly string[]>>,
  limit: number,
): Promise<{ readonly events: readonly Event[]; readonly isWhole: boolean }> {
  let events: readonly Event[] = [];
  let cursor: string | undefined;
  do {
    const page: z.output<typeof eventList> = await service.get('/events', eventList, { ...query, cursor, limit: limit - events.length });
    events = [...page.events, ...events];
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && events.length < limit);
  return { events, isWhole: cursor === undefined };
}

function documented(event: Event): object {
  const { id, packetId, messageId, stanzaId, host, handler, pool, sender, receiver, kind, state, status, attempts, createdAt, settledAt } =
    event;
  return { id, packetId, messageId, stanzaId, host, handler, pool, sender, receiver, kind, state, status, attempts, createdAt, settledAt };
}

function eventTable(events: readonly Event[]): string {
  const rows = events.map((event) => [
    event.id,
    localTime(event.settledAt ?? event.createdAt),
    stateText(event),
    String(event.status ?? none),
    String(event.attempts),
    `${event.handler} on ${event.pool} at ${event.host}`,
    event.sender === null || event.receiver === null ? none : `${event.sender} to ${event.receiver}`,
  ]);
  return table(['ID', 'TIME', 'STATE', 'STATUS', 'TRIES', 'HANDLER', 'USERS'], rows, 2);
}

function stateText({ state, reason, held }: Pick<Event, 'held' | 'reason' | 'state'>): string {
  if (state === 'waiting') return held ? 'waiting, held' : 'waiting';
  return reason === '' ? state : `${state}: ${reason}`;
}

async function show({ values, operands: [id = ''] }: Call): Promise<number> {
  const service = await findService(values);
  const query = values.content === true ? { content: true } : {};
  const event = await service.get(`/events/${encodeURIComponent(id)}`, eventDetailShape, query);
  output(values.json, event, eventText(event));
  if (event.incomplete) process.stderr.write(incompleteNote);
  return 0;
}

const incompleteNote = 'The search of the history ended at its limit of 2 s and 1000 records: steps may be missing.\n';

type Detail = z.output<typeof eventDetailShape>;

function eventText(event: Detail): string {
  const { id, packetId, messageId, stanzaId, kind, handler, pool, host, detail, descendants, parent } = event;
  const created = descendants.map((each) => `${each.id} (${each.state})`);
  return facts([
    ['id', id],
    ['packet', packetId],
    ['stanza', [`id ${messageId ?? none}`, `archive id ${stanzaId ?? none}`, ...(kind === null ? [] : [`kind ${kind}`])].join(', ')],
    ['handler', `${handler} on ${pool} at ${host}`],
    ...(event.sender === null ? [] : [['from, to', `${event.sender}, ${event.receiver}`] as const]),
    ['state', [stateText(event), ...(detail === '' ? [] : [detail]), ...timesText(event)].join('; ')],
    ...(parent === null ? [] : [['created by', parent] as const]),
    ...(created.length === 0 ? [] : [['created', created.join('\n')] as const]),
    ...(event.target === null && event.bodyBytes === null && event.state !== 'dead' ? [] : requestFacts(event)),
    ['timeline', timelineText(event)],
    ...(event.history.length === 0 ? [] : [['attempts', attemptsText(event)] as const]),
  ]);
}

/** One line per step; the answers of backends stand under `attempts`, as long as they are stored. */
function timelineText({ timeline }: Detail): string {
  return timeline.map((step) => `${localTime(step.at)}  ${stepText(step)}`).join('\n');
}

function stepText({ what, attempt, result, status, durationMs, detail }: Detail['timeline'][number]): string {
  const more = detail === '' ? '' : `: ${detail}`;
  switch (what) {
    case 'seen':
      return 'stanza seen';
    case 'created':
      return `created by the response to attempt ${attempt} of its parent: ${result}${status === null ? '' : ` ${status}`}`;
    case 'asked':
      return `business server: ${result}${more}`;
    case 'accepted':
      return result === 'no-request' ? 'stored without a request' : 'accepted: rules and callbacks made a request';
    case 'attempt':
      return `attempt ${attempt}: ${result}${status === null ? '' : ` ${status}`}${more}, ${durationMs} ms`;
    case 'settled':
      return `${result}${more}`;
    default:
      return what satisfies never;
  }
}

function timesText({ settledAt, dueAt, behind }: Detail): readonly string[] {
  if (settledAt !== null) return [localTime(settledAt)];
  if (behind !== null) return [`behind ${behind}, the first waiting event of its conversation`];
  return dueAt === null ? [] : [`due ${localTime(dueAt)}`];
}
