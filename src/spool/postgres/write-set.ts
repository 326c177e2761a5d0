/** The changes of one transaction, collected from many commands and written by one statement. */

import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord } from '../../model/attempt.ts';
import type { QueueName } from '../../model/delivery.ts';
import type { Mark } from '../../model/packet.ts';
import type { FailedPacket } from '../spool.ts';
import type { Row } from '../sqlite/protocol.ts';

/** A value of a column. */
export type Value = Uint8Array | boolean | number | string | null;

interface Table {
  readonly name: string;
  /** A data-modifying query in which each `?` is one column of values. It changes nothing unless `owned` has a row. */
  readonly sql: string;
  readonly columns: number;
}

const content = 'id, packet_id, host, handler, pool, lane, sender, receiver, seen_at, created_at, target, body, raw, is_text, facts';
const contentArrays =
  '?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bytea[], ?::bool[], ?::text[]';
const ifOwned = 'WHERE EXISTS (SELECT FROM owned)';

/**
 * The parts of a statement. All see the state before the statement, and none changes a row that another one changes, so their order does
 * not matter.
 */
const tables = {
  added: {
    sql: `INSERT INTO deliveries (seq, due, attempts, past, ${content})
      SELECT seq, created_at, 0, 0, ${content} FROM unnest(?::bigint[], ${contentArrays}) AS t (seq, ${content}) ${ifOwned}`,
    columns: 16,
  },
  attempted: {
    sql: `INSERT INTO attempts (seq, nr, number, at, outcome, judgement)
      SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::integer[], ?::bigint[], ?::text[], ?::text[]) ${ifOwned}`,
    columns: 6,
  },
  counted: {
    sql: `INSERT INTO dead_counts (pool, handler, count) SELECT * FROM unnest(?::text[], ?::text[], ?::bigint[]) ${ifOwned}
      ON CONFLICT (pool, handler) DO UPDATE SET count = dead_counts.count + excluded.count`,
    columns: 3,
  },
  failedPackets: {
    sql: `INSERT INTO dead (nr, id, packet_id, host, handler, pool, sender, receiver, reason, detail, attempts, seen_at, created_at, died_at,
        packet, is_text, facts)
      SELECT nr, id, packet_id, host, handler, pool, sender, receiver, reason, detail, 0, seen_at, created_at, died_at, packet, false, facts
      FROM unnest(?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[],
        ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::text[])
        AS t (nr, id, packet_id, host, handler, pool, sender, receiver, reason, detail, seen_at, created_at, died_at, packet, facts) ${ifOwned}`,
    columns: 15,
  },
  forgotten: { sql: `DELETE FROM attempts WHERE seq = ANY (?::bigint[]) AND EXISTS (SELECT FROM owned)`, columns: 1 },
  killed: {
    sql: `INSERT INTO dead (nr, seq, reason, detail, status, attempts, died_at, lane, id, packet_id, host, handler, pool, sender, receiver,
        seen_at, created_at, target, body, raw, is_text, facts)
      SELECT k.nr, CASE WHEN k.attempts > 0 THEN k.seq END, k.reason, k.detail, k.status, k.attempts, k.died_at, coalesce(d.lane, d.left_lane),
        d.id, d.packet_id, d.host, d.handler, d.pool, d.sender, d.receiver, d.seen_at, d.created_at, d.target, d.body, d.raw, d.is_text, d.facts
      FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::integer[], ?::integer[], ?::bigint[])
        AS k (nr, seq, reason, detail, status, attempts, died_at) JOIN deliveries d ON d.seq = k.seq ${ifOwned}`,
    columns: 7,
  },
  marked: {
    sql: `INSERT INTO marks (attachment, host, node, epoch, h)
      SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[]) ${ifOwned}
      ON CONFLICT (attachment, host, node) DO UPDATE SET epoch = excluded.epoch, h = excluded.h`,
    columns: 5,
  },
  moved: {
    sql: `UPDATE deliveries SET pool = m.pool, handler = m.handler FROM unnest(?::bigint[], ?::text[], ?::text[]) AS m (seq, pool, handler)
      WHERE deliveries.seq = m.seq AND EXISTS (SELECT FROM owned)`,
    columns: 3,
  },
  paused: { sql: `INSERT INTO paused (pool) SELECT * FROM unnest(?::text[]) ${ifOwned} ON CONFLICT DO NOTHING`, columns: 1 },
  recorded: {
    sql: `INSERT INTO history (ends, at, records) SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::text[]) ${ifOwned}`,
    columns: 3,
  },
  refused: {
    sql: `INSERT INTO dead (nr, reason, detail, died_at, attempts, ${content}) SELECT nr, reason, detail, died_at, 0, ${content}
      FROM unnest(?::bigint[], ?::text[], ?::text[], ?::bigint[], ${contentArrays}) AS t (nr, reason, detail, died_at, ${content}) ${ifOwned}`,
    columns: 19,
  },
  removed: { sql: 'DELETE FROM deliveries WHERE seq = ANY (?::bigint[]) AND EXISTS (SELECT FROM owned)', columns: 1 },
  removedDead: { sql: 'DELETE FROM dead WHERE nr = ANY (?::bigint[]) AND EXISTS (SELECT FROM owned)', columns: 1 },
  renumbered: {
    sql: `UPDATE attempts SET seq = m.new_seq FROM unnest(?::bigint[], ?::bigint[]) AS m (old_seq, new_seq)
      WHERE attempts.seq = m.old_seq AND EXISTS (SELECT FROM owned)`,
    columns: 2,
  },
  restored: {
    sql: `INSERT INTO deliveries (seq, due, attempts, past, status, created_at, id, packet_id, host, handler, pool, lane, sender, receiver,
        seen_at, target, body, raw, is_text, facts)
      SELECT r.seq, r.at, 0, d.attempts, d.status, r.at, d.id, d.packet_id, d.host, d.handler, d.pool, d.lane, d.sender, d.receiver,
        d.seen_at, d.target, d.body, d.raw, d.is_text, d.facts
      FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS r (nr, seq, at) JOIN dead d ON d.nr = r.nr ${ifOwned}`,
    columns: 3,
  },
  resumed: { sql: 'DELETE FROM paused WHERE pool = ANY (?::text[]) AND EXISTS (SELECT FROM owned)', columns: 1 },
  rescheduled: {
    sql: `UPDATE deliveries SET due = r.due FROM unnest(?::bigint[], ?::bigint[]) AS r (seq, due)
      WHERE deliveries.seq = r.seq AND EXISTS (SELECT FROM owned)`,
    columns: 2,
  },
  retried: {
    sql: `UPDATE deliveries SET due = r.due, attempts = r.attempts, status = r.status, failing_since = coalesce(failing_since, r.failed_at),
        context = r.context, left_lane = CASE WHEN r.leaves THEN coalesce(lane, left_lane) ELSE left_lane END,
        lane = CASE WHEN r.leaves THEN NULL ELSE lane END
      FROM unnest(?::bigint[], ?::bigint[], ?::integer[], ?::integer[], ?::bigint[], ?::text[], ?::bool[])
        AS r (seq, due, attempts, status, failed_at, context, leaves)
      WHERE deliveries.seq = r.seq AND EXISTS (SELECT FROM owned)`,
    columns: 7,
  },
  trimmed: { sql: 'DELETE FROM history WHERE ends <= ALL (?::bigint[]) AND EXISTS (SELECT FROM owned)', columns: 1 },
} as const satisfies Record<string, Omit<Table, 'name'>>;

type TableName = keyof typeof tables;
const tableNames: readonly string[] = Object.keys(tables);

/** Why and when a delivery became a dead letter. */
export interface Death {
  readonly reason: string;
  readonly detail: string;
  readonly diedAt: EpochMs;
}

/** A named statement: PostgreSQL plans each combination of parts once per connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

export interface Fence {
  readonly epoch: number;
  /** The number of this transaction, one higher than that of the one before. */
  readonly batch: number;
}

/** Characters and bytes of values. */
const largeSize = 16 * 1024 * 1024;

export class WriteSet {
  readonly #columns = new Map<TableName, Value[][]>();
  readonly #marks = new Map<string, Mark>();
  readonly #paused = new Map<string, boolean>();
  readonly #deadCounts = new Map<string, QueueName & { count: number }>();
  /** Numbers of the deliveries whose rows this set changes: no row may be changed twice by one statement. */
  readonly #touched = new Set<number>();
  #size = 0;

  get isEmpty(): boolean {
    return this.#columns.size === 0 && this.#marks.size === 0 && this.#paused.size === 0;
  }

  /** Whether the next changes belong into another statement: the values of one are one message, and those of a column one text in memory. */
  get isLarge(): boolean {
    return this.#size > largeSize;
  }

  touches(seq: number): boolean {
    return this.#touched.has(seq);
  }

  add(seq: number, row: Row): void {
    this.#touched.add(seq);
    this.#write('added', seq, ...contentOf(row));
  }

  remove(seq: number): void {
    this.#touched.add(seq);
    this.#write('removed', seq);
  }

  retry(
    seq: number,
    change: {
      readonly due: EpochMs;
      readonly attempts: number;
      readonly status: number | null;
      readonly failedAt: EpochMs | undefined;
      readonly context: string | null;
      readonly leaves: boolean;
    },
  ): void {
    this.#touched.add(seq);
    this.#write('retried', seq, change.due, change.attempts, change.status, change.failedAt ?? null, change.context, change.leaves);
  }

  setDue(seq: number, due: EpochMs): void {
    this.#touched.add(seq);
    this.#write('rescheduled', seq, due);
  }

  move(seq: number, pool: string, handler: string): void {
    this.#touched.add(seq);
    this.#write('moved', seq, pool, handler);
  }

  addAttempt(seq: number, nr: number, { number, at, outcome, judgement }: AttemptRecord): void {
    this.#write('attempted', seq, nr, number, at, JSON.stringify(outcome), judgement === undefined ? null : JSON.stringify(judgement));
  }

  forgetAttempts(seq: number): void {
    this.#write('forgotten', seq);
  }

  /** Copies a delivery to the dead letters; it is to be removed as well. */
  kill(
    nr: number,
    seq: number,
    { reason, detail, diedAt, status, attempts }: Death & { readonly status: number | null; readonly attempts: number },
  ): void {
    this.#write('killed', nr, seq, reason, detail, status, attempts, diedAt);
  }

  addRefused(nr: number, row: Row, { reason, detail, diedAt }: Death): void {
    this.#write('refused', nr, reason, detail, diedAt, ...contentOf(row));
  }

  addFailedPacket(nr: number, failed: FailedPacket, diedAt: EpochMs): void {
    const { id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, packet, facts = null } = failed;
    const texts = [id, packetId, host, handler, pool, sender, receiver, reason, detail];
    this.#write('failedPackets', nr, ...texts, seenAt, createdAt, diedAt, packet, facts);
  }

  removeDead(nr: number): void {
    this.#write('removedDead', nr);
  }

  /** Copies a dead letter to the deliveries; it is to be removed as well. */
  restore(nr: number, seq: number, at: EpochMs): void {
    this.#touched.add(seq);
    this.#write('restored', nr, seq, at);
  }

  renumberAttempts(from: number, to: number): void {
    this.#write('renumbered', from, to);
  }

  /** Changes the number of dead letters of a queue. */
  countDead({ pool, handler }: QueueName, change: number): void {
    const key = `${pool}\n${handler}`;
    const counted = this.#deadCounts.get(key) ?? { pool, handler, count: 0 };
    counted.count += change;
    this.#deadCounts.set(key, counted);
  }

  /** Adds records to the history. `ends` is the number of bytes that were ever added, these included. */
  record(ends: number, at: EpochMs, records: string): void {
    this.#write('recorded', ends, at, records);
  }

  /** Deletes the history up to a group. */
  trimHistory(ends: number): void {
    this.#write('trimmed', ends);
  }

  /** The last change of a pool counts: the parts of a statement have no order. */
  setPaused(pool: string, paused: boolean): void {
    this.#paused.set(pool, paused);
  }

  setMark(mark: Mark): void {
    this.#marks.set(`${mark.attachment}\n${mark.host}\n${mark.node}`, mark);
  }

  /**
   * One statement, which is one transaction. It changes nothing and returns no row unless the spool still has this epoch and the number of
   * the transaction before.
   */
  statement({ epoch, batch }: Fence): Statement {
    for (const { attachment, host, node, epoch: markEpoch, h } of this.#marks.values())
      this.#write('marked', attachment, host, node, markEpoch, h);
    this.#marks.clear();
    for (const [pool, isPaused] of this.#paused) this.#write(isPaused ? 'paused' : 'resumed', pool);
    this.#paused.clear();
    for (const { pool, handler, count } of this.#deadCounts.values()) this.#write('counted', pool, handler, count);
    this.#deadCounts.clear();
    const values: unknown[] = [batch, epoch, batch - 1];
    const names = [...this.#columns.keys()].sort();
    const parts = names.map((name) => {
      const columns = this.#columns.get(name) ?? [];
      return `, ${name} AS (${tables[name].sql.replaceAll('?', () => `$${values.push(columns.shift())}`)})`;
    });
    this.#columns.clear();
    const owned = 'WITH owned AS (UPDATE owner SET batch = $1::bigint WHERE epoch = $2::bigint AND batch = $3::bigint RETURNING one)';
    return {
      name: `write-${names.map((name) => tableNames.indexOf(name)).join('-')}`,
      text: `${owned}${parts.join('')} SELECT one FROM owned`,
      values,
    };
  }

  #write(name: TableName, ...row: readonly Value[]): void {
    let columns = this.#columns.get(name);
    if (columns === undefined) {
      columns = Array.from({ length: tables[name].columns }, () => []);
      this.#columns.set(name, columns);
    }
    for (const [index, value] of row.entries()) {
      columns[index]?.push(typeof value === 'string' ? storable(value) : value);
      if (typeof value === 'string' || value instanceof Uint8Array) this.#size += value.length;
    }
  }
}

function contentOf([id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, body, facts]: Row): Value[] {
  const isText = typeof body === 'string';
  const raw = isText ? (body.includes('\0') ? Buffer.from(body) : null) : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const text = isText && raw === null ? body : null;
  return [id, packetId, host, handler, pool, lane, sender, receiver, seenAt, createdAt, target, text, raw, isText, facts];
}

/** PostgreSQL cannot store U+0000 in a text. Only bodies may contain it, and those are stored as bytes. */
export function storable(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\u2400') : text;
}
