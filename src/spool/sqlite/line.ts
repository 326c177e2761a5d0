import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import { retryShare } from '../fair-share.ts';
import type { ClaimRequest } from '../spool.ts';
import { statements } from './statements.ts';

/** Where a ready delivery stands: who is due first goes first. */
export type Place = readonly [due: EpochMs, seq: number];

/** Those whose turn it is, earliest first, and the next after them that is ready, due or not. */
export interface Turn {
  readonly places: readonly Place[];
  readonly next: Place | undefined;
}

/** Looks up whose turn it is in some queues of a pool, from the index alone. Nothing is claimed by it. */
export function createTurns(db: Database.Database): (pool: string, wanted: ClaimRequest) => Turn {
  const readyWindow = db.prepare<[string, string, number, number, number, number], Place>(statements.readyWindow).raw();

  return (pool, { handlers, limit, now }) => {
    const windowRows = Math.ceil((limit + 1) / Math.max(1, handlers.length));
    const [fresh = [], retries = []] = [0, 1].map((kind) =>
      earliest(
        handlers.map((handler) => createReader((after) => readyWindow.all(pool, handler, kind, ...after, windowRows), windowRows)),
        limit + 1,
      ),
    );
    const isDue = ([due]: Place) => due <= now;
    const due = { fresh: Math.min(limit, fresh.filter(isDue).length), retries: retries.filter(isDue).length };
    const retriesTaken = retryShare(limit, due);
    const freshTaken = Math.min(due.fresh, limit - retriesTaken);
    return {
      places: [...fresh.slice(0, freshTaken), ...retries.slice(0, retriesTaken)].sort(byTurn),
      next: first(fresh[freshTaken], retries[retriesTaken]),
    };
  };
}

/** Reads one queue's line, a window at a time. */
interface Reader {
  peek(): Place | undefined;
  shift(): void;
}

function createReader(read: (after: Place) => Place[], windowRows: number): Reader {
  let window = read([Number.MIN_SAFE_INTEGER, 0]);
  let at = 0;

  return {
    peek: () => window[at],
    shift: () => {
      at += 1;
      const last = window.at(-1);
      if (at < window.length || window.length < windowRows || last === undefined) return;
      window = read(last);
      at = 0;
    },
  };
}

/** The first `count` of several lines. */
function earliest(readers: readonly Reader[], count: number): Place[] {
  const places: Place[] = [];
  while (places.length < count) {
    const reader = readers.reduce<Reader | undefined>(
      (best, each) => (best === undefined || first(best.peek(), each.peek()) !== best.peek() ? each : best),
      undefined,
    );
    const place = reader?.peek();
    if (place === undefined) break;
    places.push(place);
    reader?.shift();
  }
  return places;
}

function first(one: Place | undefined, other: Place | undefined): Place | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return byTurn(one, other) <= 0 ? one : other;
}

function byTurn([due, seq]: Place, [otherDue, otherSeq]: Place): number {
  return due - otherDue || seq - otherSeq;
}
