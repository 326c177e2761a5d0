import type Database from 'better-sqlite3';
import type { EpochMs } from '../../kit/clock.ts';
import { type ClaimRequest, retryShare } from '../spool.ts';
import type { Depths } from './side-tables.ts';
import { statements } from './statements.ts';

/** Position of a ready delivery in its queue: the one that is due first goes first. */
type ReadyPosition = readonly [due: EpochMs, seq: number];

/** The deliveries to claim, earliest first, and the first ready one after them, due or not. */
export interface Selection {
  readonly positions: readonly ReadyPosition[];
  readonly next: ReadyPosition | undefined;
}

/** Facts about a delivery without its content. `spent` counts attempts, including those before a replay. */
export type FactsRow = readonly [seq: number, spent: number, pool: string, handler: string, lane: string | null, createdAt: EpochMs];

/** Looks up ready deliveries in the indexes alone; it claims nothing. */
export class ReadyQueues {
  readonly #depths: Depths;
  readonly #readyWindow: Database.Statement<[string, string, number, number, number, number], ReadyPosition>;
  readonly #firstReady: Database.Statement<[string, string, number], FactsRow>;
  readonly #oldestDeferred: Database.Statement<[string], FactsRow>;

  constructor(db: Database.Database, depths: Depths) {
    this.#depths = depths;
    this.#readyWindow = db.prepare<[string, string, number, number, number, number], ReadyPosition>(statements.readyWindow).raw();
    this.#firstReady = db.prepare<[string, string, number], FactsRow>(statements.firstReady).raw();
    this.#oldestDeferred = db.prepare<[string], FactsRow>(statements.oldestDeferred).raw();
  }

  /** Selects due deliveries of some handlers of a pool, divided between first attempts and retries. */
  select(pool: string, { handlers, limit, now }: ClaimRequest): Selection {
    const windowRows = Math.ceil((limit + 1) / Math.max(1, handlers.length));
    const [fresh = [], retries = []] = [0, 1].map((isRetry) =>
      earliest(
        handlers.map(
          (handler) => new QueueReader((after) => this.#readyWindow.all(pool, handler, isRetry, ...after, windowRows), windowRows),
        ),
        limit + 1,
      ),
    );
    const isDue = ([due]: ReadyPosition) => due <= now;
    const due = { fresh: Math.min(limit, fresh.filter(isDue).length), retries: retries.filter(isDue).length };
    const retriesTaken = retryShare(limit, due);
    const freshTaken = Math.min(due.fresh, limit - retriesTaken);
    return {
      positions: [...fresh.slice(0, freshTaken), ...retries.slice(0, retriesTaken)].sort(byPosition),
      next: first(fresh[freshTaken], retries[retriesTaken]),
    };
  }

  /**
   * The ready delivery of a pool that was accepted first. A deferred delivery was accepted before it was due, any other one
   * when it was due: so the first of each queue and the oldest deferred one are enough.
   */
  oldest(pool: string): FactsRow | undefined {
    const queues = this.#depths.all().filter((queue) => queue.pool === pool && queue.waiting > 0);
    const firsts = queues.flatMap(({ handler }) => [this.#firstReady.get(pool, handler, 0), this.#firstReady.get(pool, handler, 1)]);
    return [...firsts, this.#oldestDeferred.get(pool)].reduce(older, undefined);
  }
}

/** Reads one queue in order, a window at a time. */
class QueueReader {
  readonly #read: (after: ReadyPosition) => ReadyPosition[];
  readonly #windowRows: number;
  #window: readonly ReadyPosition[];
  #index = 0;

  constructor(read: (after: ReadyPosition) => ReadyPosition[], windowRows: number) {
    this.#read = read;
    this.#windowRows = windowRows;
    this.#window = read([Number.MIN_SAFE_INTEGER, 0]);
  }

  peek(): ReadyPosition | undefined {
    return this.#window[this.#index];
  }

  shift(): void {
    this.#index += 1;
    const last = this.#window.at(-1);
    if (this.#index < this.#window.length || this.#window.length < this.#windowRows || last === undefined) return;
    this.#window = this.#read(last);
    this.#index = 0;
  }
}

/** The first `count` positions of several queues. */
function earliest(readers: readonly QueueReader[], count: number): ReadyPosition[] {
  const positions: ReadyPosition[] = [];
  while (positions.length < count) {
    const reader = readers.reduce<QueueReader | undefined>(
      (best, each) => (best === undefined || first(best.peek(), each.peek()) !== best.peek() ? each : best),
      undefined,
    );
    const position = reader?.peek();
    if (position === undefined) break;
    positions.push(position);
    reader?.shift();
  }
  return positions;
}

function first(one: ReadyPosition | undefined, other: ReadyPosition | undefined): ReadyPosition | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return byPosition(one, other) <= 0 ? one : other;
}

function byPosition([due, seq]: ReadyPosition, [otherDue, otherSeq]: ReadyPosition): number {
  return due - otherDue || seq - otherSeq;
}

function older(one: FactsRow | undefined, other: FactsRow | undefined): FactsRow | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const [seq, , , , , createdAt] = one;
  const [otherSeq, , , , , otherCreatedAt] = other;
  return createdAt < otherCreatedAt || (createdAt === otherCreatedAt && seq < otherSeq) ? one : other;
}
