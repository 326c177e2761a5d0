/** Finds events wherever they are: those that wait and dead letters in the spool, and pushes that were withheld recently. */
import { z } from 'zod';
import type { Clock, EpochMs } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import { readJson } from '../kit/json.ts';
import type { AttemptRecord } from '../model/attempt.ts';
import type { Body, DeliveryId, Target } from '../model/delivery.ts';
import { readFacts } from '../model/facts.ts';
import {
  createEventTest,
  type Descendant,
  type EventFilter,
  type EventPosition,
  type EventStore,
  parentOf,
  type SpoolEvent,
} from '../spool/event-store.ts';
import type { History } from '../spool/history/history.ts';
import type { HistoryRecord, RecordedAttempt, RecordedState } from '../spool/history/record.ts';
import type { Spool } from '../spool/spool.ts';
import type { RecentWithheld, WithheldPush } from '../telemetry/recent.ts';

export const eventStates = ['waiting', 'delivered', 'dead', 'withheld', 'dropped'] as const;
export type EventState = (typeof eventStates)[number];

/** An event without its content. */
export interface FoundEvent extends Omit<SpoolEvent, 'diedAt' | 'position'> {
  readonly state: EventState;
  /** When it got its final state; null while it waits. */
  readonly settledAt: EpochMs | null;
}

export interface EventDetail extends FoundEvent {
  readonly target: Target | null;
  readonly body: Body | null;
  /** The raw packet (JSON text) if no request was made of it. */
  readonly packet: string | null;
  readonly history: readonly AttemptRecord[];
  /** The earliest event of its lane if this event waits for it, else null. */
  readonly behind: DeliveryId | null;
  readonly descendants: readonly { readonly id: string; readonly state: EventState }[];
  /** Its records in the history, the oldest first; empty if it is off. */
  readonly records: readonly HistoryRecord[];
  /** The attempt of its parent whose response created it; null if there is none, or it is not in the history. */
  readonly origin: RecordedAttempt | null;
  /** Whether a search of the history ended at its limit, so that records may be missing. */
  readonly isIncomplete: boolean;
}

export interface LookupQuery {
  readonly filter: EventFilter;
  readonly states: readonly EventState[];
  readonly limit: number;
  readonly newest: boolean;
  /** Of the previous page. */
  readonly cursor: string | undefined;
}

export interface LookupPage {
  readonly found: readonly LocatedEvent[];
  /** Where the search continues; undefined at the end. */
  readonly next: string | undefined;
}

interface EventLookupOptions {
  readonly store: EventStore;
  readonly spool: Pick<Spool, 'deadLetter'>;
  readonly withheld: Pick<RecentWithheld, 'list'>;
  /** Undefined: settled events are not recorded. */
  readonly history: Pick<History, 'find'> | undefined;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/** Where events are. A search reads each of them, and merges what it finds. */
const places = ['pending', 'dead', 'history', 'withheld'] as const;
type Place = (typeof places)[number];

const statesIn: Readonly<Record<Place, readonly EventState[]>> = {
  pending: ['waiting'],
  dead: ['dead'],
  history: ['delivered', 'dropped', 'withheld'],
  withheld: ['withheld'],
};

/** The end of the previous page in each place; null: the place has no more. An absent place is read from its beginning. */
type Cursor = { readonly [place in Place]?: EventPosition | null };

/** An event, and where it is. */
export interface LocatedEvent {
  readonly event: FoundEvent;
  readonly place: Place;
  /** By which the events of all places are ordered. */
  readonly at: EpochMs;
  readonly position: EventPosition;
}

interface PlacePage {
  readonly place: Place;
  readonly found: readonly LocatedEvent[];
  readonly more: EventPosition | undefined;
}

/** Time after which a page ends with what was found so far, ms. */
const pageMs = 2000;

export class EventLookup {
  readonly #options: EventLookupOptions;

  constructor(options: EventLookupOptions) {
    this.#options = options;
  }

  /**
   * One page of events in order of time: when they were settled, or accepted if they wait. It may have fewer events than its limit before
   * the end. Throws BAD_CURSOR.
   */
  async find(query: LookupQuery): Promise<LookupPage> {
    const cursor = readCursor(query.cursor);
    const until = this.#options.clock.monotonic() + pageMs;
    const open = places.filter(
      (place) => cursor[place] !== null && statesIn[place].some((state) => query.states.includes(state)) && this.#exists(place),
    );
    const pages = await Promise.all(open.map((place) => this.#page(place, query, { after: cursor[place] ?? undefined, until })));
    const all = pages.flatMap(({ found }) => found);
    all.sort((one, other) => (query.newest ? other.at - one.at : one.at - other.at));
    const taken = all.slice(0, query.limit);
    return { found: taken, next: nextCursor(cursor, pages, taken) };
  }

  async #page(
    place: Place,
    { filter, limit, newest, states }: LookupQuery,
    { after, until }: { readonly after: EventPosition | undefined; readonly until: number },
  ): Promise<PlacePage> {
    if (place === 'withheld') return this.#withheldPage({ filter, limit, newest, after });
    if (place === 'history') return this.#historyPage({ filter, limit, newest, states }, { after, until });
    const { store, clock } = this.#options;
    const query = { table: place, filter, limit, backward: newest, after };
    const { events, more } = await store.find(query, () => clock.monotonic() < until);
    const found = events.map((event) => {
      const { position, diedAt, ...rest } = event;
      return {
        place,
        position,
        at: diedAt ?? event.createdAt,
        event: { ...rest, state: place === 'dead' ? ('dead' as const) : ('waiting' as const), settledAt: diedAt },
      };
    });
    return { place, found, more };
  }

  /** Withheld pushes are in the history, or else in memory. */
  #exists(place: Place): boolean {
    const hasHistory = this.#options.history !== undefined;
    return place === 'history' ? hasHistory : place !== 'withheld' || !hasHistory;
  }

  async #historyPage(
    { filter, limit, newest, states }: Omit<LookupQuery, 'cursor'>,
    { after, until }: { readonly after: EventPosition | undefined; readonly until: number },
  ): Promise<PlacePage> {
    const { history, clock } = this.#options;
    const recorded = recordedStates.filter((state) => states.includes(state));
    const withinMs = Math.max(0, until - clock.monotonic());
    const page = await history?.find({ filter, states: recorded, limit, backward: newest, after, withinMs });
    const found = (page?.records ?? []).map(({ record, position }) => ({
      place: 'history' as const,
      position,
      at: record.at,
      event: recordedEvent(record),
    }));
    return { place: 'history', found, more: page?.more };
  }

  /** All records of an event, the oldest first. */
  async #recordsOf(filter: EventFilter, states: readonly RecordedState[]): Promise<Recorded> {
    const query = { filter, states, limit: maxRecords, backward: false, after: undefined, withinMs: pageMs };
    const page = await this.#options.history?.find(query);
    return { records: (page?.records ?? []).map(({ record }) => record), isIncomplete: page?.more !== undefined };
  }

  /** The records of the event and of those that its response created, and the attempt whose response created it. */
  async #recordedAbout(id: DeliveryId) {
    const parent = parentOf(id);
    const own = await this.#recordsOf({ ids: [id] }, [...recordedStates, 'dead', 'waiting']);
    const created = await this.#recordsOf({ descendantsOf: id }, recordedStates);
    const ofParent = parent === null ? nothingRecorded : await this.#recordsOf({ ids: [parent] }, recordedStates);
    const origin = ofParent.records.find((record) => record.created.includes(id))?.attempt ?? null;
    const isIncomplete = [own, created, ofParent].some((recorded) => recorded.isIncomplete);
    return { records: own.records, created: created.records, origin, isIncomplete };
  }

  #withheldPage({
    filter,
    limit,
    newest,
    after,
  }: Pick<LookupQuery, 'filter' | 'limit' | 'newest'> & { readonly after: EventPosition | undefined }): PlacePage {
    const isMatch = createEventTest(filter);
    const matching = this.#options.withheld.list().filter((push) => isMatch({ ...push, status: null }, () => readFacts(push.facts)));
    const rest = matching.filter(({ nr }) => after === undefined || (newest ? nr < after[1] : nr > after[1]));
    const page = (newest ? rest.reverse() : rest).slice(0, limit);
    const found = page.map((push) => ({
      place: 'withheld' as const,
      position: [push.at, push.nr] as const,
      at: push.at,
      event: withheldEvent(push),
    }));
    const last = found.at(-1);
    return { place: 'withheld', found, more: rest.length > page.length ? last?.position : undefined };
  }

  /** The number of waiting and dead events among these states. */
  async count(filter: EventFilter, states: readonly EventState[]): Promise<number> {
    const { store } = this.#options;
    const waiting = states.includes('waiting') ? await store.count('pending', filter) : 0;
    return states.includes('dead') ? waiting + (await store.count('dead', filter)) : waiting;
  }

  /** Waiting and dead events that the response to this one created, and their responses. */
  async descendants(id: DeliveryId): Promise<readonly Descendant[]> {
    return await this.#options.store.descendants(id);
  }

  /** The event of this id. Throws UNKNOWN_EVENT. */
  async show(id: DeliveryId): Promise<EventDetail> {
    const owed = (await this.descendants(id)).map((each) => ({ id: each.id, state: descendantState[each.state] }));
    const { created, ...recorded } = await this.#recordedAbout(id);
    const descendants = [...owed, ...created.map((each) => ({ id: each.id, state: each.state }))];
    const { records } = recorded;
    const { found } = await this.find({ filter: { ids: [id] }, states: eventStates, limit: 9, newest: true, cursor: undefined });
    for (const located of found) {
      const content = await this.#contentOf(located);
      if (content !== undefined)
        return { ...located.event, ...content, ...recorded, descendants, body: content.body ?? records.at(-1)?.body ?? null };
    }
    const purged = records.findLast(({ state }) => state === 'dead');
    if (purged !== undefined) return { ...recordedEvent(purged), ...noContent, ...recorded, descendants, body: purged.body };
    const text = `there is no event ${JSON.stringify(id)} that waits, is dead, or was settled recently`;
    const known = descendants.map((each) => `${each.id} (${each.state})`).join(', ');
    throw new ServiceError('UNKNOWN_EVENT', known === '' ? text : `${text}; its response created ${known}`);
  }

  /** Undefined if the event has left its place since it was found. */
  async #contentOf({ place, event: { id }, position }: LocatedEvent): Promise<Content | undefined> {
    const { spool, store } = this.#options;
    switch (place) {
      case 'dead': {
        const letter = await spool.deadLetter(id);
        return letter && { ...letter, behind: null };
      }
      case 'pending': {
        const content = await store.content([position[1], id]);
        return content && { ...content, packet: null };
      }
      case 'history':
      case 'withheld':
        return noContent;
      default:
        return place satisfies never;
    }
  }
}

const noContent: Content = { target: null, body: null, packet: null, history: [], behind: null };

type Content = Pick<EventDetail, 'behind' | 'body' | 'history' | 'packet' | 'target'>;

interface Recorded {
  readonly records: readonly HistoryRecord[];
  /** Whether the search ended at its limit. */
  readonly isIncomplete: boolean;
}

const nothingRecorded: Recorded = { records: [], isIncomplete: false };

const recordedStates = ['delivered', 'dropped', 'withheld'] as const;

/** Records of one event that are shown, at most. */
const maxRecords = 1000;

/** The end of an event. */
function recordedEvent(record: HistoryRecord): FoundEvent {
  const { at, state, attempt, facts, body, created, ...rest } = record;
  return {
    ...{ ...rest, ...readFacts(facts), settledAt: at, detail: '', dueAt: null, isClaimed: false },
    ...{ state, status: attempt?.status ?? null, attempts: attempt?.number ?? 0 },
  };
}

const descendantState: Readonly<Record<Descendant['state'], EventState>> = { dead: 'dead', owed: 'waiting' };

function withheldEvent(push: WithheldPush): FoundEvent {
  const { id, packetId, facts, host, handler, pool, sender, receiver, seenAt, createdAt, at, why } = push;
  return {
    ...{ id, packetId, ...readFacts(facts), host, handler, pool, sender, receiver, seenAt, createdAt, settledAt: at },
    ...{ state: 'withheld', status: null, attempts: 1, reason: why, detail: '', dueAt: null, isClaimed: false },
  };
}

/** Each place continues after its last event in the page; a place whose events are all in it, at the end of what was searched. */
function nextCursor(cursor: Cursor, pages: readonly PlacePage[], taken: readonly LocatedEvent[]): string | undefined {
  const next: Record<string, EventPosition | null> = {};
  for (const { place, found, more } of pages) {
    const last = taken.findLast((each) => each.place === place);
    const isWhole = found.every((each) => taken.includes(each));
    const after = isWhole ? (more ?? null) : (last?.position ?? cursor[place]);
    if (after !== undefined) next[place] = after;
  }
  const isEnd = pages.every(({ place }) => next[place] === null);
  return isEnd ? undefined : Buffer.from(JSON.stringify({ ...cursor, ...next })).toString('base64url');
}

const cursorShape = z.partialRecord(z.enum(places), z.tuple([z.int(), z.int()]).nullable());

function readCursor(text: string | undefined): Cursor {
  if (text === undefined) return {};
  const json = readJson(Buffer.from(text, 'base64url').toString());
  const read = cursorShape.safeParse(json.kind === 'read' ? json.value : undefined);
  if (read.success) return read.data;
  throw new ServiceError('BAD_CURSOR', 'the cursor is not one that this service has given: begin the search again without it');
}
