/** The records in memory of a delivery, its lane and its queue. */

import type { EpochMs } from '../../kit/clock.ts';
import type { QueueDepth } from '../spool.ts';
import type { MinHeap } from './min-heap.ts';

/** A delivery without its content. */
export interface Pending {
  readonly seq: number;
  readonly createdAt: EpochMs;
  /** Size of the body. */
  readonly bytes: number;
  queue: Queue;
  state: 'claimed' | 'ready' | 'waiting';
  due: EpochMs;
  attempts: number;
  /** Attempts before a replay. */
  readonly past: number;
  /** Status of the last attempt that has one. */
  status: number | null;
  /** Its entry in the queue; undefined unless it is ready. */
  ready: ReadyItem | undefined;
  lane: Lane | undefined;
  before: Pending | undefined;
  behind: Pending | undefined;
}

/** A lane with at least one delivery. */
export interface Lane {
  readonly name: string;
  first: Pending | undefined;
  last: Pending | undefined;
  claimed: number;
}

/** The deliveries of one handler on one pool, counted and in order. */
export interface Queue extends QueueDepth {
  waiting: number;
  dead: number;
  readonly fresh: MinHeap<ReadyItem>;
  readonly retries: MinHeap<ReadyItem>;
}

/** A place in a heap. It is void as soon as its delivery has another one, or none. */
export interface ReadyItem {
  readonly pending: Pending;
  readonly due: EpochMs;
}
