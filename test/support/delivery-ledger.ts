import { expect } from 'vitest';
import type { Job } from '../../pools/contract.ts';
import type { Clock, EpochMs } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import type { DeliveryRig } from './delivery-rig.ts';

interface Account {
  readonly lane: string | null;
  /** Attempts that ended with an outcome. */
  spent: number;
  /** The status of the last response was 422. */
  refused: boolean;
  failingSince: EpochMs | undefined;
  due: EpochMs;
  /** It was due at some time, regardless of later changes of the clock. */
  ripe: boolean;
  open: boolean;
  leftLane: boolean;
  /** Has one element if everything is correct. */
  readonly ends: ('dead' | 'delivered')[];
}

/** An independent record of the dispatcher's obligations: accepted deliveries, sent jobs, and dispositions. */
export interface DeliveryLedger {
  /** Follows a dispatcher from its start; jobs that were open at the previous one are no longer open. */
  follow(rig: DeliveryRig): void;
  accepted(delivery: NewDelivery): void;
  /** A thread died with these jobs; they may be sent again. */
  lost(jobs: readonly Job[]): void;
  /** Checks the jobs since the last call: none too early, too often, twice at once, or out of the order of its lane. */
  checkSent(): void;
  /** No head left its lane before its hold ended or its next wait would have exceeded it. */
  checkHeld(): void;
  /** Each dead delivery was refused, or has used all its attempts. */
  checkGivenUp(): void;
  /** No ready delivery waits while a worker is free. */
  checkBusy(): void;
  /** Ids of the deliveries that ended this way, each once. */
  ended(how: 'dead' | 'delivered'): string[];
  /** Ids of all accepted deliveries. */
  readonly ids: readonly string[];
}

export interface LedgerOptions {
  readonly workers: number;
  /** Maximum number of attempts. */
  readonly budget: number;
  readonly holdMs: number;
  readonly clock: Pick<Clock, 'now'>;
}

export function createDeliveryLedger({ workers, budget, holdMs, clock }: LedgerOptions): DeliveryLedger {
  const accounts = new Map<string, Account>();
  let rig: DeliveryRig | undefined;
  let looked = 0;
  const leftEarly: string[] = [];

  function account(id: string): Account {
    const found = accounts.get(id);
    if (found === undefined) throw new Error(`${id} was never accepted`);
    return found;
  }

  /** The first delivery of each lane, and all deliveries without a lane. */
  function mayGo(): [string, Account][] {
    const seen = new Set<string>();
    return [...accounts].filter(([, { ends, lane, leftLane }]) => {
      if (ends.length > 0) return false;
      if (lane === null || leftLane) return true;
      const first = !seen.has(lane);
      seen.add(lane);
      return first;
    });
  }

  function checkJob({ id, attempt }: Job): void {
    const { spent, due, ripe, open, ends } = account(id);
    const tooEarlyMs = ripe ? 0 : Math.max(0, due - clock.now());
    expect({ id, open, ends, attempt, tooEarlyMs }).toEqual({ id, open: false, ends: [], attempt: spent + 1, tooEarlyMs: 0 });
    expect(attempt).toBeLessThanOrEqual(budget);
    expect(mayGo().map(([each]) => each)).toContain(id);
    account(id).open = true;
  }

  return {
    follow: (next) => {
      rig = next;
      looked = 0;
      for (const each of accounts.values()) each.open = false;
      next.events.on('attempt.ended', ({ id, nextAt, outcome }) => {
        const each = account(id);
        each.spent += 1;
        each.refused = outcome.kind === 'answered' && outcome.status === 422;
        each.failingSince ??= clock.now();
        each.due = nextAt ?? each.due;
        each.ripe = false;
      });
      next.events.on('delivery.left-lane', ({ id }) => {
        const each = account(id);
        each.leftLane = true;
        if (each.due <= (each.failingSince ?? clock.now()) + holdMs) leftEarly.push(id);
      });
      next.events.on('delivery.settled', ({ id, disposition }) => {
        const each = account(id);
        each.open = false;
        if (disposition !== 'retry') each.ends.push(disposition);
      });
    },
    accepted: ({ id, lane, createdAt }) => {
      accounts.set(id, {
        lane,
        spent: 0,
        refused: false,
        failingSince: undefined,
        due: createdAt,
        ripe: true,
        open: false,
        leftLane: false,
        ends: [],
      });
    },
    lost: (jobs) => {
      for (const { id } of jobs) account(id).open = false;
    },
    checkSent: () => {
      for (const job of rig?.threads.sent.slice(looked) ?? []) checkJob(job);
      looked = rig?.threads.sent.length ?? 0;
      for (const each of accounts.values()) each.ripe ||= each.due <= clock.now();
    },
    checkHeld: () => expect(leftEarly).toEqual([]),
    checkGivenUp: () => {
      const early = [...accounts].filter(([, { ends, refused, spent }]) => ends.includes('dead') && !refused && spent < budget);
      expect(early.map(([id]) => id)).toEqual([]);
    },
    checkBusy: () => {
      const open = rig?.open() ?? [];
      if (open.length >= workers) return;
      const idle = mayGo().filter(([, each]) => !each.open && each.due <= clock.now());
      expect(idle.map(([id]) => id)).toEqual([]);
    },
    ended: (how) => [...accounts].filter(([, { ends }]) => ends.length === 1 && ends[0] === how).map(([id]) => id),
    get ids() {
      return [...accounts.keys()];
    },
  };
}
