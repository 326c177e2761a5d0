/** Retries and drops events for an operator. */
import type { Clock } from '../kit/clock.ts';
import type { DeliveryId } from '../model/delivery.ts';
import type { Changed, EventFilter, EventStore, PendingKey } from '../spool/event-store.ts';
import { countByQueue } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import { type EventLookup, type EventState, eventStates, type FoundEvent, type LocatedEvent } from './event-lookup.ts';
import type { ServiceOperations } from './operations.ts';

export interface EventSelection {
  readonly filter: EventFilter;
  /** States that are searched; events in a state that the action cannot change are skipped. */
  readonly states: readonly EventState[];
  readonly limit: number;
  /** Of the previous call. */
  readonly cursor: string | undefined;
}

export interface ActionReport {
  readonly count: number;
  /** Dead letters that remain, because their callbacks failed again or make no request now. */
  readonly failed: number;
  /** Selected events that were not changed. */
  readonly skipped: readonly { readonly id: string; readonly why: string }[];
  /** Where the next call continues; undefined at the end. */
  readonly next: string | undefined;
}

interface EventActionsOptions {
  readonly lookup: Pick<EventLookup, 'find'>;
  readonly store: EventStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly events: EventSink;
  /** Records dropped events in the history; undefined: there is none. */
  readonly record?: ((dropped: readonly FoundEvent[]) => void) | undefined;
  readonly replay: ServiceOperations['replay'];
  /** Starts delivery of the ready deliveries of these pools. */
  wake(pools: readonly string[]): void;
}

export const retriable: readonly EventState[] = ['waiting', 'dead'];
export const droppable: readonly EventState[] = ['waiting'];

/** Each action takes the oldest events first, at most `limit`, and says where the next call continues. */
export class EventActions {
  readonly #options: EventActionsOptions;

  constructor(options: EventActionsOptions) {
    this.#options = options;
  }

  /** Makes waiting events due at once, and replays dead ones. */
  readonly retry = async (selection: EventSelection): Promise<ActionReport> => {
    const { clock, store, replay } = this.#options;
    const { found, next } = await this.#select(selection);
    const due = await this.#changeWaiting(found, (keys) => store.makeDue(keys, clock.now()));
    const dead = found.flatMap(({ event }) => (event.state === 'dead' ? [event.id] : []));
    const { replayed, failed } = dead.length === 0 ? { replayed: 0, failed: 0 } : await replay({ ids: dead }, dead.length);
    const unchanged = due.missed.map(({ id, isClaimed }) => ({ id, why: isClaimed ? 'it is already on its way' : settledMeanwhile }));
    const skipped = [...unchanged, ...unchangeable(found, retriable), ...unknown(selection, found, next)];
    return { count: due.ids.length + replayed, failed, skipped, next };
  };

  /** Removes waiting events that are not held by the process to be sent. */
  readonly drop = async (selection: EventSelection): Promise<ActionReport> => {
    const { clock, store, events } = this.#options;
    const { found, next } = await this.#select(selection);
    const { ids, missed } = await this.#changeWaiting(found, (keys) => store.drop(keys, clock.now()));
    const dropped = new Set<string>(ids);
    for (const queue of countByQueue(found.flatMap(({ event }) => (dropped.has(event.id) ? [event] : []))))
      events.emit('spool.deleted', { ...queue, reason: 'drop' });
    this.#options.record?.(found.flatMap(({ event }) => (dropped.has(event.id) ? [event] : [])));
    const unchanged = missed.map(({ id, isClaimed }) => ({ id, why: isClaimed ? onItsWay : settledMeanwhile }));
    return {
      count: ids.length,
      failed: 0,
      skipped: [...unchanged, ...unchangeable(found, droppable), ...unknown(selection, found, next)],
      next,
    };
  };

  async #select({
    filter,
    states,
    limit,
    cursor,
  }: EventSelection): Promise<{ readonly found: readonly LocatedEvent[]; readonly next: string | undefined }> {
    return await this.#options.lookup.find({ filter, states, limit, cursor, newest: false });
  }

  /** Changes the waiting ones among these events, and wakes the pools that can send more. */
  async #changeWaiting(
    found: readonly LocatedEvent[],
    change: (keys: readonly PendingKey[]) => Promise<Changed>,
  ): Promise<{ readonly ids: readonly DeliveryId[]; readonly missed: readonly FoundEvent[] }> {
    const waiting = found.filter(({ event }) => event.state === 'waiting');
    const { ids, readyPools } = await change(waiting.map(({ event, position }) => [position[1], event.id]));
    this.#options.wake(readyPools);
    const changed = new Set(ids);
    return { ids, missed: waiting.flatMap(({ event }) => (changed.has(event.id) ? [] : [event])) };
  }
}

const onItsWay = 'it is on its way; to drop it, pause its pool first';
const settledMeanwhile = 'it was sent or settled meanwhile';

const whyNot: Readonly<Record<EventState, string>> = {
  waiting: 'it waits',
  delivered: 'it was delivered',
  dead: 'it is a dead letter: use dead-letters purge',
  withheld: 'a business server withheld it',
  dropped: 'it was dropped',
};

function unchangeable(found: readonly LocatedEvent[], changeable: readonly EventState[]): ActionReport['skipped'] {
  return found.flatMap(({ event: { id, state } }) => (changeable.includes(state) ? [] : [{ id, why: whyNot[state] }]));
}

/** The selected ids that belong to no event; known once the search has ended. */
function unknown(
  { filter: { ids }, cursor }: EventSelection,
  found: readonly LocatedEvent[],
  next: string | undefined,
): ActionReport['skipped'] {
  if (ids === undefined || cursor !== undefined || next !== undefined) return [];
  const known = new Set<string>(found.map(({ event }) => event.id));
  return ids.filter((id) => !known.has(id)).map((id) => ({ id, why: 'there is no such event' }));
}

/** The states in which an action searches: all for ids, so that it can say why it cannot change one. */
export function searchedStates({ ids }: EventFilter, changeable: readonly EventState[]): readonly EventState[] {
  return ids === undefined ? changeable : eventStates;
}
