import type { z } from 'zod';
import { ServiceError } from '../../kit/errors.ts';
import { type EventFilter, parentOf } from '../../spool/event-store.ts';
import { droppable, retriable, searchedStates } from '../event-actions.ts';
import { type EventDetail, type EventState, eventStates, type FoundEvent } from '../event-lookup.ts';
import { timelineOf } from '../event-timeline.ts';
import { bareJidOf } from './bare-jid.ts';
import { refuseContentTo, shownDetail } from './content.ts';
import { contentView } from './dead-letters.ts';
import {
  actionParameters,
  actionShape,
  eventDetailShape,
  eventList,
  type eventShape,
  listParameters,
  showParameters,
} from './event-shapes.ts';
import { handlersOf, poolsOf, unknownName } from './pools.ts';
import { type ApiDependencies, audit, type Caller, defineRoute, type Route } from './route.ts';
import { rfc3339 } from './values.ts';

/** Events in every state: list, show, retry, drop. */
export function eventRoutes(dependencies: ApiDependencies): readonly Route[] {
  return [listRoute(dependencies), showRoute(dependencies), retryRoute(dependencies), dropRoute(dependencies)];
}

function listRoute(dependencies: ApiDependencies): Route {
  return defineRoute({
    method: 'GET',
    path: '/events',
    summary: 'Finds events that wait, dead letters, and recent other ones; the newest is the last of a page.',
    parameters: listParameters,
    response: eventList,
    handle: async ({ id, state = eventStates, limit, order, cursor, ...keys }, caller) => {
      const filter = toFilter(keys, id, caller);
      const { found, next = null } = await dependencies.lookup.find({ filter, states: state, limit, newest: order === 'newest', cursor });
      if (found.length === 0) refuseUnknown(filter, dependencies);
      const events = found.map(({ event }) => eventView(event, caller));
      return { events: order === 'newest' ? events.reverse() : events, next };
    },
  });
}

function showRoute({ lookup, redactor }: ApiDependencies): Route {
  return defineRoute({
    method: 'GET',
    path: '/events/{id}',
    summary: 'Shows one event with its request and every attempt.',
    parameters: showParameters,
    response: eventDetailShape,
    handle: async ({ id, content }, caller) => {
      if (content) refuseContentTo(caller);
      const detail = await lookup.show(id);
      const body = detail.body instanceof Uint8Array ? redactor.bytes(detail.body) : detail.body;
      return detailView({ ...detail, body }, caller, content);
    },
  });
}

function retryRoute(dependencies: ApiDependencies): Route {
  return defineRoute({
    method: 'POST',
    path: '/events/retry',
    summary: 'Makes waiting events due at once, and replays dead ones.',
    parameters: actionParameters,
    response: actionShape,
    handle: (given, caller) =>
      act(given, caller, { dependencies, changeable: retriable, run: dependencies.actions.retry, done: 'retried' }),
  });
}

function dropRoute(dependencies: ApiDependencies): Route {
  return defineRoute({
    method: 'POST',
    path: '/events/drop',
    summary: 'Removes waiting events permanently.',
    parameters: actionParameters,
    response: actionShape,
    handle: (given, caller) => act(given, caller, { dependencies, changeable: droppable, run: dependencies.actions.drop, done: 'dropped' }),
  });
}

interface Action {
  readonly dependencies: ApiDependencies;
  readonly changeable: readonly EventState[];
  readonly run: ApiDependencies['actions']['retry'];
  /** For the log. */
  readonly done: string;
}

type Selection = z.output<typeof actionParameters>;
type ActionView = z.input<typeof actionShape>;

/** Only events of before the action: one that is replayed by it, or accepted during it, is not selected. */
async function act(given: Selection, caller: Caller, { dependencies, changeable, run, done }: Action): Promise<ActionView> {
  const { lookup, clock, events } = dependencies;
  const { state, ...keys } = given.filter ?? {};
  const before = Math.min(keys.before ?? Number.POSITIVE_INFINITY, clock.now() + 1);
  const filter = toFilter({ ...keys, before }, given.ids, caller);
  const among = state === undefined ? changeable : changeable.filter((each) => state.includes(each));
  if (among.length === 0) throw new ServiceError('WRONG_STATE', `only events that are ${changeable.join(' or ')} can be ${done}`);
  const shared = { before: rfc3339(before) };
  if (given.dryRun) {
    const count = await lookup.count(filter, among);
    if (count === 0) refuseUnknown(filter, dependencies);
    return { count, failed: 0, skipped: [], next: null, ...shared };
  }
  const states = state === undefined ? searchedStates(filter, changeable) : among;
  const { next = null, skipped, ...report } = await run({ filter, states, limit: given.limit, cursor: given.cursor });
  if (report.count + skipped.length === 0 && next === null && given.cursor === undefined) refuseUnknown(filter, dependencies);
  audit(events, caller, `${done} ${report.count} events (${describe(given)})`);
  return { ...report, skipped: [...skipped], next, ...shared };
}

interface FilterKeys {
  readonly jid?: string | undefined;
  readonly stanzaId?: string | undefined;
  readonly handler?: string | undefined;
  readonly pool?: string | undefined;
  readonly host?: string | undefined;
  readonly status?: number | undefined;
  readonly since?: number | undefined;
  readonly before?: number | undefined;
}

/** Whether a user wrote or received anything is content. */
function toFilter({ jid, ...keys }: FilterKeys, ids: readonly string[] | undefined, caller: Caller): EventFilter {
  if (jid !== undefined) refuseContentTo(caller);
  const given = Object.entries(keys).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), ...(jid !== undefined && { jid: bareJidOf(jid) }), ...(ids && { ids }) };
}

/** For a selection without an event: throws if a name in its filter is neither configured nor that of a stored queue. */
function refuseUnknown({ ids, handler, pool }: EventFilter, { operations }: ApiDependencies): void {
  if (ids !== undefined) return;
  const pools = operations.pools();
  const stored = operations.orphans();
  const handlers = [...handlersOf(pools), ...stored.map((queue) => queue.handler)];
  const names = [...poolsOf(pools), ...stored.map((queue) => queue.pool)];
  if (handler !== undefined && !handlers.includes(handler)) throw unknownName('handler', handler, handlers, ' and no event with this name');
  if (pool !== undefined && !names.includes(pool)) throw unknownName('pool', pool, names, ' and no event with this name');
}

/** A selection as text, without ids and JIDs. */
function describe({ ids, filter = {}, all }: Selection): string {
  const keys = Object.entries(filter).map(([key, value]) =>
    key === 'jid' ? 'jid' : `${key} ${key === 'since' || key === 'before' ? rfc3339(Number(value)) : value}`,
  );
  return [...(ids ? [`${ids.length} ids`] : []), ...keys, ...(all === true ? ['all'] : [])].join(', ');
}

type EventView = z.input<typeof eventShape>;

function eventView(event: FoundEvent, { mayReadContent }: Caller): EventView {
  const { id, packetId, messageId, stanzaId, host, handler, pool, kind, state, status, attempts, reason } = event;
  return {
    ...{ id, packetId, messageId, stanzaId, host, handler, pool },
    ...(mayReadContent ? { sender: event.sender, receiver: event.receiver } : { sender: null, receiver: null }),
    ...{ kind, state, status, attempts, createdAt: rfc3339(event.createdAt), settledAt: instantOrNull(event.settledAt) },
    ...{ reason, dueAt: instantOrNull(event.dueAt), held: event.isClaimed },
  };
}

function instantOrNull(at: number | null): string | null {
  return at === null ? null : rfc3339(at);
}

function detailView(detail: EventDetail, caller: Caller, content: boolean): z.input<typeof eventDetailShape> {
  const visibility = { content, mayQuote: caller.mayReadContent };
  return {
    ...eventView(detail, caller),
    seenAt: rfc3339(detail.seenAt),
    detail: shownDetail(detail, caller.mayReadContent),
    parent: parentOf(detail.id),
    behind: detail.behind,
    descendants: [...detail.descendants],
    incomplete: detail.isIncomplete,
    timeline: timelineOf(detail).map(({ at, ...rest }) => ({ ...rest, at: rfc3339(at) })),
    ...contentView(detail, visibility),
  };
}
