import type { EpochMs } from '../../kit/clock.ts';
import type { DeliveryId } from '../../model/delivery.ts';
import { readFacts } from '../../model/facts.ts';
import type { PacketFacts, PacketId } from '../../model/packet.ts';
import {
  type Changed,
  type Counted,
  createEventTest,
  type EventContent,
  type EventPage,
  type EventRequest,
  type EventWalk,
  type PendingKey,
  type SpoolEvent,
} from '../event-store.ts';
import { parseTarget } from '../sqlite/protocol.ts';
import { bodyOf, type DeadLetterSearch } from './dead-letter-search.ts';
import type { Pending } from './pending-delivery.ts';
import type { Session } from './session.ts';
import type { SpoolState } from './spool-state.ts';

/** Rows read at once: deliveries continue between two reads of a long search. */
const chunkRows = 2000;

type SharedColumns = [
  nr: number,
  id: DeliveryId,
  packetId: PacketId,
  host: string,
  handler: string,
  pool: string,
  sender: string,
  receiver: string,
  seenAt: EpochMs,
  createdAt: EpochMs,
  facts: PacketFacts | null,
  status: number | null,
  attempts: number,
];

type ContentColumns = [target: string, body: string | null, raw: Buffer | null, isText: boolean];

type DeadColumns = [...SharedColumns, reason: string, detail: string, diedAt: EpochMs];

const shared = 'id, packet_id, host, handler, pool, sender, receiver, seen_at, created_at, facts, status';

/** An operator's search over the events, and changes of waiting ones. All earlier changes are committed before it begins. */
export class EventSearch {
  readonly #session: Session;
  readonly #state: SpoolState;
  readonly #dead: DeadLetterSearch;

  constructor(session: Session, state: SpoolState, dead: DeadLetterSearch) {
    this.#session = session;
    this.#state = state;
    this.#dead = dead;
  }

  async run(request: EventRequest): Promise<Changed | Counted | EventContent | EventPage | undefined> {
    switch (request.kind) {
      case 'count': {
        const { events, more } = await this.#page(request, Number.POSITIVE_INFINITY);
        return { count: events.length, more };
      }
      case 'content':
        return this.#content(request.key);
      case 'drop':
        return this.#drop(request.keys);
      case 'make-due':
        return this.#makeDue(request.keys, request.now);
      case 'page':
        return this.#page(request, request.limit);
      default:
        return request satisfies never;
    }
  }

  /** Reads one chunk, and returns what matches in it, up to a limit. */
  async #page(walk: EventWalk, limit: number): Promise<EventPage> {
    const rows = walk.table === 'dead' ? await this.#deadChunk(walk) : await this.#pendingChunk(walk);
    const matches = createEventTest(walk.filter);
    const events: SpoolEvent[] = [];
    for (const event of rows) {
      if (matches({ ...event, at: event.diedAt ?? event.createdAt }, () => event)) events.push(event);
      if (events.length >= limit) return { events, more: event.position };
    }
    return { events, more: rows.length === chunkRows ? rows.at(-1)?.position : undefined };
  }

  async #pendingChunk({ backward, after }: EventWalk): Promise<readonly SpoolEvent[]> {
    const start = after?.[1] ?? (backward ? Number.MAX_SAFE_INTEGER : 0);
    const text = `SELECT seq, ${shared}, attempts + past FROM deliveries WHERE seq ${backward ? '<' : '>'} $1 ORDER BY seq ${backward ? 'DESC' : ''} LIMIT ${chunkRows}`;
    const rows = await this.#session.read<SharedColumns>({ name: '', text, values: [start] });
    return rows.map((row) => {
      const pending = this.#state.pending.find(row[0]);
      const dueAt = pending?.state === 'ready' ? pending.due : null;
      return {
        ...sharedOf(row),
        diedAt: null,
        reason: '',
        detail: '',
        dueAt,
        isClaimed: pending?.state === 'claimed',
        position: [0, row[0]],
      };
    });
  }

  async #deadChunk({ filter, backward, after }: EventWalk): Promise<readonly SpoolEvent[]> {
    const [start, nr] = after ?? [backward ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER, 0];
    const order = backward ? 'DESC' : '';
    const text = `SELECT nr, ${shared}, attempts, reason, detail, died_at FROM dead WHERE (died_at, nr) ${backward ? '<' : '>'} ($1, $2)
      AND died_at >= $3 AND died_at < $4 ORDER BY died_at ${order}, nr ${order} LIMIT ${chunkRows}`;
    const values = [start, nr, filter.since ?? Number.MIN_SAFE_INTEGER, filter.before ?? Number.MAX_SAFE_INTEGER];
    return (await this.#session.read<DeadColumns>({ name: '', text, values })).map((row) => {
      const [first, , , , , , , , , , , , , reason, detail, diedAt] = row;
      return { ...sharedOf(row), diedAt, reason, detail, dueAt: null, isClaimed: false, position: [diedAt, first] };
    });
  }

  async #content([seq, id]: PendingKey): Promise<EventContent | undefined> {
    const text = 'SELECT target, body, raw, is_text FROM deliveries WHERE seq = $1 AND id = $2';
    const [row] = await this.#session.read<ContentColumns>({ name: '', text, values: [seq, id] });
    if (row === undefined) return undefined;
    const [target, body, raw, isText] = row;
    const pending = this.#state.pending.find(seq);
    const head = pending?.state === 'waiting' ? pending.lane?.first : undefined;
    const behind = head === undefined ? null : ((await this.#idsOf([head.seq])).get(head.seq) ?? null);
    return { target: parseTarget(target), body: bodyOf(body, raw, isText), history: await this.#dead.attemptsOf(seq), behind };
  }

  async #drop(keys: readonly PendingKey[]): Promise<Changed> {
    const found = await this.#unclaimed(keys);
    const readyPools: string[] = [];
    const lanes = new Map(found.map(({ pending }) => [pending.lane?.name, pending.queue]));
    for (const { pending } of found) this.#state.remove(pending);
    for (const [lane, queue] of lanes) {
      const { readyPool } = this.#state.pending.promote(lane, queue, 0);
      if (readyPool !== undefined) readyPools.push(readyPool);
    }
    return { ids: found.map(({ id }) => id), missed: keys.length - found.length, readyPools };
  }

  async #makeDue(keys: readonly PendingKey[], now: EpochMs): Promise<Changed> {
    const found = await this.#unclaimed(keys);
    const readyPools: string[] = [];
    for (const { pending } of found) {
      if (pending.state !== 'ready' || pending.due <= now) continue;
      this.#state.writes.setDue(pending.seq, now);
      this.#state.pending.setDue(pending, now);
      readyPools.push(pending.queue.pool);
    }
    return { ids: found.map(({ id }) => id), missed: keys.length - found.length, readyPools };
  }

  /** The waiting events of these keys that this process does not hold. */
  async #unclaimed(keys: readonly PendingKey[]): Promise<readonly { readonly id: DeliveryId; readonly pending: Pending }[]> {
    const ids = await this.#idsOf(keys.map(([seq]) => seq));
    return [...new Map(keys)].flatMap(([seq, id]) => {
      const pending = this.#state.pending.find(seq);
      return pending === undefined || pending.state === 'claimed' || ids.get(seq) !== id ? [] : [{ id, pending }];
    });
  }

  async #idsOf(seqs: readonly number[]): Promise<ReadonlyMap<number, DeliveryId>> {
    const text = 'SELECT seq, id FROM deliveries WHERE seq = ANY ($1::bigint[])';
    return new Map(await this.#session.read<[seq: number, id: DeliveryId]>({ name: '', text, values: [seqs] }));
  }
}

function sharedOf(row: readonly [...SharedColumns, ...unknown[]]) {
  const [, id, packetId, host, handler, pool, sender, receiver, seenAt, createdAt, facts, status, attempts] = row;
  return { id, packetId, host, handler, pool, sender, receiver, seenAt, createdAt, status, attempts, ...readFacts(facts) };
}
