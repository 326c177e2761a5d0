import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { QueueName } from '../../model/delivery.ts';
import { isErasureRequest } from '../erasure-requests.ts';
import { isEventRequest } from '../event-store.ts';
import type { ExtensionRequest } from '../spool.ts';
import type { DeliveryFacts } from './claims.ts';
import type { OpenOperator, OperatorCommand, Tables } from './command-runner.ts';
import { DeadLetterSearch, type LetterRow } from './dead-letter-search.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { ListedDelivery, PendingDeliveries } from './deliveries.ts';
import { EventEraser } from './event-eraser.ts';
import { EventSearch } from './event-search.ts';
import {
  type Answer,
  type Answers,
  afterAll,
  beforeAll,
  type Chunk,
  type DeadCursor,
  type ReplayedChunk,
  type ReplayStep,
} from './protocol.ts';
import type { AttemptHistories } from './side-tables.ts';
import { statements } from './statements.ts';

/** Rows read in one transaction, and rows copied with their bodies. */
const windowRows = 1000;
const copiedRows = 250;

/** Position of the only argument of a command. */
const argument = 1;

export const openOperatorCommands: OpenOperator = (db, tables) => new OperatorCommands(db, tables);

/**
 * Commands of an operator, and of an overflow, that concern many rows: each call handles one chunk inside a transaction and
 * returns where the next one begins. Claimed deliveries are never touched.
 */
class OperatorCommands {
  readonly #pending: PendingDeliveries;
  readonly #dead: DeadLetters;
  readonly #search: DeadLetterSearch;
  readonly #histories: AttemptHistories;
  readonly #events: EventSearch;
  readonly #eraser: EventEraser;
  readonly #lastDead: Database.Statement<[number], DeadCursor>;

  constructor(db: Database.Database, tables: Tables) {
    const { pending, dead, histories } = tables;
    this.#search = new DeadLetterSearch(db, tables);
    this.#pending = pending;
    this.#dead = dead;
    this.#histories = histories;
    this.#events = new EventSearch(db, tables);
    this.#eraser = new EventEraser(db, tables);
    this.#lastDead = db.prepare<[number], DeadCursor>(statements.lastDead).raw();
  }

  run(command: OperatorCommand, now: EpochMs): Answer {
    switch (command[0]) {
      case 'dead-letter':
        return this.#search.find(command[argument]);
      case 'dead-letters':
        return this.#search.page(command[argument]);
      case 'count-dead': {
        const [, filter, after] = command;
        return this.#search.count(filter, after);
      }
      case 'purge-dead': {
        const [, filter, after] = command;
        return this.#search.purge(filter, after);
      }
      case 'extend':
        return { result: this.#extend(command[argument]) };
      case 'move-queue': {
        const [, from, to, after] = command;
        return this.#moveQueue(from, to, after);
      }
      case 'purge-queue': {
        const [, queue, after] = command;
        return this.#purgeQueue(queue, after);
      }
      case 'replay':
        return this.#replay(command[argument]);
      case 'shed': {
        const [, pool, count, detail] = command;
        return this.#shed(pool, { count, detail }, now);
      }
      default:
        return command satisfies never;
    }
  }

  #extend(request: ExtensionRequest): unknown {
    if (isEventRequest(request)) return this.#events.run(request);
    if (isErasureRequest(request)) return this.#eraser.run(request);
    throw new Error(`the spool has no extension ${request.extension}`);
  }

  /** Makes dead letters deliveries again. */
  #replay({ filter, limit, now, after, last = this.#lastDead.get(afterAll[0]) ?? beforeAll }: ReplayStep): ReplayedChunk {
    const { rows, more } = this.#search.walk({ filter, after, before: [last[0], last[1] + 1] });
    const readyPools = new Set<string>();
    const most = Math.min(limit, copiedRows);
    let [replayed, failedPackets] = [0, 0];
    let reached = after;
    const chunk = (next: DeadCursor | undefined): ReplayedChunk => ({
      ...{ replayed, failedPackets, readyPools: [...readyPools] },
      more: next && { after: next, last },
    });
    for (const row of rows) {
      if (row.still_born === 0 && replayed === most) return chunk(replayed < limit ? reached : undefined);
      reached = [row.died_at, row.nr];
      if (row.still_born === 1) failedPackets += 1;
      else {
        replayed += 1;
        if (this.#restore(row, now)) readyPools.add(row.pool);
      }
    }
    return chunk(replayed < limit ? more : undefined);
  }

  /** Makes ready deliveries of a pool dead letters, the oldest first. */
  #shed(pool: string, { count, detail }: { readonly count: number; readonly detail: string }, diedAt: EpochMs): Answers['shed'] {
    const shed: QueueName[] = [];
    const readyPools = new Set<string>();
    const most = Math.min(count, copiedRows);
    while (shed.length < most) {
      const head = this.#pending.oldestReady(pool);
      if (head === undefined) break;
      this.#dead.add(head, { reason: 'overflow', detail, attempts: head.spent, diedAt });
      this.#pending.removeUnclaimed(head);
      const next = this.#pending.promoteNext(head, 0);
      if (next.kind === 'ready') readyPools.add(next.pool);
      shed.push({ pool, handler: head.queue.handler });
    }
    return { shed, readyPools: [...readyPools], more: shed.length === copiedRows && shed.length < count };
  }

  #moveQueue(from: QueueName, to: QueueName, after: number): Chunk<number> {
    const { members, more } = this.#unclaimedOf(from, after);
    for (const { facts } of members) this.#pending.move(facts, to);
    return { count: members.length, more };
  }

  #purgeQueue(queue: QueueName, after: number): Chunk<number> {
    const { members, more } = this.#unclaimedOf(queue, after);
    for (const { facts } of members) {
      if (facts.spent > 0) this.#histories.remove(facts.seq);
      this.#pending.removeUnclaimed(facts);
    }
    for (const { facts, state } of members) if (state === 'ready') this.#pending.promoteNext(facts, 0);
    return { count: members.length, more };
  }

  /** Returns whether the delivery is ready at once. */
  #restore(row: LetterRow, now: EpochMs): boolean {
    const { seq, ready } = this.#pending.restore(row, now);
    if (row.seq !== null) this.#histories.move(row.seq, seq);
    this.#dead.remove(row);
    return ready;
  }

  #unclaimedOf({ pool, handler }: QueueName, after: number): { members: readonly ListedDelivery[]; more: number | undefined } {
    const window = this.#pending.list(after, windowRows);
    const isMember = ({ queue }: DeliveryFacts) => queue.pool === pool && queue.handler === handler;
    return {
      members: window.filter(({ facts, state }) => state !== 'claimed' && isMember(facts)),
      more: window.length === windowRows ? window.at(-1)?.facts.seq : undefined,
    };
  }
}
