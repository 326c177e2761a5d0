import type { AttemptRecord, DeadReason } from '../../model/attempt.ts';
import type { Body, DeliveryId } from '../../model/delivery.ts';
import type { DeadFilter, DeadLetter } from '../spool.ts';
import { afterAll, beforeAll, type DeadCursor, type DeadRow } from '../sqlite/protocol.ts';
import type { Session } from './session.ts';
import { storable } from './write-set.ts';

/** A dead letter without its content, as one row. */
export interface LetterRow {
  readonly nr: number;
  /** Key of its attempts; null if it has none. */
  readonly seq: number | null;
  readonly lane: string | null;
  /** False if no delivery was made of its packet. */
  readonly isDelivery: boolean;
  readonly bytes: number;
  readonly letter: DeadLetter;
}

type Columns = [
  nr: number,
  seq: number | null,
  lane: string | null,
  isDelivery: boolean,
  bytes: number,
  id: DeliveryId,
  host: string,
  handler: string,
  pool: string,
  reason: DeadReason,
  detail: string,
  status: number | null,
  attempts: number,
  createdAt: number,
  diedAt: number,
  sender: string,
  receiver: string,
];

type ContentColumns = [target: string | null, packet: string | null, body: string | null, raw: Buffer | null, isText: boolean];

type AttemptColumns = [number: number, at: number, outcome: string, judgement: string | null];

const letterColumns = `nr, seq, lane, target IS NOT NULL, coalesce(octet_length(raw), octet_length(body), 0), id, host, handler, pool, reason, detail,
  status, attempts, created_at, died_at, sender, receiver`;

interface DeadWalk {
  readonly filter: DeadFilter;
  /** Both ends are excluded. */
  readonly after?: DeadCursor;
  readonly before?: DeadCursor;
  /** Newest first. */
  readonly backward?: boolean;
  readonly limit: number;
}

interface DeadChunk {
  readonly rows: readonly LetterRow[];
  /** Where the next chunk begins; undefined if there is none. */
  readonly more: DeadCursor | undefined;
}

/** Rows that are read at once, whether they match or not. */
const readRows = 5000;

/** `died_at` again, because an index condition on both columns together starts a scan, and the others end it. */
const inRange = '(died_at, nr) > ($1, $2) AND (died_at, nr) < ($3, $4) AND died_at >= $5 AND died_at < $6';

/** Finds dead letters in the database; it changes nothing. */
export class DeadLetterSearch {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** The next dead letters that match, in order of death, among a limited number: deliveries continue between two calls. */
  async walk({ filter, after = beforeAll, before = afterAll, backward = false, limit }: DeadWalk): Promise<DeadChunk> {
    const values: unknown[] = [...after, ...before, filter.diedSince ?? beforeAll[0], filter.diedBefore ?? afterAll[0]];
    const order = `ORDER BY died_at ${backward ? 'DESC' : ''}, nr ${backward ? 'DESC' : ''}`;
    const edge = `SELECT died_at, nr FROM dead WHERE ${inRange} ${order} LIMIT 1 OFFSET ${readRows - 1}`;
    const conditions = ['true'];
    const where = (condition: string, value: unknown) => {
      if (value !== undefined) conditions.push(condition.replace('?', `$${values.push(value)}`));
    };
    const range = [...values];
    where('id = ANY (?::text[])', filter.ids?.map(storable));
    for (const key of ['pool', 'handler', 'host', 'reason', 'detail'] as const) where(`${key} = ?`, textOf(filter[key]));
    const isFew = filter.ids !== undefined; // an index finds them
    const part = isFew ? `dead WHERE ${inRange} AND` : `(SELECT * FROM dead WHERE ${inRange} ${order} LIMIT ${readRows}) AS part WHERE`;
    const text = `SELECT ${letterColumns} FROM ${part} ${conditions.join(' AND ')} ${order} LIMIT ${limit}`;
    const rows = (await this.#session.read<Columns>({ name: '', text, values })).map(letterOf);
    if (rows.length === limit) return { rows, more: cursorOf(rows.at(-1)) };
    const [last] = isFew ? [] : await this.#session.read<[diedAt: number, nr: number]>({ name: '', text: edge, values: range });
    return { rows, more: last };
  }

  /** The newest dead letter of this id. */
  async newest(id: DeliveryId): Promise<LetterRow | undefined> {
    const text = `SELECT ${letterColumns} FROM dead WHERE id = $1 ORDER BY nr DESC LIMIT 1`;
    return (await this.#session.read<Columns>({ name: 'dead-newest', text, values: [storable(id)] })).map(letterOf)[0];
  }

  /** The same with its content. */
  async whole(id: DeliveryId): Promise<DeadRow | undefined> {
    const text = `SELECT ${letterColumns}, target, packet, body, raw, is_text FROM dead WHERE id = $1 ORDER BY nr DESC LIMIT 1`;
    const [columns] = await this.#session.read<[...Columns, ...ContentColumns]>({ name: '', text, values: [storable(id)] });
    if (columns === undefined) return undefined;
    const [target, packet, body, raw, isText] = columns.slice(letterLength) as ContentColumns; // the last columns of the query
    const { letter, seq } = letterOf(columns);
    return { letter, target, packet, body: bodyOf(body, raw, isText), history: seq === null ? [] : await this.attemptsOf(seq) };
  }

  async attemptsOf(seq: number): Promise<readonly AttemptRecord[]> {
    const text = 'SELECT number, at, outcome, judgement FROM attempts WHERE seq = $1 ORDER BY nr';
    const rows = await this.#session.read<AttemptColumns>({ name: '', text, values: [seq] });
    return rows.map(([number, at, outcome, judgement]) => {
      const record = { number, at, outcome: JSON.parse(outcome) as AttemptRecord['outcome'] }; // written by `WriteSet` alone
      return judgement === null ? record : { ...record, judgement: JSON.parse(judgement) as NonNullable<AttemptRecord['judgement']> };
    });
  }
}

function cursorOf(row: LetterRow | undefined): DeadCursor | undefined {
  return row && [row.letter.diedAt, row.nr];
}

const letterLength = 17;

function letterOf(columns: readonly unknown[]): LetterRow {
  const [nr, seq, lane, isDelivery, bytes, id, host, handler, pool, reason, detail, status, attempts, ...rest] = columns as Columns; // the columns of every query
  const [createdAt, diedAt, sender, receiver] = rest;
  const letter = { id, host, handler, pool, reason, detail, status, attempts, createdAt, diedAt, sender, receiver };
  return { nr, seq, lane, isDelivery, bytes, letter };
}

/** A body from its two columns: bytes, and texts that PostgreSQL cannot store as text, are in `raw`. */
export function bodyOf(text: string | null, raw: Buffer | null, isText: boolean): Body | null {
  if (raw === null) return text;
  return isText ? raw.toString() : Uint8Array.from(raw); // a copy: the driver's buffer is part of a larger one
}

function textOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : storable(value);
}
