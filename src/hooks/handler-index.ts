import type { Packet } from '../model/packet.ts';
import { typeOf } from '../packet/kind.ts';
import type { LoadedHandler, Rules } from './handler.ts';

type Handlers = readonly LoadedHandler[];

const none: Handlers = [];

/**
 * Finds the handlers of a host that a packet may match, so that the others cost nothing. A handler that names its senders or
 * receivers without wildcards is found by these JIDs, any other by the *shape* of the packet: its direction, stanza, event, kind
 * and type, and whether its receiver is an occupant.
 */
export class HandlerIndex {
  /** The order of evaluation. */
  readonly #places: ReadonlyMap<LoadedHandler, number>;
  readonly #bySender = new Map<string, LoadedHandler[]>();
  readonly #byReceiver = new Map<string, LoadedHandler[]>();
  readonly #others: Handlers;
  /** The others, by shape. */
  readonly #byShape = new Map<string, Handlers>();
  /** Names of stanzas and types in rules. All others count as one in a shape, because users choose them. */
  readonly #words = new Set(['message']);

  constructor(handlers: Handlers) {
    this.#places = new Map(handlers.map((handler, place) => [handler, place]));
    const bySender = countsOf(handlers.map(({ selection }) => selection.from));
    const byReceiver = countsOf(handlers.map(({ selection }) => selection.to));
    this.#others = handlers.filter((handler) => {
      const { from, to } = handler.selection;
      if (mostOf(from, bySender) < mostOf(to, byReceiver)) addTo(this.#bySender, from, handler);
      else addTo(this.#byReceiver, to, handler);
      return from === undefined && to === undefined;
    });
    for (const { selection } of this.#others) for (const word of selection.words) this.#words.add(word);
  }

  /** In the order of evaluation: all handlers whose rules match the packet, and possibly others. */
  find(packet: Packet): Handlers {
    const ofJids = this.#merged(this.#bySender.get(packet.from.bare) ?? none, this.#byReceiver.get(packet.to.bare) ?? none);
    return this.#others.length === 0 ? ofJids : this.#merged(ofJids, this.#ofShape(packet));
  }

  #ofShape(packet: Packet): Handlers {
    const { direction, stanza, event, kind, occupant } = packet;
    const shape = `${direction} ${occupant} ${event} ${kind} ${this.#named(stanza.name)} ${this.#named(typeOf(stanza))}`;
    const known = this.#byShape.get(shape);
    if (known !== undefined) return known;
    const matching = this.#others.filter(({ selection }) => selection.matchesShape(packet));
    this.#byShape.set(shape, matching);
    return matching;
  }

  #named(word: string): string {
    return this.#words.has(word) ? word : '';
  }

  #merged(some: Handlers, others: Handlers): Handlers {
    if (some.length === 0) return others;
    if (others.length === 0) return some;
    const placeOf = (handler: LoadedHandler): number => this.#places.get(handler) ?? 0;
    return [...some, ...others].sort((one, other) => placeOf(one) - placeOf(other));
  }
}

type Jids = Rules['from'];

/** How many handlers name each JID. */
function countsOf(lists: readonly Jids[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const jids of lists) for (const jid of jids ?? []) counts.set(jid, (counts.get(jid) ?? 0) + 1);
  return counts;
}

/** The most handlers that name one of these JIDs. */
function mostOf(jids: Jids, counts: ReadonlyMap<string, number>): number {
  return jids?.reduce((most, jid) => Math.max(most, counts.get(jid) ?? 0), 0) ?? Number.POSITIVE_INFINITY;
}

function addTo(index: Map<string, LoadedHandler[]>, jids: Jids, handler: LoadedHandler): void {
  for (const jid of new Set(jids)) {
    const known = index.get(jid);
    if (known === undefined) index.set(jid, [handler]);
    else known.push(handler);
  }
}
