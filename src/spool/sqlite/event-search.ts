import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import { lastStatus } from '../../model/attempt.ts';
import type { Body, DeliveryId } from '../../model/delivery.ts';
import { readFacts } from '../../model/facts.ts';
import { idIn, type PacketFacts, type PacketId } from '../../model/packet.ts';
import type {
  Changed,
  Counted,
  EventContent,
  EventFilter,
  EventPage,
  EventPosition,
  EventQuery,
  EventRequest,
  EventWalk,
  PendingKey,
  SpoolEvent,
} from '../event-store.ts';
import type { DeliveryFacts } from './claims.ts';
import type { Tables } from './command-runner.ts';
import type { PendingDeliveries } from './deliveries.ts';
import { parseTarget } from './protocol.ts';
import type { AttemptHistories } from './side-tables.ts';

/** Rows read in one transaction: an operator's search must not delay deliveries. */
const chunkRows = 2000;

const lowest: EventPosition = [Number.MIN_SAFE_INTEGER, 0];
const highest: EventPosition = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];

/** `@ids` is a JSON array. `@quotedId` is `@stanzaId` as JSON text: most facts do not contain it, and need not be parsed. */
const matching = `(@ids IS NULL OR id IN (SELECT value FROM json_each(@ids))) AND (@jid IS NULL OR sender = @jid OR receiver = @jid)
  AND (@handler IS NULL OR handler = @handler) AND (@pool IS NULL OR pool = @pool) AND (@host IS NULL OR host = @host)
  AND (@prefix IS NULL OR substr(id, 1, length(@prefix)) = @prefix)
  AND (@stanzaId IS NULL OR (instr(facts, @quotedId) > 0 AND (facts ->> 1 = @stanzaId OR facts ->> 2 = @stanzaId)))`;

const shared = 'id, packet_id, host, handler, pool, sender, receiver, seen_at, created_at, facts';

const isPending = `seq > @low AND seq < @high AND created_at >= @since AND created_at < @before AND ${matching}`;

function pendingRows(from: string, own: string, order: 'ASC' | 'DESC'): string {
  return `SELECT seq, ${own}, ${shared} FROM ${from} WHERE ${isPending} ORDER BY seq ${order} LIMIT @limit`;
}

const ownColumns = 'state, due, attempts + past AS spent, lane';
const hotColumns = '2 AS state, created_at AS due, 0 AS spent, lane';

const isDead = `(died_at, nr) > (@lowAt, @low) AND (died_at, nr) < (@highAt, @high) AND (@status IS NULL OR status = @status) AND ${matching}`;

function deadRows(order: 'ASC' | 'DESC'): string {
  return `SELECT nr, status, attempts, reason, detail, died_at, ${shared} FROM dead INDEXED BY dead_by_age WHERE ${isDead} ORDER BY died_at ${order}, nr ${order} LIMIT @limit`;
}

/** Each finds its rows by an index or by the table's key; `…Edge` finds the end of a chunk without reading its rows. */
export const eventStatements = {
  pendingForward: pendingRows('deliveries', ownColumns, 'ASC'),
  pendingBackward: pendingRows('deliveries', ownColumns, 'DESC'),
  pendingCount: `SELECT count(*) FROM deliveries WHERE ${isPending}`,
  pendingForwardEdge: 'SELECT seq FROM deliveries WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?',
  pendingBackwardEdge: 'SELECT seq FROM deliveries WHERE seq < ? ORDER BY seq DESC LIMIT 1 OFFSET ?',
  pendingContent: 'SELECT target, body, CASE state WHEN 0 THEN lane END AS waits_in FROM deliveries WHERE seq = ? AND id = ?',
  unclaimedHead: 'SELECT seq, id FROM deliveries INDEXED BY lanes WHERE lane = ? AND state < 2 AND seq < ? ORDER BY seq LIMIT 1',
  claimedHead: 'SELECT seq, id FROM deliveries INDEXED BY claimed WHERE state = 2 AND lane = ? AND seq < ? ORDER BY seq LIMIT 1',
  pendingFacts: `SELECT seq, attempts + past, pool, handler, lane, created_at, state FROM deliveries WHERE seq = ? AND id = ?`,
  makeDue: 'UPDATE deliveries SET due = ? WHERE seq = ? AND state = 1 AND due > ?',
  deadForward: deadRows('ASC'),
  deadBackward: deadRows('DESC'),
  deadCount: `SELECT count(*) FROM dead INDEXED BY dead_by_age WHERE ${isDead}`,
  deadForwardEdge: `SELECT died_at, nr FROM dead INDEXED BY dead_by_age WHERE (died_at, nr) > (?, ?) ORDER BY died_at, nr LIMIT 1 OFFSET ?`,
  deadBackwardEdge: `SELECT died_at, nr FROM dead INDEXED BY dead_by_age WHERE (died_at, nr) < (?, ?)
    ORDER BY died_at DESC, nr DESC LIMIT 1 OFFSET ?`,
} as const;

/** On `unsettled`, whose rows this process has claimed: a few thousand at most. */
const hotStatements = {
  forward: pendingRows('unsettled', hotColumns, 'ASC'),
  backward: pendingRows('unsettled', hotColumns, 'DESC'),
  count: `SELECT count(*) FROM unsettled WHERE ${isPending}`,
  content: 'SELECT target, body, NULL AS waits_in FROM unsettled WHERE seq = ? AND id = ?',
  head: 'SELECT seq, id FROM unsettled WHERE lane = ? AND seq < ? ORDER BY seq LIMIT 1',
} as const;

interface SharedRow {
  readonly id: DeliveryId;
  readonly packet_id: PacketId;
  readonly host: string;
  readonly handler: string;
  readonly pool: string;
  readonly sender: string;
  readonly receiver: string;
  readonly seen_at: EpochMs;
  readonly created_at: EpochMs;
  readonly facts: PacketFacts | null;
}

interface PendingRow extends SharedRow {
  readonly seq: number;
  readonly state: number;
  readonly due: EpochMs;
  readonly spent: number;
}

interface DeadEventRow extends SharedRow {
  readonly nr: number;
  readonly status: number | null;
  readonly attempts: number;
  readonly reason: string;
  readonly detail: string;
  readonly died_at: EpochMs;
}

/** `waits_in`: the lane in which it waits for earlier deliveries; null if it waits for none. */
type ContentRow = { readonly target: string; readonly body: Body; readonly waits_in: string | null };
type Parameters = Readonly<Record<string, number | string | null>>;
type RowsStatement<Row> = Database.Statement<[Parameters], Row>;
type ContentStatement = Database.Statement<[number, string], ContentRow>;
type PendingFactsRow = readonly [
  seq: number,
  spent: number,
  pool: string,
  handler: string,
  lane: string | null,
  createdAt: EpochMs,
  state: number,
];

/** Values of the column `state`. */
const [ready, claimed] = [1, 2] as const;

/** Searches and changes events for an operator. Everything here runs inside a transaction. */
export class EventSearch {
  readonly #pending: PendingDeliveries;
  readonly #histories: AttemptHistories;
  readonly #depths: Tables['depths'];
  readonly #pendingRows: Directed<RowsStatement<PendingRow>>;
  readonly #hotRows: Directed<RowsStatement<PendingRow>>;
  readonly #pendingEdge: Directed<Database.Statement<[number, number], number>>;
  readonly #deadRows: Directed<RowsStatement<DeadEventRow>>;
  readonly #deadEdge: Directed<Database.Statement<[number, number, number], EventPosition>>;
  readonly #pendingCounts: readonly Database.Statement<[Parameters], number>[];
  readonly #deadCount: Database.Statement<[Parameters], number>;
  readonly #contents: readonly ContentStatement[];
  readonly #heads: readonly Database.Statement<[string, number], { readonly seq: number; readonly id: DeliveryId }>[];
  readonly #facts: Database.Statement<[number, string], PendingFactsRow>;
  readonly #makeDue: Database.Statement<[number, number, number]>;

  constructor(db: Database.Database, { pending, histories, depths }: Tables) {
    const sql = eventStatements;
    this.#pending = pending;
    this.#histories = histories;
    this.#depths = depths;
    this.#pendingRows = { forward: db.prepare(sql.pendingForward), backward: db.prepare(sql.pendingBackward) };
    this.#hotRows = { forward: db.prepare(hotStatements.forward), backward: db.prepare(hotStatements.backward) };
    this.#pendingEdge = {
      forward: db.prepare<[number, number], number>(sql.pendingForwardEdge).pluck(),
      backward: db.prepare<[number, number], number>(sql.pendingBackwardEdge).pluck(),
    };
    this.#deadRows = { forward: db.prepare(sql.deadForward), backward: db.prepare(sql.deadBackward) };
    this.#deadEdge = {
      forward: db.prepare<[number, number, number], EventPosition>(sql.deadForwardEdge).raw(),
      backward: db.prepare<[number, number, number], EventPosition>(sql.deadBackwardEdge).raw(),
    };
    this.#pendingCounts = [sql.pendingCount, hotStatements.count].map((count) => db.prepare<[Parameters], number>(count).pluck());
    this.#deadCount = db.prepare<[Parameters], number>(sql.deadCount).pluck();
    this.#contents = [sql.pendingContent, hotStatements.content].map((content) => db.prepare<[number, string], ContentRow>(content));
    this.#heads = [sql.unclaimedHead, sql.claimedHead, hotStatements.head].map((head) => db.prepare(head));
    this.#facts = db.prepare<[number, string], PendingFactsRow>(sql.pendingFacts).raw();
    this.#makeDue = db.prepare<[number, number, number]>(sql.makeDue);
  }

  run(request: EventRequest): Changed | Counted | EventContent | EventPage | undefined {
    switch (request.kind) {
      case 'count':
        return this.#count(request);
      case 'content':
        return this.#content(request.key);
      case 'drop':
        return this.#drop(request.keys);
      case 'make-due':
        return this.#makeAllDue(request.keys, request.now);
      case 'page':
        return request.table === 'dead' ? this.#deadPage(request) : this.#pendingPage(request);
      default:
        return request satisfies never;
    }
  }

  #pendingPage(query: EventQuery): EventPage {
    const { filter, limit, backward } = query;
    const { given, more } = this.#pendingChunk(query);
    const direction = directionOf(query);
    const rows = [...this.#pendingRows[direction].all({ ...given, limit }), ...this.#hotRows[direction].all({ ...given, limit })];
    rows.sort((one, other) => (backward ? other.seq - one.seq : one.seq - other.seq));
    const found = rows.slice(0, limit);
    const last = found.at(-1);
    const events = found.map((row) => this.#pendingEvent(row)).filter(hasStatus(filter));
    return { events, more: found.length === limit && last !== undefined ? [0, last.seq] : more };
  }

  #deadPage(query: EventQuery): EventPage {
    const { given, more } = this.#deadChunk(query);
    const rows = this.#deadRows[directionOf(query)].all({ ...given, limit: query.limit });
    const last = rows.at(-1);
    return { events: rows.map(deadEvent), more: rows.length === query.limit && last !== undefined ? [last.died_at, last.nr] : more };
  }

  /** The status of a waiting event is not a column. */
  #count(walk: EventWalk): Counted {
    if (walk.table === 'dead') {
      const { given, more } = this.#deadChunk(walk);
      return { count: this.#deadCount.get(given) ?? 0, more };
    }
    if (walk.filter.status !== undefined) {
      const { events, more } = this.#pendingPage({ ...walk, limit: chunkRows });
      return { count: events.length, more };
    }
    const { given, more } = this.#pendingChunk(walk);
    return { count: this.#pendingCounts.reduce((sum, statement) => sum + (statement.get(given) ?? 0), 0), more };
  }

  /** The next chunk: parameters of its statement, and its end; undefined if it is the last one. */
  #pendingChunk(walk: EventWalk): Range {
    const { filter, backward, after } = walk;
    const start = after?.[1] ?? (backward ? highest[1] : 0);
    const edge = this.#pendingEdge[directionOf(walk)].get(start, chunkRows);
    const [low, high] = backward ? [edge ?? 0, start] : [start, edge ?? highest[1]];
    const more: EventPosition | undefined = edge === undefined ? undefined : [0, backward ? edge + 1 : edge - 1];
    return { given: { ...parametersOf(filter), low, high }, more };
  }

  #deadChunk(walk: EventWalk): Range {
    const { filter, backward, after } = walk;
    const from: EventPosition = [filter.since ?? lowest[0], 0];
    const to: EventPosition = [filter.before ?? highest[0], 0];
    const start = backward ? earlier(after ?? to, to) : later(after ?? from, from); // the cursor of another search may lie outside
    const edge = this.#deadEdge[directionOf(walk)].get(...start, chunkRows);
    const [low, high] = backward ? [later(edge ?? from, from), start] : [start, earlier(edge ?? to, to)];
    const given = { ...parametersOf(filter), lowAt: low[0], low: low[1], highAt: high[0], high: high[1] };
    const isLast = edge === undefined || (backward ? byTime(edge, from) <= 0 : byTime(edge, to) >= 0);
    return { given, more: isLast ? undefined : [edge[0], backward ? edge[1] + 1 : edge[1] - 1] };
  }

  #pendingEvent(row: PendingRow): SpoolEvent {
    const { seq, state, due, spent } = row;
    return {
      ...sharedOf(row),
      status: spent === 0 ? null : lastStatus(this.#histories.of(seq)),
      attempts: spent,
      ...{ diedAt: null, reason: '', detail: '' },
      dueAt: state === ready ? due : null,
      isClaimed: state === claimed,
      position: [0, seq],
    };
  }

  #content([seq, id]: PendingKey): EventContent | undefined {
    for (const statement of this.#contents) {
      const row = statement.get(seq, id);
      if (row === undefined) continue;
      const behind = row.waits_in === null ? null : this.#headOf(row.waits_in, seq);
      return { target: parseTarget(row.target), body: row.body, history: this.#histories.of(seq), behind };
    }
    return undefined;
  }

  /** The earliest event of a lane with a lower number. */
  #headOf(lane: string, before: number): DeliveryId | null {
    const heads = this.#heads.flatMap((statement) => statement.get(lane, before) ?? []);
    heads.sort((one, other) => one.seq - other.seq);
    return heads[0]?.id ?? null;
  }

  #drop(keys: readonly PendingKey[]): Changed {
    const found = keys.flatMap((key) => this.#unclaimed(key));
    for (const { facts } of found) {
      if (facts.spent > 0) this.#histories.remove(facts.seq);
      this.#pending.removeUnclaimed(facts);
    }
    const heads = found.filter(({ isReady }) => isReady);
    const readyPools = heads.flatMap(({ facts }) => {
      const next = this.#pending.promoteNext(facts, 0);
      return next.kind === 'ready' ? [next.pool] : [];
    });
    return { ids: found.map(({ id }) => id), missed: keys.length - found.length, readyPools };
  }

  #makeAllDue(keys: readonly PendingKey[], now: EpochMs): Changed {
    const found = keys.flatMap((key) => this.#unclaimed(key));
    const moved = found.filter(({ facts }) => this.#makeDue.run(now, facts.seq, now).changes > 0);
    const readyPools = moved.map(({ facts }) => facts.queue.pool);
    return { ids: found.map(({ id }) => id), missed: keys.length - found.length, readyPools };
  }

  /** The waiting event of this key, if this process does not hold it. */
  #unclaimed([key, id]: PendingKey): readonly { readonly id: DeliveryId; readonly facts: DeliveryFacts; readonly isReady: boolean }[] {
    const row = this.#facts.get(key, id);
    if (row === undefined || row[6] === claimed) return [];
    const [seq, spent, pool, handler, lane, createdAt, state] = row;
    const facts = { seq, spent, queue: this.#depths.of(pool, handler), lane, createdAt, hotBytes: 0 };
    return [{ id, facts, isReady: state === ready }];
  }
}

/** Parameters of a statement, and where the chunk after it begins. */
interface Range {
  readonly given: Parameters;
  readonly more: EventPosition | undefined;
}

interface Directed<S> {
  readonly forward: S;
  readonly backward: S;
}

function parametersOf({ ids, descendantsOf, jid, stanzaId, handler, pool, host, status, since, before }: EventFilter): Parameters {
  return {
    ids: ids === undefined ? null : JSON.stringify(ids),
    prefix: descendantsOf === undefined ? null : `${descendantsOf}.`,
    jid: jid ?? null,
    stanzaId: idIn(stanzaId),
    quotedId: JSON.stringify(idIn(stanzaId)),
    handler: handler ?? null,
    pool: pool ?? null,
    host: host ?? null,
    status: status ?? null,
    since: since ?? lowest[0],
    before: before ?? highest[0],
  };
}

function hasStatus({ status }: EventFilter): (event: SpoolEvent) => boolean {
  return (event) => status === undefined || event.status === status;
}

function directionOf({ backward }: EventWalk): keyof Directed<unknown> {
  return backward ? 'backward' : 'forward';
}

function later(one: EventPosition, other: EventPosition): EventPosition {
  return byTime(one, other) < 0 ? other : one;
}

function earlier(one: EventPosition, other: EventPosition): EventPosition {
  return byTime(one, other) < 0 ? one : other;
}

function byTime([at, nr]: EventPosition, [otherAt, otherNr]: EventPosition): number {
  return at - otherAt || nr - otherNr;
}

function sharedOf({ id, packet_id, host, handler, pool, sender, receiver, seen_at, created_at, facts }: SharedRow) {
  return {
    ...{ id, packetId: packet_id, host, handler, pool, sender, receiver, seenAt: seen_at, createdAt: created_at },
    ...readFacts(facts),
  };
}

function deadEvent(row: DeadEventRow): SpoolEvent {
  const { nr, status, attempts, reason, detail, died_at } = row;
  const state = { diedAt: died_at, dueAt: null, isClaimed: false } as const;
  return { ...sharedOf(row), status, attempts, reason, detail, ...state, position: [died_at, nr] };
}
