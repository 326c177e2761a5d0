import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { DeadReason } from '../../model/attempt.ts';
import { lastStatus } from '../../model/attempt.ts';
import type { Body, DeliveryId } from '../../model/delivery.ts';
import type { DeadFilter, FailedPacket } from '../dead-letter.ts';
import { countByQueue } from '../dead-letter.ts';
import { createDeadWalk, cursorOf, type LetterRow, letterOf } from './dead-walk.ts';
import type { Depths } from './depths.ts';
import type { Histories } from './histories.ts';
import type { Held } from './holding.ts';
import type { Answers, Chunk, DeadCursor, DeadPage, DeadRow, Purged, RefusedRow } from './protocol.ts';
import { statements } from './statements.ts';

/** Dead letters on disk. Everything here runs inside a transaction. */
export interface Graveyard {
  /** Copies a delivery, which is removed by the caller. */
  bury(held: Held, death: Death): void;
  buryFailedPacket(failedPackets: FailedPacket, diedAt: EpochMs): void;
  buryRefused(refused: RefusedRow, diedAt: EpochMs): void;
  /** Removes the row; its attempts stay. */
  remove(row: Pick<LetterRow, 'handler' | 'nr' | 'pool'>): void;
  /** Removes the newest of this id, if there is one, with its attempts. */
  end(id: DeliveryId): void;
  page(page: DeadPage): Answers['dead-letters'];
  find(id: DeliveryId): DeadRow | undefined;
  count(filter: DeadFilter, after: DeadCursor): Chunk<DeadCursor>;
  /** Deletes a batch, smaller if the letters are large: deleted content is overwritten while other commits wait. */
  purge(filter: DeadFilter, after: DeadCursor): Purged;
}

export interface Death {
  readonly reason: DeadReason;
  readonly detail: string;
  /** Those before a replay too. */
  readonly attempts: number;
  readonly diedAt: EpochMs;
}

interface WholeRow extends LetterRow {
  readonly target: string | null;
  readonly packet: string | null;
  readonly body: Body | null;
}

/** Content deleted in one transaction, bytes. */
const purgedBytes = 4 * 1024 * 1024;

export function createGraveyard(
  db: Database.Database,
  { depths, histories }: { readonly depths: Depths; readonly histories: Histories },
): Graveyard {
  const buryRow = db.prepare(statements.bury);
  const buryFailedPacket = db.prepare(statements.buryFailedPacket);
  const buryRefused = db.prepare(statements.buryRefused);
  const deadById = db.prepare<[string], WholeRow>(statements.deadById);
  const sizeOf = db.prepare<[number], number>(statements.deadBytes).pluck();
  const removeRow = db.prepare<[number]>(statements.removeDead);
  const walk = createDeadWalk(db);

  function bury({ seq, queue }: Held, { reason, detail, attempts, diedAt }: Death): void {
    const status = attempts > 0 ? lastStatus(histories.of(seq)) : null;
    buryRow.run(attempts > 0 ? seq : null, reason, detail, status, attempts, diedAt, seq); // a seq without attempts may be given anew
    depths.addDead(queue, 1);
  }

  function remove({ nr, pool, handler }: Pick<LetterRow, 'handler' | 'nr' | 'pool'>): void {
    removeRow.run(nr);
    depths.addDead(depths.of(pool, handler), -1);
  }

  function end(row: LetterRow): void {
    if (row.seq !== null) histories.remove(row.seq);
    remove(row);
  }

  function page({ filter, limit, backward, after }: DeadPage): Answers['dead-letters'] {
    const { rows, more } = walk({ filter, backward, ...(backward ? { before: after } : { after }) });
    return { letters: rows.slice(0, limit).map(letterOf), more: rows.length < limit ? more : undefined };
  }

  function find(id: DeliveryId): DeadRow | undefined {
    const row = deadById.get(id);
    if (row === undefined) return undefined;
    const { target, body, packet, seq } = row;
    return { letter: letterOf(row), target, body, packet, history: seq === null ? [] : histories.of(seq) };
  }

  function count(filter: DeadFilter, after: DeadCursor): Chunk<DeadCursor> {
    const { pool, handler, ...rest } = filter;
    if (Object.values(rest).some((value) => value !== undefined)) {
      const { rows, more } = walk({ filter, after });
      return { count: rows.length, more };
    }
    const queues = depths.all().filter((queue) => (pool ?? queue.pool) === queue.pool && (handler ?? queue.handler) === queue.handler);
    return { count: queues.reduce((sum, { dead }) => sum + dead, 0), more: undefined };
  }

  function purge(filter: DeadFilter, after: DeadCursor): Purged {
    const { rows, more } = walk({ filter, after });
    const ended: LetterRow[] = [];
    let bytes = 0;
    for (const row of rows) {
      bytes += sizeOf.get(row.nr) ?? 0;
      if (bytes > purgedBytes && ended.length > 0) break;
      end(row);
      ended.push(row);
    }
    return { deleted: countByQueue(ended), more: ended.length < rows.length ? cursorOf(ended.at(-1)) : more };
  }

  return {
    bury,
    buryFailedPacket: (born, diedAt) => {
      const { id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, packet } = born;
      buryFailedPacket.run(id, packetId, host, handler, pool, sender, receiver, reason, detail, seenAt, createdAt, diedAt, packet);
      depths.addDead(depths.of(pool, handler), 1);
    },
    buryRefused: ([row, reason, detail], diedAt) => {
      buryRefused.run(...row, reason, detail, diedAt);
      depths.addDead(depths.of(row[4], row[3]), 1);
    },
    remove,
    end: (id) => {
      const row = deadById.get(id);
      if (row !== undefined) end(row);
    },
    page,
    find,
    count,
    purge,
  };
}
