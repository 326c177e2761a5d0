import type { DeliveryId, QueueName } from '../../model/delivery.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { DeadLetter } from '../dead-letter.ts';
import type { Spool } from '../spool.ts';
import type { GroupCommit } from './group-commit.ts';
import {
  afterAll,
  beforeAll,
  type Chunk,
  type Command,
  type DeadCursor,
  type Found,
  type Purged,
  type ReplayedChunk,
  type Sought,
} from './protocol.ts';

/** What may go through much of the spool. */
export type LongTasks = Pick<
  Spool,
  'countDead' | 'deadLetters' | 'descendants' | 'findByJid' | 'moveQueue' | 'purgeDead' | 'purgeQueue' | 'replay' | 'shed'
>;

/** Asks for a long task a chunk at a time, so that between its transactions deliveries go on. */
export function createLongTasks(ask: GroupCommit['ask'], events: EventSink): LongTasks {
  async function deadLetters(...[filter, { limit, newest = false }]: Parameters<Spool['deadLetters']>): Promise<readonly DeadLetter[]> {
    const found: DeadLetter[] = [];
    let after: DeadCursor | undefined = newest ? afterAll : beforeAll;
    while (after !== undefined) {
      const page: { readonly letters: readonly DeadLetter[]; readonly more: DeadCursor | undefined } = await ask(
        ['dead-letters', { filter, limit: limit - found.length, backward: newest, after }],
        (answer) => answer,
      );
      found.push(...page.letters);
      after = page.more;
    }
    return newest ? found.reverse() : found;
  }

  async function replay(...[filter, { limit, now }]: Parameters<Spool['replay']>): ReturnType<Spool['replay']> {
    const readyPools = new Set<string>();
    let [replayed, failedPackets] = [0, 0];
    let step: ReplayedChunk['more'] | { readonly after: DeadCursor; readonly last: undefined } = { after: beforeAll, last: undefined };
    while (step !== undefined) {
      const chunk: ReplayedChunk = await ask(['replay', { filter, limit: limit - replayed, now, ...step }], (answer) => answer);
      replayed += chunk.replayed;
      failedPackets += chunk.failedPackets;
      for (const pool of chunk.readyPools) readyPools.add(pool);
      step = chunk.more;
    }
    return { replayed, failedPackets, readyPools: [...readyPools] };
  }

  async function shed(pool: string, count: number, detail: string): ReturnType<Spool['shed']> {
    const gone: QueueName[] = [];
    const readyPools = new Set<string>();
    for (;;) {
      const chunk = await ask(['shed', pool, count - gone.length, detail], (answer) => answer);
      gone.push(...chunk.shed);
      for (const ready of chunk.readyPools) readyPools.add(ready);
      if (!chunk.more) return { shed: gone, readyPools: [...readyPools] };
    }
  }

  async function purgeDead(...[filter, reason = 'purge']: Parameters<Spool['purgeDead']>): Promise<number> {
    let total = 0;
    let after: DeadCursor | undefined = beforeAll;
    while (after !== undefined) {
      const chunk: Purged = await command(['purge-dead', filter, after]);
      for (const queue of chunk.deleted) {
        events.emit('spool.deleted', { ...queue, reason });
        total += queue.count;
      }
      after = chunk.more;
    }
    return total;
  }

  async function purgeQueue(queue: QueueName): Promise<number> {
    const count = await sum(0, (after) => command(['purge-queue', queue, after]));
    if (count > 0) events.emit('spool.deleted', { ...queue, reason: 'orphan-purge', count });
    return count;
  }

  /** Sums up what the chunks count. */
  async function sum<Cursor>(start: Cursor, ask: (after: Cursor) => Promise<Chunk<Cursor>>): Promise<number> {
    let total = 0;
    let after: Cursor | undefined = start;
    while (after !== undefined) {
      const chunk: Chunk<Cursor> = await ask(after);
      total += chunk.count;
      after = chunk.more;
    }
    return total;
  }

  const command = <C extends Command>(asked: C) => ask(asked, (answer) => answer);

  async function findIn(table: 'find-dead' | 'find-owed', sought: Sought): Promise<readonly DeliveryId[]> {
    const found: DeliveryId[] = [];
    let after: number | undefined = 0;
    while (after !== undefined) {
      const window: Found = await ask([table, sought, after], (answer) => answer);
      found.push(...window.ids);
      after = window.more;
    }
    return found;
  }

  /** Dead letters last: what dies meanwhile is found twice rather than not at all. */
  async function find(sought: Sought): Promise<{ readonly owed: readonly DeliveryId[]; readonly dead: readonly DeliveryId[] }> {
    return { owed: await findIn('find-owed', sought), dead: await findIn('find-dead', sought) };
  }

  return {
    deadLetters,
    countDead: (filter) => sum(beforeAll, (after) => command(['count-dead', filter, after])),
    descendants: async (of) => {
      const { owed, dead } = await find({ kind: 'descendants', of });
      return [...dead.map((id) => ({ id, state: 'dead' }) as const), ...owed.map((id) => ({ id, state: 'owed' }) as const)];
    },
    findByJid: async (host, bareJid) => {
      const { owed, dead } = await find({ kind: 'person', host, bareJid });
      return [...owed, ...dead];
    },
    moveQueue: (from, to) => sum(0, (after) => command(['move-queue', from, to, after])),
    purgeDead,
    purgeQueue,
    replay,
    shed,
  };
}
