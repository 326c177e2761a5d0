import type { EpochMs } from '../../kit/clock.ts';
import type { DeliveryId, QueueName } from '../../model/delivery.ts';
import { isErasureRequest } from '../erasure-requests.ts';
import { isEventRequest } from '../event-store.ts';
import { countByQueue, type DeadFilter, type ExtensionRequest } from '../spool.ts';
import {
  type Answers,
  beforeAll,
  type Chunk,
  type DeadCursor,
  type DeadPage,
  type Purged,
  type ReplayedChunk,
  type ReplayStep,
} from '../sqlite/protocol.ts';
import type { CommandRunner } from './command-runner.ts';
import { DeadLetterSearch, type LetterRow } from './dead-letter-search.ts';
import { EventEraser } from './event-eraser.ts';
import { EventSearch } from './event-search.ts';
import type { Pending } from './pending-delivery.ts';
import type { Session } from './session.ts';
import type { SpoolState } from './spool-state.ts';

/** Rows that one transaction reads or changes: an operator's command must not delay deliveries. */
const chunkRows = 1000;

/**
 * Commands of an operator, and of an overflow, that concern many rows. Each call reads what it needs, changes one chunk, and returns where
 * the next one begins. All earlier changes are committed before it begins; the process owns the spool, so nothing changes between
 * the reads and the changes. Claimed deliveries are never touched.
 */
export class OperatorCommands {
  readonly #state: SpoolState;
  readonly #runner: CommandRunner;
  readonly #search: DeadLetterSearch;
  readonly #events: EventSearch;
  readonly #eraser: EventEraser;

  constructor(session: Session, state: SpoolState, runner: CommandRunner) {
    this.#state = state;
    this.#runner = runner;
    this.#search = new DeadLetterSearch(session);
    this.#events = new EventSearch(session, state, this.#search);
    this.#eraser = new EventEraser(session, state);
  }

  async extend(request: ExtensionRequest): Promise<Answers['extend']> {
    if (isEventRequest(request)) return { result: await this.#events.run(request) };
    if (isErasureRequest(request)) return { result: await this.#eraser.run(request) };
    throw new Error(`the spool has no extension ${request.extension}`);
  }

  find(id: DeliveryId): Promise<Answers['dead-letter']> {
    return this.#search.whole(id);
  }

  async page({ filter, limit, backward, after }: DeadPage): Promise<Answers['dead-letters']> {
    const end = backward ? { before: after } : { after };
    const { rows, more } = await this.#search.walk({ filter, backward, ...end, limit: Math.min(limit, chunkRows) });
    return { letters: rows.map(({ letter }) => letter), more: rows.length < limit ? more : undefined };
  }

  async count(filter: DeadFilter, after: DeadCursor): Promise<Chunk<DeadCursor>> {
    const { pool, handler, ...rest } = filter;
    if (Object.values(rest).some((value) => value !== undefined)) {
      const { rows, more } = await this.#search.walk({ filter, after, limit: chunkRows });
      return { count: rows.length, more };
    }
    const queues = this.#state.pending.queues
      .all()
      .filter((queue) => (pool ?? queue.pool) === queue.pool && (handler ?? queue.handler) === queue.handler);
    return { count: queues.reduce((sum, { dead }) => sum + dead, 0), more: undefined };
  }

  async purge(filter: DeadFilter, after: DeadCursor): Promise<Purged> {
    const { rows, more } = await this.#search.walk({ filter, after, limit: chunkRows });
    for (const { nr, seq, letter } of rows) this.#state.removeDead({ ...letter, nr, seq });
    return { deleted: countByQueue(rows.map(({ letter }) => letter)), more };
  }

  /** Removes the newest dead letter of this id and its attempts, if there is one. */
  async revive(id: DeliveryId): Promise<void> {
    const newest = await this.#search.newest(id);
    if (newest !== undefined) this.#state.removeDead({ ...newest.letter, nr: newest.nr, seq: newest.seq });
  }

  /** Makes dead letters deliveries again. */
  async replay({ filter, limit, now, after, last: known }: ReplayStep): Promise<ReplayedChunk> {
    const last = known ?? (await this.#search.walk({ filter: {}, backward: true, limit: 1 })).more ?? beforeAll;
    const { rows, more } = await this.#search.walk({ filter, after, before: [last[0], last[1] + 1], limit: chunkRows });
    const readyPools = new Set<string>();
    let [replayed, failedPackets] = [0, 0];
    for (const row of rows) {
      if (row.isDelivery && replayed === limit) return { replayed, failedPackets, readyPools: [...readyPools], more: undefined };
      if (!row.isDelivery) failedPackets += 1;
      else {
        replayed += 1;
        if (this.#restore(row, now).state === 'ready') readyPools.add(row.letter.pool);
      }
    }
    const end = replayed < limit ? more : undefined;
    return { replayed, failedPackets, readyPools: [...readyPools], more: end && { after: end, last } };
  }

  /** Makes ready deliveries of a pool dead letters, the oldest first. */
  shed(pool: string, { count, detail }: { readonly count: number; readonly detail: string }, diedAt: EpochMs): Answers['shed'] {
    const shed: QueueName[] = [];
    const readyPools = new Set<string>();
    const most = Math.min(count, chunkRows);
    while (shed.length < most) {
      const head = this.#state.pending.queues.oldestReady(pool);
      if (head === undefined) break;
      const { handler } = head.queue;
      const { readyPool } = this.#runner.kill(head, { reason: 'overflow', detail, diedAt });
      if (readyPool !== undefined) readyPools.add(readyPool);
      shed.push({ pool, handler });
    }
    return { shed, readyPools: [...readyPools], more: shed.length === chunkRows && shed.length < count };
  }

  moveQueue(from: QueueName, to: QueueName, after: number): Chunk<number> {
    const members = this.#unclaimedOf(from, after);
    for (const pending of members) {
      this.#state.writes.move(pending.seq, to.pool, to.handler);
      this.#state.pending.move(pending, to);
    }
    return chunkOf(members);
  }

  purgeQueue(queue: QueueName, after: number): Chunk<number> {
    const members = this.#unclaimedOf(queue, after);
    const lanes = new Set(members.map(({ lane }) => lane?.name));
    for (const pending of members) this.#state.remove(pending);
    for (const lane of lanes) this.#state.pending.promote(lane, this.#state.pending.queues.of(queue.pool, queue.handler), 0);
    return chunkOf(members);
  }

  #restore({ nr, seq: attemptsOf, lane, bytes, letter }: LetterRow, now: EpochMs): Pending {
    const seq = this.#state.next('seq');
    const { pool, handler, attempts: past, status } = letter;
    this.#state.writes.restore(nr, seq, now);
    if (attemptsOf !== null) this.#state.writes.renumberAttempts(attemptsOf, seq);
    this.#state.removeDead({ nr, seq: null, pool, handler }); // its attempts stay
    const facts = { seq, pool, handler, lane, bytes, createdAt: now, due: now, attempts: 0, past, status };
    return this.#state.pending.add(facts, false);
  }

  #unclaimedOf({ pool, handler }: QueueName, after: number): readonly Pending[] {
    const members: Pending[] = [];
    for (const pending of this.#state.pending.all()) {
      const { queue, seq, state } = pending;
      if (seq > after && state !== 'claimed' && queue.pool === pool && queue.handler === handler) members.push(pending);
      if (members.length === movedRows) break;
    }
    return members;
  }
}

/** Deliveries that are moved or purged in one transaction: more, because finding them takes a pass over all deliveries in memory. */
const movedRows = 5000;

function chunkOf(members: readonly Pending[]): Chunk<number> {
  return { count: members.length, more: members.length === movedRows ? members.at(-1)?.seq : undefined };
}
