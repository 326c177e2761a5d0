import type { EventSink } from '../telemetry/events.ts';
import type { DeadLetter, DeadLetterDetail, Spool } from './spool.ts';
import type { Ask, EngineSpool } from './sqlite/commands.ts';
import {
  type Answers,
  afterAll,
  beforeAll,
  type Chunk,
  type DeadCursor,
  type DeadRow,
  type Purged,
  parseTarget,
  type ReplayedChunk,
} from './sqlite/protocol.ts';

/** The whole port of a spool. */
export function withOperatorCalls({ ask, ...spool }: EngineSpool, events: EventSink): Spool {
  return { ...spool, ...new OperatorCalls(ask, events) };
}

/**
 * The calls of the port that only operators and the retention of dead letters make. A call that may read much of the spool asks for one
 * chunk after another, so that deliveries continue between its transactions. Methods are own properties.
 */
class OperatorCalls implements Omit<Spool, keyof EngineSpool> {
  readonly #ask: Ask;
  readonly #events: EventSink;

  constructor(ask: Ask, events: EventSink) {
    this.#ask = ask;
    this.#events = events;
  }

  readonly deadLetter: Spool['deadLetter'] = async (id) => {
    const row = await this.#ask(['dead-letter', id]);
    return row && detailOf(row);
  };

  readonly deadLetters: Spool['deadLetters'] = async (filter, { limit, newest = false }) => {
    const found: DeadLetter[] = [];
    let after: DeadCursor | undefined = newest ? afterAll : beforeAll;
    while (after !== undefined) {
      const page: Answers['dead-letters'] = await this.#ask([
        'dead-letters',
        { filter, limit: limit - found.length, backward: newest, after },
      ]);
      found.push(...page.letters);
      after = page.more;
    }
    return newest ? found.reverse() : found;
  };

  readonly countDead: Spool['countDead'] = (filter) => this.#sum(beforeAll, (after) => this.#ask(['count-dead', filter, after]));

  readonly replay: Spool['replay'] = async (filter, { limit, now }) => {
    const readyPools = new Set<string>();
    let [replayed, failedPackets] = [0, 0];
    let step: ReplayedChunk['more'] | { readonly after: DeadCursor; readonly last: undefined } = { after: beforeAll, last: undefined };
    while (step !== undefined) {
      const chunk: ReplayedChunk = await this.#ask(['replay', { filter, limit: limit - replayed, now, ...step }]);
      replayed += chunk.replayed;
      failedPackets += chunk.failedPackets;
      for (const pool of chunk.readyPools) readyPools.add(pool);
      step = chunk.more;
    }
    return { replayed, failedPackets, readyPools: [...readyPools] };
  };

  readonly purgeDead: Spool['purgeDead'] = async (filter, reason = 'purge') => {
    let total = 0;
    let after: DeadCursor | undefined = beforeAll;
    while (after !== undefined) {
      const chunk: Purged = await this.#ask(['purge-dead', filter, after]);
      for (const queue of chunk.deleted) {
        this.#events.emit('spool.deleted', { ...queue, reason });
        total += queue.count;
      }
      after = chunk.more;
    }
    return total;
  };

  readonly moveQueue: Spool['moveQueue'] = (from, to) => this.#sum(0, (after) => this.#ask(['move-queue', from, to, after]));

  readonly purgeQueue: Spool['purgeQueue'] = async (queue) => {
    const count = await this.#sum(0, (after) => this.#ask(['purge-queue', queue, after]));
    if (count > 0) this.#events.emit('spool.deleted', { ...queue, reason: 'orphan-purge', count });
    return count;
  };

  readonly extend: Spool['extend'] = async (request) => (await this.#ask(['extend', request])).result;

  /** The total of the counts of all chunks. */
  async #sum<Cursor>(start: Cursor, next: (after: Cursor) => Promise<Chunk<Cursor>>): Promise<number> {
    let total = 0;
    let after: Cursor | undefined = start;
    while (after !== undefined) {
      const chunk: Chunk<Cursor> = await next(after);
      total += chunk.count;
      after = chunk.more;
    }
    return total;
  }
}

function detailOf({ letter, target, body, packet, history }: DeadRow): DeadLetterDetail {
  return { ...letter, target: target === null ? null : parseTarget(target), body, packet, history };
}
