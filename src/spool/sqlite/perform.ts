import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord, Fate } from '../spool.ts';
import type { Graveyard } from './graveyard.ts';
import type { Held } from './holding.ts';
import type { Marks } from './marks.ts';
import type { OwedDeliveries, Released } from './owed.ts';
import type { People } from './people.ts';
import type { Answer, Command, Row, Settled } from './protocol.ts';

export interface PerformerParts {
  readonly owed: OwedDeliveries;
  readonly dead: Graveyard;
  readonly marks: Marks;
  readonly people: People;
}

type Append = Extract<Command, readonly ['append', ...unknown[]]>;
type Settle = Extract<Command, readonly ['settle', ...unknown[]]>;

/** Does one command, inside a transaction, and gives its answer. */
export function createPerformer({ owed, dead, marks, people }: PerformerParts): (command: Command, now: EpochMs) => Answer {
  function append([, rows, take, stillBorn, mark]: Append, now: EpochMs): number | readonly number[] {
    const seqs = rows.map((row, index) => {
      const place = owed.add(row, take[index] === true);
      return typeof place === 'number' ? place : 0;
    });
    for (const born of stillBorn) dead.buryStillBorn(born, now);
    if (mark !== undefined) marks.set(mark);
    return seqs.length === 1 ? (seqs[0] ?? 0) : seqs;
  }

  function delivered(seq: number, claimNext: boolean): Settled {
    const held = owed.held(seq);
    if (held === undefined) return 'unclaimed';
    dead.forget(held);
    owed.remove(held);
    return held.followed ? settledOf(owed.moveOn(held, claimNext), []) : null;
  }

  function settle([, seq, fate, attempt, spawn, claimNext]: Settle, now: EpochMs): Settled {
    const held = owed.held(seq);
    if (held === undefined) return 'unclaimed';
    const moves = decideFate(held, { fate, attempt, now });
    const readyPools = fate.kind === 'retry' || fate.kind === 'released' ? [held.pool] : [];
    const released = moves ? owed.moveOn(held, claimNext) : undefined;
    return settledOf(released, [...readyPools, ...addAll(spawn)]);
  }

  /** Whether its lane moves on. */
  function decideFate(held: Held, { fate, attempt, now }: { fate: Fate; attempt: AttemptRecord | undefined; now: EpochMs }): boolean {
    if (attempt !== undefined && (fate.kind === 'dead' || fate.kind === 'retry')) dead.addAttempt(held.seq, attempt);
    switch (fate.kind) {
      case 'delivered':
        dead.forget(held);
        owed.remove(held);
        return true;
      case 'dead': {
        const attempts = held.attempts + (attempt === undefined ? 0 : 1);
        dead.bury(held, { reason: fate.reason, detail: fate.detail, attempts, diedAt: now });
        owed.remove(held);
        return true;
      }
      case 'retry':
        owed.giveBack(held, { due: fate.notBefore, failedAt: attempt?.at, leaveLane: fate.leaveLane });
        return fate.leaveLane;
      case 'released':
        owed.giveBack(held, { due: undefined, failedAt: undefined, leaveLane: false });
        return false;
      default:
        return fate satisfies never;
    }
  }

  /** The pools of those that are ready at once. */
  function addAll(rows: readonly Row[]): string[] {
    return rows.map((row) => owed.add(row, false)).filter((place) => typeof place === 'string');
  }

  return (command, now) => {
    switch (command[0]) {
      case 'append':
        return append(command, now);
      case 'claim':
        return owed.claim(command[1], { limit: command[2], bytes: command[3], now: command[4] });
      case 'dead-letter':
        return dead.find(command[1]);
      case 'dead-letters':
        return dead.page(command[1]);
      case 'delivered':
        return delivered(command[1], command[2]);
      case 'find-dead':
        return people.find('dead', { host: command[1], bareJid: command[2] }, command[3]);
      case 'find-owed':
        return people.find('owed', { host: command[1], bareJid: command[2] }, command[3]);
      case 'marks':
        return marks.all();
      case 'purge':
        return dead.purge(command[1]);
      case 'settle':
        return settle(command, now);
      default:
        return command satisfies never;
    }
  };
}

function settledOf(released: Released | undefined, readyPools: readonly string[]): Settled {
  const pools = released?.kind === 'ready' ? [released.pool, ...readyPools] : readyPools;
  const next = released?.kind === 'claimed' ? released.row : undefined;
  return next === undefined && pools.length === 0 ? null : [next, [...new Set(pools)]];
}
