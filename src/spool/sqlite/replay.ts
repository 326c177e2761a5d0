import type Database from 'better-sqlite3';
import { createDeadWalk, type LetterRow } from './dead-walk.ts';
import type { Graveyard } from './graveyard.ts';
import type { Histories } from './histories.ts';
import type { OwedDeliveries } from './owed.ts';
import { afterAll, beforeAll, type DeadCursor, type ReplayedChunk, type ReplayStep } from './protocol.ts';
import { statements } from './statements.ts';

/** Rows moved in one transaction, with their bodies. */
const movedAtOnce = 250;

/** Makes some dead letters deliveries again, inside a transaction; says where to go on. */
export function createReplay(
  db: Database.Database,
  { owed, dead, histories }: { readonly owed: OwedDeliveries; readonly dead: Graveyard; readonly histories: Histories },
): (step: ReplayStep) => ReplayedChunk {
  const walk = createDeadWalk(db);
  const lastDead = db.prepare<[number], DeadCursor>(statements.lastDead).raw();

  return ({ filter, limit, now, after, last = lastDead.get(afterAll[0]) ?? beforeAll }) => {
    const { rows, more } = walk({ filter, after, before: [last[0], last[1] + 1] });
    const readyPools = new Set<string>();
    const most = Math.min(limit, movedAtOnce);
    let [replayed, failedPackets] = [0, 0];
    let reached = after;
    for (const row of rows) {
      if (row.still_born === 0 && replayed === most) return chunk(replayed < limit ? reached : undefined);
      reached = [row.died_at, row.nr];
      if (row.still_born === 1) failedPackets += 1;
      else {
        replayed += 1;
        if (comeBack(row)) readyPools.add(row.pool);
      }
    }
    return chunk(replayed < limit ? more : undefined);

    function chunk(next: DeadCursor | undefined): ReplayedChunk {
      return { replayed, failedPackets, readyPools: [...readyPools], more: next && { after: next, last } };
    }

    /** Whether it is ready at once. */
    function comeBack(row: LetterRow): boolean {
      const { seq, ready } = owed.exhume(row, now);
      if (row.seq !== null) histories.move(row.seq, seq);
      dead.remove(row);
      return ready;
    }
  };
}
