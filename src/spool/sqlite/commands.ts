import { type Completion, promised } from '../../kit/completion.ts';
import { ServiceError, toError } from '../../kit/errors.ts';
import type { Claimed, NewDelivery, QueueName } from '../../model/delivery.ts';
import type { ClaimRequest, ClaimResult, Entry, Settled, Settlement, Spool } from '../spool.ts';
import type { QueuedCommand } from './group-commit.ts';
import {
  type Answer,
  type Answers,
  type ClaimedRow,
  type ClaimedSeqs,
  type Command,
  type CommandOf,
  claimedOf,
  newlyClaimed,
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

/** Runs one command. */
export type Ask = <C extends Command>(command: C) => Promise<Answers[C[0]]>;

/** The part of the spool's port that events need. `operator-calls.ts` adds the rest, by means of `ask`. */
export type EngineSpool = Pick<Spool, 'append' | 'claim' | 'marks' | 'setPaused' | 'settle' | 'shed' | 'start' | 'stats' | 'stop'> & {
  readonly ask: Ask;
};

/** The calls of the spool's port, expressed as commands. Methods are own properties: a wrapper may spread them. */
export class SpoolCommands implements Omit<EngineSpool, 'start' | 'stats' | 'stop'> {
  readonly #targets = new TargetTexts();
  readonly #add: (queued: QueuedCommand) => void;
  readonly #onPaused: (pools: readonly string[]) => void;

  constructor({ add, onPaused }: { add(queued: QueuedCommand): void; onPaused(pools: readonly string[]): void }) {
    this.#add = add;
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

  readonly marks: Spool['marks'] = () => this.ask(['marks']);

  readonly setPaused: Spool['setPaused'] = async (pool, paused) => this.#onPaused(await this.ask([paused ? 'pause' : 'resume', pool]));

  readonly shed: Spool['shed'] = async (pool, count, detail) => {
    const shed: QueueName[] = [];
    const readyPools = new Set<string>();
    for (;;) {
      const chunk = await this.ask(['shed', pool, count - shed.length, detail]);
      shed.push(...chunk.shed);
      for (const ready of chunk.readyPools) readyPools.add(ready);
      if (!chunk.more) return { shed, readyPools: [...readyPools] };
    }
  };

  readonly #rowOf = (delivery: NewDelivery): Row => rowOf(delivery, this.#targets.of(delivery));

  readonly #claimedOf = (row: ClaimedRow): Claimed => claimedOf(row, this.#targets);

  readonly #claimResultOf = ([rows, nextAt]: Answers['claim']): ClaimResult => ({ claimed: rows.map(this.#claimedOf), nextAt });

  readonly #settledOf = (settled: SettledRows, [, seq]: CommandOf<'delivered' | 'settle'>): Settled => {
    if (settled === null) return nothingNext;
    if (settled === 'unclaimed') throw new ServiceError('SPOOL_FAILED', `delivery ${seq} is not claimed: it cannot be settled`);
    const [next, readyPools] = settled;
    return { next: next.map(this.#claimedOf), readyPools };
  };

  readonly ask: Ask = (command) => promised((completion) => this.#add(new Asked(command, (answer) => answer, completion)));
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
