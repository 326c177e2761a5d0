import type { EpochMs } from '../../kit/clock.ts';
import { type AttemptRecord, lastStatus } from '../../model/attempt.ts';
import type { FailedPacket, Settlement } from '../spool.ts';
import {
  type ClaimedRow,
  type ClaimedSeqs,
  type Command,
  type CommandOf,
  type RefusedRow,
  type Row,
  rowHandler,
  rowPool,
  type SettledRows,
} from '../sqlite/protocol.ts';
import type { Promotion } from './pending-deliveries.ts';
import type { Pending } from './pending-delivery.ts';
import type { SpoolState } from './spool-state.ts';
import type { Death } from './write-set.ts';

/** The rows of claimed deliveries, read after the batch. */
export type RowsOf = (claimed: readonly Pending[]) => readonly ClaimedRow[];

/** An answer that contains claimed deliveries: made when their rows have been read. */
export interface LaterAnswer<A> {
  readonly claimed: readonly Pending[];
  answer(rowsOf: RowsOf): A;
}

/** The commands of an ordinary event. They decide in memory and add what they change to the set of writes; nothing waits here. */
export class CommandRunner {
  readonly #state: SpoolState;

  constructor(state: SpoolState) {
    this.#state = state;
  }

  append([, rows, claim, failedPackets, mark]: CommandOf<'append' | 'append-full'>, now: EpochMs): ClaimedSeqs {
    const seqs = rows.map((row, index) => {
      const { seq, state } = this.#add(row, claim[index] === true);
      return state === 'claimed' ? seq : 0;
    });
    for (const failed of failedPackets) this.#addFailedPacket(failed, now);
    if (mark !== undefined) this.#state.writes.setMark(mark);
    return seqs.length === 1 ? (seqs[0] ?? 0) : seqs;
  }

  addRefused([row, reason, detail]: RefusedRow, diedAt: EpochMs): void {
    this.#state.writes.addRefused(this.#state.next('dead'), row, { reason, detail, diedAt });
    this.#state.countDead({ pool: row[rowPool], handler: row[rowHandler] }, 1);
  }

  claim([, pool, request]: CommandOf<'claim'>): LaterAnswer<readonly [claimed: readonly ClaimedRow[], nextAt: EpochMs | undefined]> {
    const { claimed, nextAt } = this.#state.pending.claim(pool, request);
    return { claimed, answer: (rowsOf) => [rowsOf(claimed), nextAt] };
  }

  delivered([, seq, claimNext]: CommandOf<'delivered'>): LaterAnswer<SettledRows> {
    const pending = this.#state.pending.claimed(seq);
    if (pending === undefined) return { claimed: [], answer: () => 'unclaimed' };
    const { lane, queue } = pending;
    this.#state.remove(pending);
    return settledOf(this.#state.pending.promote(lane?.name, queue, claimNext), []);
  }

  settle([, seq, settlement]: CommandOf<'settle'>, now: EpochMs): LaterAnswer<SettledRows> {
    const { disposition, spawn, failedPackets, claimNext } = settlement;
    const pending = this.#state.pending.claimed(seq);
    if (pending === undefined) return { claimed: [], answer: () => (disposition.kind === 'released' ? null : 'unclaimed') };
    const { lane, queue } = pending;
    const stays = this.#applyDisposition(pending, settlement, now);
    const promotion = stays ? undefined : this.#state.pending.promote(lane?.name, queue, claimNext);
    const isReady = this.#state.pending.find(seq)?.state === 'ready';
    for (const failed of failedPackets) this.#addFailedPacket(failed, now);
    const spawned = spawn.map((row) => this.#add(row, false)).filter(({ state }) => state === 'ready');
    return settledOf(promotion, [...(isReady ? [queue.pool] : []), ...spawned.map((each) => each.queue.pool)]);
  }

  /** Returns whether the delivery stays in its lane. */
  #applyDisposition(pending: Pending, { disposition, attempt }: Pick<Settlement, 'attempt' | 'disposition'>, now: EpochMs): boolean {
    switch (disposition.kind) {
      case 'delivered':
        this.#state.remove(pending);
        return false;
      case 'dead': {
        const { reason, detail } = disposition;
        this.#addAttempt(pending, attempt);
        this.#kill(pending, { reason, detail, diedAt: now });
        return false;
      }
      case 'retry': {
        const { notBefore, leaveLane, context } = disposition;
        this.#addAttempt(pending, attempt);
        pending.due = notBefore;
        const { seq, attempts, status } = pending;
        const variables = Object.keys(context).length === 0 ? null : JSON.stringify(context);
        this.#state.writes.retry(seq, { due: notBefore, attempts, status, failedAt: attempt?.at, context: variables, leaves: leaveLane });
        if (leaveLane) this.#state.pending.releaseFromLane(pending);
        else this.#state.pending.release(pending);
        return !leaveLane;
      }
      case 'released':
        this.#state.pending.release(pending);
        return true;
      default:
        return disposition satisfies never;
    }
  }

  /** Makes a delivery a dead letter. */
  kill(pending: Pending, death: Death): Promotion {
    const { lane, queue } = pending;
    this.#kill(pending, death);
    return this.#state.pending.promote(lane?.name, queue, 0);
  }

  #kill(pending: Pending, death: Death): void {
    const { seq, status, attempts, past, queue } = pending;
    this.#state.writes.kill(this.#state.next('dead'), seq, { ...death, status, attempts: attempts + past });
    this.#state.writes.remove(seq);
    this.#state.pending.remove(pending);
    this.#state.countDead(queue, 1);
  }

  #add(row: Row, claim: boolean): Pending {
    const [, , , handler, pool, lane, , , , createdAt, , body] = row;
    const seq = this.#state.next('seq');
    this.#state.writes.add(seq, row);
    const bytes = Buffer.byteLength(body);
    return this.#state.pending.add(
      { seq, pool, handler, lane, createdAt, bytes, due: createdAt, attempts: 0, past: 0, status: null },
      claim,
    );
  }

  #addAttempt(pending: Pending, attempt: AttemptRecord | undefined): void {
    if (attempt === undefined) return;
    pending.attempts += 1;
    pending.status = lastStatus([attempt]) ?? pending.status;
    this.#state.writes.addAttempt(pending.seq, this.#state.next('attempt'), attempt);
  }

  #addFailedPacket(failed: FailedPacket, diedAt: EpochMs): void {
    this.#state.writes.addFailedPacket(this.#state.next('dead'), failed, diedAt);
    this.#state.countDead(failed, 1);
  }
}

/** Null in place of an empty answer, which is the usual one: it costs nothing to send. */
function settledOf(promotion: Promotion | undefined, readyPools: readonly string[]): LaterAnswer<SettledRows> {
  const pools = promotion?.readyPool === undefined ? readyPools : [promotion.readyPool, ...readyPools];
  const claimed = promotion?.claimed ?? [];
  const answer = (rowsOf: RowsOf): SettledRows =>
    claimed.length === 0 && pools.length === 0 ? null : [rowsOf(claimed), [...new Set(pools)]];
  return { claimed, answer };
}

/** Why PostgreSQL would refuse a command; undefined if it stores it. Found before anything is changed, so no other command is affected. */
export function refusalOf(command: Command): string | undefined {
  const wrong = numbersOf(command).find((each) => !Number.isSafeInteger(each));
  return wrong === undefined ? undefined : `a time or number must be whole, received ${wrong}`;
}

function numbersOf(command: Command): readonly number[] {
  switch (command[0]) {
    case 'append':
    case 'append-full': {
      const [, rows, , failed, mark] = command;
      const refused = command[0] === 'append-full' ? command[5].map(([row]) => row) : [];
      return [...[...rows, ...refused].flatMap(timesOf), ...failed.flatMap(timesOfFailed), ...(mark === undefined ? [] : [mark.h])];
    }
    case 'settle': {
      const [, , { disposition, attempt, spawn, failedPackets }] = command;
      const due = disposition.kind === 'retry' ? [disposition.notBefore] : [];
      const made = attempt === undefined ? [] : [attempt.number, attempt.at];
      return [...due, ...made, ...spawn.flatMap(timesOf), ...failedPackets.flatMap(timesOfFailed)];
    }
    default:
      return [];
  }
}

function timesOf([, , , , , , , , seenAt, createdAt]: Row): readonly number[] {
  return [seenAt, createdAt];
}

function timesOfFailed({ seenAt, createdAt }: FailedPacket): readonly number[] {
  return [seenAt, createdAt];
}
