import { type Completion, promised } from '../../kit/completion.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import type { Claimed, NewDelivery, QueueName } from '../../model/delivery.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { ClaimRequest, ClaimResult, DeadLetter, Entry, Settled, Settlement, Spool } from '../spool.ts';
import type { QueuedCommand } from './group-commit.ts';
import {
  type Answer,
  type Answers,
  afterAll,
  beforeAll,
  type Chunk,
  type ClaimedRow,
  type ClaimedSeqs,
  type Command,
  type CommandOf,
  claimedOf,
  type DeadCursor,
  detailOf,
  newlyClaimed,
  type Purged,
  type ReplayedChunk,
  type Row,
  rowOf,
  type SettledRows,
  TargetTexts,
} from './protocol.ts';

/** A command whose answer is decoded for its caller. */
class Asked<C extends Command, T> implements QueuedCommand {
  readonly command: C;
  readonly #decode: (answer: Answers[C[0]], command: C) => T;
  readonly #completion: Completion<T>;

  constructor(command: C, decode: (answer: Answers[C[0]], command: C) => T, completion: Completion<T>) {
    this.command = command;
    this.#decode = decode;
    this.#completion = completion;
  }

  answered(answer: Answer | undefined): void {
    let result: T;
    try {
      result = this.#decode(answer as Answers[C[0]], this.command); // the thread answers with the command's type
    } catch (thrown) {
      return this.#completion.failed(toError(thrown));
    }
    this.#completion.done(result);
  }

  failed(error: Error): void {
    this.#completion.failed(error);
  }
}

/**
 * The calls of the spool's port, expressed as commands. A call that may read much of the spool asks for one chunk after
 * another, so that deliveries continue between its transactions. Methods are own properties: a wrapper may spread them.
 */
export class SpoolCommands implements Omit<Spool, 'start' | 'stats' | 'stop'> {
  readonly #targets = new TargetTexts();
  readonly #add: (queued: QueuedCommand) => void;
  readonly #events: EventSink;
  readonly #onPaused: (pools: readonly string[]) => void;

  constructor({
    add,
    events,
    onPaused,
  }: { add(queued: QueuedCommand): void; events: EventSink; onPaused(pools: readonly string[]): void }) {
    this.#add = add;
    this.#events = events;
    this.#onPaused = onPaused;
  }

  readonly append = (
    { deliveries, claim, deadLetters, mark, refused, revives }: Entry,
    completion: Completion<readonly Claimed[]>,
  ): void => {
    const decode = (seqs: ClaimedSeqs) => claimedAtAppend(deliveries, seqs);
    const rows = deliveries.map(this.#rowOf);
    if (refused.length === 0 && revives === undefined)
      return this.#add(new Asked(['append', rows, claim, deadLetters, mark], decode, completion));
    const refusedRows = refused.map(({ delivery, reason, detail }) => [this.#rowOf(delivery), reason, detail] as const);
    this.#add(new Asked(['append-full', rows, claim, deadLetters, mark, refusedRows, revives], decode, completion));
  };

  readonly claim = (pool: string, request: ClaimRequest, completion: Completion<ClaimResult>): void =>
    this.#add(new Asked(['claim', pool, request], this.#claimResultOf, completion));

  readonly settle = (settlement: Settlement, completion: Completion<Settled>): void => {
    const { seq, disposition, attempt, spawn, failedPackets, claimNext } = settlement;
    if (disposition.kind === 'delivered' && spawn.length === 0 && failedPackets.length === 0)
      return this.#add(new Asked(['delivered', seq, claimNext], this.#settledOf, completion));
    const rows = { disposition, attempt, spawn: spawn.map(this.#rowOf), failedPackets, claimNext };
    this.#add(new Asked(['settle', seq, rows], this.#settledOf, completion));
  };

  readonly marks: Spool['marks'] = () => this.#answer(['marks']);

  readonly deadLetter: Spool['deadLetter'] = async (id) => {
    const row = await this.#answer(['dead-letter', id]);
    return row && detailOf(row);
  };

  readonly setPaused: Spool['setPaused'] = async (pool, paused) => this.#onPaused(await this.#answer([paused ? 'pause' : 'resume', pool]));

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

  readonly extend: Spool['extend'] = async (request) => (await this.#answer(['extend', request])).result;

  readonly #rowOf = (delivery: NewDelivery): Row => rowOf(delivery, this.#targets.of(delivery));

  readonly #claimedOf = (row: ClaimedRow): Claimed => claimedOf(row, this.#targets);

  readonly #claimResultOf = ([rows, nextAt]: Answers['claim']): ClaimResult => ({ claimed: rows.map(this.#claimedOf), nextAt });

  readonly #settledOf = (settled: SettledRows, [, seq]: CommandOf<'delivered' | 'settle'>): Settled => {
    if (settled === null) return nothingNext;
    if (settled === 'unclaimed') throw new ServiceError('SPOOL_FAILED', `delivery ${seq} is not claimed: it cannot be settled`);
    const [next, readyPools] = settled;
    return { next: next.map(this.#claimedOf), readyPools };
  };

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
    return promised((completion) => this.#add(new Asked<C, Answers[C[0]]>(command, (answer) => answer, completion)));
  }
}

const noneClaimed: readonly Claimed[] = [];
const nothingNext: Settled = { next: noneClaimed, readyPools: [] };

/** The deliveries that were claimed by their own append, made from the objects that were passed in: no row is read back. */
function claimedAtAppend(deliveries: readonly NewDelivery[], seqs: ClaimedSeqs): readonly Claimed[] {
  if (seqs === 0) return noneClaimed;
  const [only] = deliveries;
  if (typeof seqs === 'number' && only !== undefined) return [newlyClaimed(only, seqs)];
  return deliveries.flatMap((delivery, index) => {
    const seq = (typeof seqs === 'number' ? seqs : seqs[index]) ?? 0;
    return seq === 0 ? [] : newlyClaimed(delivery, seq);
  });
}
