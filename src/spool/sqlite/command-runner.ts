import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import type { Settlement } from '../spool.ts';
import type { DeliveryFacts } from './claims.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { PendingDeliveries, Promotion, SettlementEffect } from './deliveries.ts';
import type { Answer, ClaimedSeqs, Command, CommandOf, Row, SettledRows } from './protocol.ts';
import type { AttemptHistories, Depths, Marks, PausedPools } from './side-tables.ts';

export interface Tables {
  readonly pending: PendingDeliveries;
  readonly dead: DeadLetters;
  readonly depths: Depths;
  readonly histories: AttemptHistories;
  readonly marks: Marks;
  readonly paused: PausedPools;
}

/** The commands of an operator, and of an overflow: none is part of the path of a delivery. */
export type OperatorCommand = Exclude<
  Command,
  readonly ['append' | 'append-full' | 'claim' | 'delivered' | 'marks' | 'pause' | 'resume' | 'settle', ...unknown[]]
>;

export type OpenOperator = (db: Database.Database, tables: Tables) => { run(command: OperatorCommand, now: EpochMs): Answer };

/**
 * Runs one command inside a transaction and returns its answer: those of the normal path here, the others in
 * an extension. The tables hold the statements; this class decides which of them a command changes.
 */
export class CommandRunner {
  readonly #pending: PendingDeliveries;
  readonly #dead: DeadLetters;
  readonly #histories: AttemptHistories;
  readonly #marks: Marks;
  readonly #paused: PausedPools;
  readonly #operator: ReturnType<OpenOperator>;

  constructor(tables: Tables, operator: ReturnType<OpenOperator>) {
    this.#pending = tables.pending;
    this.#dead = tables.dead;
    this.#histories = tables.histories;
    this.#marks = tables.marks;
    this.#paused = tables.paused;
    this.#operator = operator;
  }

  run(command: Command, now: EpochMs): Answer {
    switch (command[0]) {
      case 'append':
        return this.#append(command, now);
      case 'append-full':
        return this.#appendFull(command, now);
      case 'claim': {
        const [, pool, request] = command;
        return this.#pending.claim(pool, request);
      }
      case 'delivered':
        return this.#delivered(command);
      case 'settle':
        return this.#settle(command, now);
      case 'marks':
        return this.#marks.all();
      case 'pause':
      case 'resume': {
        const [kind, pool] = command;
        return this.#paused.set(pool, kind === 'pause');
      }
      default:
        return this.#operator.run(command, now);
    }
  }

  /** Adds the deliveries, dead letters and mark of one packet. */
  #append([, rows, claim, failedPackets, mark]: CommandOf<'append' | 'append-full'>, now: EpochMs): ClaimedSeqs {
    const seqs = rows.map((row, index) => {
      const added = this.#pending.add(row, claim[index] === true);
      return typeof added === 'number' ? added : 0;
    });
    for (const failed of failedPackets) this.#dead.addFailedPacket(failed, now);
    if (mark !== undefined) this.#marks.set(mark);
    return seqs.length === 1 ? (seqs[0] ?? 0) : seqs;
  }

  /** Removes the replaced dead letter first, because its successors may have the same id. */
  #appendFull(command: CommandOf<'append-full'>, now: EpochMs): ClaimedSeqs {
    const [, , , , , refused, revives] = command;
    if (revives !== undefined) this.#dead.removeNewest(revives);
    for (const each of refused) this.#dead.addRefused(each, now);
    return this.#append(command, now);
  }

  #delivered([, seq, claimNext]: CommandOf<'delivered'>): SettledRows {
    const facts = this.#pending.claimed(seq);
    if (facts === undefined) return 'unclaimed';
    return this.#removeDelivered(facts) ? settledOf(this.#pending.promoteNext(facts, claimNext), []) : null;
  }

  #settle([, seq, settlement]: CommandOf<'settle'>, now: EpochMs): SettledRows {
    const facts = this.#pending.claimed(seq);
    if (facts === undefined) return settlement.disposition.kind === 'released' ? null : 'unclaimed';
    const { spawn, failedPackets, claimNext } = settlement;
    const { freesLane, isReady } = this.#applyDisposition(facts, settlement, now);
    const next = freesLane ? this.#pending.promoteNext(facts, claimNext) : undefined;
    const readyPools = isReady ? [facts.queue.pool] : [];
    for (const failed of failedPackets) this.#dead.addFailedPacket(failed, now);
    return settledOf(next, [...readyPools, ...this.#addSpawned(spawn)]);
  }

  #applyDisposition(
    facts: DeliveryFacts,
    { disposition, attempt }: Pick<Settlement, 'attempt' | 'disposition'>,
    now: EpochMs,
  ): SettlementEffect {
    if (attempt !== undefined && (disposition.kind === 'dead' || disposition.kind === 'retry')) this.#histories.add(facts.seq, attempt);
    switch (disposition.kind) {
      case 'delivered':
        return { freesLane: this.#removeDelivered(facts), isReady: false };
      case 'dead': {
        const { reason, detail } = disposition;
        this.#pending.makeRow(facts);
        this.#dead.add(facts, { reason, detail, attempts: facts.spent + (attempt === undefined ? 0 : 1), diedAt: now });
        return { freesLane: this.#pending.remove(facts), isReady: false };
      }
      case 'retry': {
        const { notBefore, leaveLane, context } = disposition;
        return this.#pending.defer(facts, { due: notBefore, failedAt: attempt?.at, leaveLane, context });
      }
      case 'released':
        return { freesLane: false, isReady: this.#pending.release(facts) };
      default:
        return disposition satisfies never;
    }
  }

  /** Returns whether it frees its lane. */
  #removeDelivered(facts: DeliveryFacts): boolean {
    if (facts.spent > 0) this.#histories.remove(facts.seq);
    return this.#pending.remove(facts);
  }

  /** Returns the pools of the deliveries that are ready at once. */
  #addSpawned(rows: readonly Row[]): string[] {
    return rows.map((row) => this.#pending.add(row, false)).filter((added) => typeof added === 'string');
  }
}

/** Null in place of an empty answer, which is the usual one: it costs nothing to send. */
function settledOf(promotion: Promotion | undefined, readyPools: readonly string[]): SettledRows {
  const pools = promotion?.kind === 'ready' ? [promotion.pool, ...readyPools] : readyPools;
  const next = promotion?.kind === 'claimed' ? promotion.rows : [];
  return next.length === 0 && pools.length === 0 ? null : [next, [...new Set(pools)]];
}
