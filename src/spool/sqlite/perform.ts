import type { EpochMs } from '../../kit/clock.ts';
import type { AttemptRecord } from '../../model/attempt.ts';
import type { Disposition } from '../spool.ts';
import type { Finder } from './finder.ts';
import type { Graveyard } from './graveyard.ts';
import type { Histories } from './histories.ts';
import type { Held } from './holding.ts';
import type { Marks } from './marks.ts';
import type { OwedDeliveries, Released } from './owed.ts';
import type { Paused } from './paused.ts';
import type { Answer, Command, ReplayedChunk, ReplayStep, Row, Seqs, Settled } from './protocol.ts';
import type { Queues } from './queues.ts';

export interface PerformerParts {
  readonly owed: OwedDeliveries;
  readonly dead: Graveyard;
  readonly histories: Histories;
  readonly marks: Marks;
  readonly paused: Paused;
  readonly finder: Finder;
  readonly queues: Queues;
  replay(step: ReplayStep): ReplayedChunk;
}

type Append = Extract<Command, readonly ['append', ...unknown[]]>;
type AppendAndBury = Extract<Command, readonly ['append-and-bury', ...unknown[]]>;
type Settle = Extract<Command, readonly ['settle', ...unknown[]]>;

/** Does one command, inside a transaction, and gives its answer. */
export function createPerformer(parts: PerformerParts): (command: Command, now: EpochMs) => Answer {
  const { owed, dead, histories, marks, paused, finder, queues } = parts;

  function append([, rows, take, failedPackets, mark]: Append | AppendAndBury, now: EpochMs): Seqs {
    const seqs = rows.map((row, index) => {
      const place = owed.add(row, take[index] === true);
      return typeof place === 'number' ? place : 0;
    });
    for (const born of failedPackets) dead.buryFailedPacket(born, now);
    if (mark !== undefined) marks.set(mark);
    return seqs.length === 1 ? (seqs[0] ?? 0) : seqs;
  }

  /** What is revived ends first: what comes of it may bear the same id. */
  function appendAndBury(command: AppendAndBury, now: EpochMs): Seqs {
    const [, , , , , refused, revives] = command;
    if (revives !== undefined) dead.end(revives);
    for (const each of refused) dead.buryRefused(each, now);
    return append(command, now);
  }

  function delivered(seq: number, claimNext: boolean): Settled {
    const held = owed.held(seq);
    if (held === undefined) return 'unclaimed';
    end(held);
    return held.followed ? settledOf(owed.moveOn(held, claimNext), []) : null;
  }

  function settle([, seq, { disposition, attempt, spawn, failedPackets, claimNext }]: Settle, now: EpochMs): Settled {
    const held = owed.held(seq);
    if (held === undefined) return 'unclaimed';
    const moves = applyDisposition(held, { disposition, attempt, now });
    const readyPools = disposition.kind === 'retry' || disposition.kind === 'released' ? [held.queue.pool] : [];
    const released = moves ? owed.moveOn(held, claimNext) : undefined;
    for (const born of failedPackets) dead.buryFailedPacket(born, now);
    return settledOf(released, [...readyPools, ...addAll(spawn)]);
  }

  function end(held: Held): void {
    if (held.spent > 0) histories.remove(held.seq);
    owed.remove(held);
  }

  /** Whether its lane moves on. */
  function applyDisposition(
    held: Held,
    { disposition, attempt, now }: { disposition: Disposition; attempt: AttemptRecord | undefined; now: EpochMs },
  ): boolean {
    if (attempt !== undefined && (disposition.kind === 'dead' || disposition.kind === 'retry')) histories.add(held.seq, attempt);
    switch (disposition.kind) {
      case 'delivered':
        end(held);
        return true;
      case 'dead': {
        const attempts = held.spent + (attempt === undefined ? 0 : 1);
        dead.bury(held, { reason: disposition.reason, detail: disposition.detail, attempts, diedAt: now });
        owed.remove(held);
        return true;
      }
      case 'retry':
        owed.putOff(held, {
          due: disposition.notBefore,
          failedAt: attempt?.at,
          leaveLane: disposition.leaveLane,
          context: disposition.context,
        });
        return disposition.leaveLane;
      case 'released':
        owed.release(held);
        return false;
      default:
        return disposition satisfies never;
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
      case 'append-and-bury':
        return appendAndBury(command, now);
      case 'claim':
        return owed.claim(command[1], command[2]);
      case 'count-dead':
        return dead.count(command[1], command[2]);
      case 'dead-letter':
        return dead.find(command[1]);
      case 'dead-letters':
        return dead.page(command[1]);
      case 'delivered':
        return delivered(command[1], command[2]);
      case 'find-dead':
        return finder.find('dead', command[1], command[2]);
      case 'find-owed':
        return finder.find('owed', command[1], command[2]);
      case 'marks':
        return marks.all();
      case 'move-queue':
        return queues.move(command[1], command[2], command[3]);
      case 'pause':
      case 'resume':
        return paused.set(command[1], command[0] === 'pause');
      case 'purge-dead':
        return dead.purge(command[1], command[2]);
      case 'purge-queue':
        return queues.purge(command[1], command[2]);
      case 'replay':
        return parts.replay(command[1]);
      case 'settle':
        return settle(command, now);
      case 'shed':
        return queues.shed(command[1], { count: command[2], detail: command[3] }, now);
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
