/**
 * An operator's view of the events in the spool: deliveries that wait and dead letters, found by their ids, their users, or their queue.
 * Large searches are made of short transactions, so deliveries continue between them.
 */
import type { EpochMs } from '../kit/clock.ts';
import type { AttemptRecord } from '../model/attempt.ts';
import type { Body, DeliveryId, Target } from '../model/delivery.ts';
import type { ReadFacts } from '../model/facts.ts';
import { idIn, type PacketId } from '../model/packet.ts';
import type { ExtensionRequest, Spool } from './spool.ts';

/** All given keys must match; `ids` matches any of its members. */
export interface EventFilter {
  readonly ids?: readonly string[];
  /** Events that the response to this one created, and their responses: their ids begin with its id and a dot. */
  readonly descendantsOf?: DeliveryId;
  /** Bare JID of the sender or the receiver. */
  readonly jid?: string;
  /** The id attribute of the stanza, or its archive id. */
  readonly stanzaId?: string;
  readonly handler?: string;
  readonly pool?: string;
  readonly host?: string;
  /** Status of the last attempt that has one. */
  readonly status?: number;
  /** At or after, and before: time of acceptance of a waiting event, time of death of a dead one. */
  readonly since?: EpochMs;
  readonly before?: EpochMs;
}

/** What a filter compares. `at` is compared with `since` and `before`. */
export interface Comparable {
  readonly id: string;
  readonly sender: string;
  readonly receiver: string;
  readonly handler: string;
  readonly pool: string;
  readonly host: string;
  readonly status: number | null;
  readonly at: EpochMs;
}

/** Returns a test that is true for what the filter selects. The facts of a stanza are read only if they are compared. */
export function createEventTest(filter: EventFilter): (event: Comparable, facts: () => Omit<ReadFacts, 'kind'>) => boolean {
  const { ids, descendantsOf, jid, handler, pool, host, status, since, before } = filter;
  const idSet = ids && new Set(ids);
  const stanza = idIn(filter.stanzaId);
  return (event, facts) => {
    if (
      (idSet !== undefined && !idSet.has(event.id)) ||
      (descendantsOf !== undefined && !event.id.startsWith(`${descendantsOf}.`)) ||
      (jid !== undefined && event.sender !== jid && event.receiver !== jid) ||
      (handler ?? event.handler) !== event.handler ||
      (pool ?? event.pool) !== event.pool ||
      (host ?? event.host) !== event.host ||
      (status !== undefined && event.status !== status) ||
      (since !== undefined && event.at < since) ||
      (before !== undefined && event.at >= before)
    )
      return false;
    if (stanza === null) return true;
    const { messageId, stanzaId } = facts();
    return messageId === stanza || stanzaId === stanza;
  };
}

/** The id of a descendant is that of its parent with a dot and a number. */
export function parentOf(id: string): string | null {
  const dot = id.lastIndexOf('.');
  return dot === -1 ? null : id.slice(0, dot);
}

/** Where the spool keeps an event. */
export type EventTable = 'dead' | 'pending';

/** Position of an event in its table: its time (0 for pending events, which are ordered by number) and its number. */
export type EventPosition = readonly [at: EpochMs, nr: number];

/** An event without its content. */
export interface SpoolEvent extends ReadFacts {
  readonly id: DeliveryId;
  readonly packetId: PacketId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly sender: string;
  readonly receiver: string;
  readonly status: number | null;
  readonly attempts: number;
  readonly seenAt: EpochMs;
  readonly createdAt: EpochMs;
  /** Time of death; null for a waiting event. */
  readonly diedAt: EpochMs | null;
  /** Reason and details of the death; empty for a waiting event. */
  readonly reason: string;
  readonly detail: string;
  /** When a waiting event is due; null while this process holds it, or while it waits for its lane. */
  readonly dueAt: EpochMs | null;
  /** Whether this process holds it, to send it at once or when its pool may send. */
  readonly isClaimed: boolean;
  readonly position: EventPosition;
}

/** A delivery created by the response to another one, if it is still stored. `owed`: not settled yet. */
export interface Descendant {
  readonly id: DeliveryId;
  readonly state: 'dead' | 'owed';
}

export interface EventContent {
  readonly target: Target | null;
  readonly body: Body | null;
  readonly history: readonly AttemptRecord[];
  /** The earliest event of its lane if this event waits for it, else null. */
  readonly behind: DeliveryId | null;
}

export interface EventWalk {
  readonly table: EventTable;
  readonly filter: EventFilter;
  /** Newest first. */
  readonly backward: boolean;
  /** End of the previous page, which is excluded; undefined for the first one. */
  readonly after: EventPosition | undefined;
}

export interface EventQuery extends EventWalk {
  readonly limit: number;
}

/** `more`: where the search continues; undefined at the end. */
export interface EventPage {
  readonly events: readonly SpoolEvent[];
  readonly more: EventPosition | undefined;
}

export interface Counted {
  readonly count: number;
  readonly more: EventPosition | undefined;
}

/** Identifies a waiting event: its number may be used again after it was settled. */
export type PendingKey = readonly [seq: number, id: DeliveryId];

/** `missed`: events that were claimed or settled meanwhile. */
export interface Changed {
  readonly ids: readonly DeliveryId[];
  readonly missed: number;
  readonly readyPools: readonly string[];
}

export type EventRequest = { readonly extension: 'events' } & (
  | { readonly kind: 'content'; readonly key: PendingKey }
  | { readonly kind: 'drop' | 'make-due'; readonly keys: readonly PendingKey[]; readonly now: EpochMs }
  | ({ readonly kind: 'count' } & EventWalk)
  | ({ readonly kind: 'page' } & EventQuery)
);

export function isEventRequest(request: ExtensionRequest): request is EventRequest {
  return request.extension === 'events';
}

/** Number of events that one transaction changes, at most. */
const changedAtOnce = 250;

export class EventStore {
  readonly #spool: Pick<Spool, 'extend'>;

  constructor(spool: Pick<Spool, 'extend'>) {
    this.#spool = spool;
  }

  /** One page: up to `limit` events, or fewer if `mayContinue` returns false between two transactions. */
  async find(query: EventQuery, mayContinue: () => boolean = () => true): Promise<EventPage> {
    const events: SpoolEvent[] = [];
    let after = query.after;
    do {
      const page: EventPage = await this.#ask({ kind: 'page', ...query, after, limit: query.limit - events.length });
      events.push(...page.events);
      after = page.more;
    } while (after !== undefined && events.length < query.limit && mayContinue());
    return { events, more: after };
  }

  /** Searches dead letters last: a delivery that dies during the search is found twice rather than missed. */
  async descendants(id: DeliveryId): Promise<readonly Descendant[]> {
    const search = { filter: { descendantsOf: id }, limit: Number.MAX_SAFE_INTEGER, backward: false, after: undefined };
    const owed = await this.find({ ...search, table: 'pending' });
    const dead = await this.find({ ...search, table: 'dead' });
    return [
      ...dead.events.map((event) => ({ id: event.id, state: 'dead' as const })),
      ...owed.events.map((event) => ({ id: event.id, state: 'owed' as const })),
    ];
  }

  async count(table: EventTable, filter: EventFilter): Promise<number> {
    let total = 0;
    let after: EventPosition | undefined;
    do {
      const { count, more }: Counted = await this.#ask({ kind: 'count', table, filter, backward: false, after });
      total += count;
      after = more;
    } while (after !== undefined);
    return total;
  }

  /** Content of a waiting event; undefined if it was settled meanwhile. */
  async content(key: PendingKey): Promise<EventContent | undefined> {
    return await this.#ask<EventContent | undefined>({ kind: 'content', key });
  }

  /** Makes waiting events due at once. */
  async makeDue(keys: readonly PendingKey[], now: EpochMs): Promise<Changed> {
    return await this.#change('make-due', keys, now);
  }

  /** Removes waiting events that this process does not hold; the next ones of their lanes follow. */
  async drop(keys: readonly PendingKey[], now: EpochMs): Promise<Changed> {
    return await this.#change('drop', keys, now);
  }

  async #change(kind: 'drop' | 'make-due', keys: readonly PendingKey[], now: EpochMs): Promise<Changed> {
    const ids: DeliveryId[] = [];
    const readyPools = new Set<string>();
    let missed = 0;
    for (let from = 0; from < keys.length; from += changedAtOnce) {
      const changed = await this.#ask<Changed>({ kind, keys: keys.slice(from, from + changedAtOnce), now });
      ids.push(...changed.ids);
      missed += changed.missed;
      for (const pool of changed.readyPools) readyPools.add(pool);
    }
    return { ids, missed, readyPools: [...readyPools] };
  }

  async #ask<T>(request: WithoutName<EventRequest>): Promise<T> {
    const named: EventRequest = { extension: 'events', ...request };
    return (await this.#spool.extend(named)) as T; // `EventSearch` answers each kind with its type
  }
}

type WithoutName<R> = R extends EventRequest ? Omit<R, 'extension'> : never;
