/** The ready deliveries by queue, in the order in which they are due, and the counters of each queue. */

import { type ClaimRequest, retryShare } from '../spool.ts';
import { MinHeap } from './min-heap.ts';
import type { Pending, Queue, ReadyItem } from './pending-delivery.ts';

interface Pool {
  readonly queues: Map<string, Queue>;
  /** Ready deliveries that are due later than they were accepted, the oldest first. */
  readonly deferred: MinHeap<ReadyItem>;
}

/** Deliveries that were taken out of their queues: those to claim, earliest first, and others to give back, also earliest first. */
interface Taken {
  readonly chosen: readonly Pending[];
  readonly rest: readonly Pending[];
}

export class Queues {
  readonly #pools = new Map<string, Pool>();
  readonly #changed = new Set<Queue>();

  of(pool: string, handler: string): Queue {
    const { queues } = this.#poolOf(pool);
    const known = queues.get(handler);
    if (known !== undefined) return known;
    const queue: Queue = {
      pool,
      handler,
      waiting: 0,
      dead: 0,
      fresh: new MinHeap(isDueBefore, isValid),
      retries: new MinHeap(isDueBefore, isValid),
    };
    queues.set(handler, queue);
    return queue;
  }

  pools(): IterableIterator<string> {
    return this.#pools.keys();
  }

  all(): readonly Queue[] {
    return Array.from(this.#pools.values(), ({ queues }) => [...queues.values()]).flat();
  }

  addWaiting(queue: Queue, count: number): void {
    queue.waiting += count;
    this.#changed.add(queue);
  }

  addDead(queue: Queue, count: number): void {
    queue.dead += count;
    this.#changed.add(queue);
  }

  /** The queues whose counters changed since the last call. */
  takeChanged(): readonly Queue[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  /** Puts a ready delivery into its queue. */
  offer(pending: Pending): void {
    const item = { pending, due: pending.due };
    pending.ready = item;
    (pending.attempts > 0 ? pending.queue.retries : pending.queue.fresh).push(item);
    if (pending.due !== pending.createdAt) this.#poolOf(pending.queue.pool).deferred.push(item);
  }

  /** Takes a delivery out of its queue, if it is in one. */
  withdraw(pending: Pending): void {
    pending.ready = undefined;
  }

  /** Takes out the due deliveries to claim, divided between first attempts and retries, and the first one of each kind after them. */
  take(pool: string, { handlers, limit, now }: ClaimRequest): Taken {
    const queues = handlers.flatMap((handler) => this.#pools.get(pool)?.queues.get(handler) ?? []);
    const fresh = takeEarliest(
      queues.map((queue) => queue.fresh),
      limit + 1,
    );
    const retries = takeEarliest(
      queues.map((queue) => queue.retries),
      limit + 1,
    );
    const isDue = ({ due }: Pending) => due <= now;
    const due = { fresh: Math.min(limit, fresh.filter(isDue).length), retries: retries.filter(isDue).length };
    const retriesTaken = retryShare(limit, due);
    const freshTaken = Math.min(due.fresh, limit - retriesTaken);
    return {
      chosen: [...fresh.slice(0, freshTaken), ...retries.slice(0, retriesTaken)].sort(byDueTime),
      rest: [...fresh.slice(freshTaken), ...retries.slice(retriesTaken)].sort(byDueTime),
    };
  }

  /**
   * The ready delivery of a pool that was accepted first. A deferred delivery was accepted before it was due, any other one when it was
   * due: so the first of each queue and the oldest deferred one are enough.
   */
  oldestReady(name: string): Pending | undefined {
    const pool = this.#pools.get(name);
    if (pool === undefined) return undefined;
    const heads = Array.from(pool.queues.values(), ({ fresh, retries }) => [fresh.peek(), retries.peek()]).flat();
    return [...heads, pool.deferred.peek()].reduce<Pending | undefined>((oldest, item) => older(oldest, item?.pending), undefined);
  }

  #poolOf(name: string): Pool {
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const pool = { queues: new Map<string, Queue>(), deferred: new MinHeap<ReadyItem>(isAcceptedBefore, isValid) };
    this.#pools.set(name, pool);
    return pool;
  }
}

/** Takes the first deliveries out of several queues. */
function takeEarliest(heaps: readonly MinHeap<ReadyItem>[], count: number): Pending[] {
  const taken: Pending[] = [];
  while (taken.length < count) {
    let best: MinHeap<ReadyItem> | undefined;
    for (const heap of heaps) if (comesBefore(heap.peek(), best?.peek())) best = heap;
    const item = best?.pop();
    if (item === undefined) break;
    item.pending.ready = undefined;
    taken.push(item.pending);
  }
  return taken;
}

function comesBefore(one: ReadyItem | undefined, other: ReadyItem | undefined): boolean {
  return one !== undefined && (other === undefined || isDueBefore(one, other));
}

function isValid(item: ReadyItem): boolean {
  return item.pending.ready === item;
}

function isDueBefore(one: ReadyItem, other: ReadyItem): boolean {
  return one.due < other.due || (one.due === other.due && one.pending.seq < other.pending.seq);
}

function isAcceptedBefore({ pending: one }: ReadyItem, { pending: other }: ReadyItem): boolean {
  return older(one, other) === one;
}

function byDueTime(one: Pending, other: Pending): number {
  return one.due - other.due || one.seq - other.seq;
}

function older(one: Pending | undefined, other: Pending | undefined): Pending | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.createdAt < other.createdAt || (one.createdAt === other.createdAt && one.seq < other.seq) ? one : other;
}
