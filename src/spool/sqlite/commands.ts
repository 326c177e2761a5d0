import { ServiceError } from '../../kit/errors.ts';
import type { Claimed, DeliveryId, NewDelivery, QueueName } from '../../model/delivery.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { DeadLetter, Entry, Settled, Settlement, Spool } from '../spool.ts';
import {
  type Answers,
  afterAll,
  beforeAll,
  type Chunk,
  type ClaimedSeqs,
  type Command,
  type Criterion,
  claimedOf,
  type DeadCursor,
  detailOf,
  type Found,
  newlyClaimed,
  type Purged,
  type ReplayedChunk,
  rowOf,
  type SettledRows,
} from './protocol.ts';

/** Runs a command and returns its decoded answer once the command is durable. */
type Ask = <C extends Command, T>(command: C, decode: (answer: Answers[C[0]]) => T) => Promise<T>;

/**
 * The calls of the spool's port, expressed as commands. A call that may read much of the spool asks for one chunk after
 * another, so that deliveries continue between its transactions. Methods are own properties: a wrapper may spread them.
 */
export class SpoolCommands implements Omit<Spool, 'start' | 'stats' | 'stop'> {
  readonly #ask: Ask;
  readonly #events: EventSink;
  readonly #onPaused: (pools: readonly string[]) => void;

  constructor({ ask, events, onPaused }: { ask: Ask; events: EventSink; onPaused(pools: readonly string[]): void }) {
    this.#ask = ask;
    this.#events = events;
    this.#onPaused = onPaused;
  }

  readonly append = ({ deliveries, claim, deadLetters, mark, refused, revives }: Entry): Promise<readonly Claimed[]> => {
    const decode = (seqs: ClaimedSeqs) => claimedAtAppend(deliveries, seqs);
    const rows = deliveries.map(rowOf);
    if (refused.length === 0 && revives === undefined) return this.#ask(['append', rows, claim, deadLetters, mark], decode);
    const refusedRows = refused.map(({ delivery, reason, detail }) => [rowOf(delivery), reason, detail] as const);
    return this.#ask(['append-full', rows, claim, deadLetters, mark, refusedRows, revives], decode);
  };

  readonly claim: Spool['claim'] = (pool, request) =>
    this.#ask(['claim', pool, request], ([rows, nextAt]) => ({ claimed: rows.map(claimedOf), nextAt }));

  readonly settle = ({ seq, disposition, attempt, spawn, failedPackets, claimNext }: Settlement): Promise<Settled> => {
    const decode = (settled: SettledRows) => {
      if (settled === null) return nothingNext;
      if (settled === 'unclaimed') throw new ServiceError('SPOOL_FAILED', `delivery ${seq} is not claimed: it cannot be settled`);
      const [next, readyPools] = settled;
      return { next: next.map(claimedOf), readyPools };
    };
    return disposition.kind === 'delivered' && spawn.length === 0 && failedPackets.length === 0
      ? this.#ask(['delivered', seq, claimNext], decode)
      : this.#ask(['settle', seq, { disposition, attempt, spawn: spawn.map(rowOf), failedPackets, claimNext }], decode);
  };

  readonly marks: Spool['marks'] = () => this.#answer(['marks']);

  readonly deadLetter: Spool['deadLetter'] = (id) => this.#ask(['dead-letter', id], (row) => row && detailOf(row));

  readonly setPaused: Spool['setPaused'] = (pool, paused) => this.#ask([paused ? 'pause' : 'resume', pool], this.#onPaused);

  readonly deadLetters: Spool['deadLetters'] = async (filter, { limit, newest = false }) => {
    const found: DeadLetter[] = [];
    let after: DeadCursor | undefined = newest ? afterAll : beforeAll;
    while (after !== undefined) {
      const page: Answers['dead-letters'] = await this.#answer([
        'dead-letters',
        { filter, limit: limit - found.length, backward: newest, after },
      ]);
      found.push(...page.letters);
      after = page.more;
    }
    return newest ? found.reverse() : found;
  };

  readonly countDead: Spool['countDead'] = (filter) => this.#sum(beforeAll, (after) => this.#answer(['count-dead', filter, after]));

  readonly replay: Spool['replay'] = async (filter, { limit, now }) => {
    const readyPools = new Set<string>();
    let [replayed, failedPackets] = [0, 0];
    let step: ReplayedChunk['more'] | { readonly after: DeadCursor; readonly last: undefined } = { after: beforeAll, last: undefined };
    while (step !== undefined) {
      const chunk: ReplayedChunk = await this.#answer(['replay', { filter, limit: limit - replayed, now, ...step }]);
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
      const chunk: Purged = await this.#answer(['purge-dead', filter, after]);
      for (const queue of chunk.deleted) {
        this.#events.emit('spool.deleted', { ...queue, reason });
        total += queue.count;
      }
      after = chunk.more;
    }
    return total;
  };

  readonly shed: Spool['shed'] = async (pool, count, detail) => {
    const shed: QueueName[] = [];
    const readyPools = new Set<string>();
    for (;;) {
      const chunk = await this.#answer(['shed', pool, count - shed.length, detail]);
      shed.push(...chunk.shed);
      for (const ready of chunk.readyPools) readyPools.add(ready);
      if (!chunk.more) return { shed, readyPools: [...readyPools] };
    }
  };

  readonly moveQueue: Spool['moveQueue'] = (from, to) => this.#sum(0, (after) => this.#answer(['move-queue', from, to, after]));

  readonly purgeQueue: Spool['purgeQueue'] = async (queue) => {
    const count = await this.#sum(0, (after) => this.#answer(['purge-queue', queue, after]));
    if (count > 0) this.#events.emit('spool.deleted', { ...queue, reason: 'orphan-purge', count });
    return count;
  };

  readonly descendants: Spool['descendants'] = async (of) => {
    const { pending, dead } = await this.#find({ kind: 'descendants', of });
    return [...dead.map((id) => ({ id, state: 'dead' }) as const), ...pending.map((id) => ({ id, state: 'owed' }) as const)];
  };

  readonly findByJid: Spool['findByJid'] = async (host, bareJid) => {
    const { pending, dead } = await this.#find({ kind: 'person', host, bareJid });
    return [...pending, ...dead];
  };

  /** Searches dead letters last: a delivery that dies during the search is found twice rather than missed. */
  async #find(criterion: Criterion): Promise<{ readonly pending: readonly DeliveryId[]; readonly dead: readonly DeliveryId[] }> {
    return { pending: await this.#findIn('find-pending', criterion), dead: await this.#findIn('find-dead', criterion) };
  }

  async #findIn(kind: 'find-dead' | 'find-pending', criterion: Criterion): Promise<readonly DeliveryId[]> {
    const ids: DeliveryId[] = [];
    let after: number | undefined = 0;
    while (after !== undefined) {
      const found: Found = await this.#answer([kind, criterion, after]);
      ids.push(...found.ids);
      after = found.more;
    }
    return ids;
  }

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

  #answer<C extends Command>(command: C): Promise<Answers[C[0]]> {
    return this.#ask(command, (answer) => answer);
  }
}

const nothingNext: Settled = { next: [], readyPools: [] };

/** The deliveries that were claimed by their own append, made from the objects that were passed in: no row is read back. */
function claimedAtAppend(deliveries: readonly NewDelivery[], seqs: ClaimedSeqs): readonly Claimed[] {
  return deliveries.flatMap((delivery, index) => {
    const seq = (typeof seqs === 'number' ? seqs : seqs[index]) ?? 0;
    return seq === 0 ? [] : newlyClaimed(delivery, seq);
  });
}
