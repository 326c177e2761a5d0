import type { EpochMs } from '../../kit/clock.ts';
import type { Queue } from './depths.ts';

/** What memory knows of a claimed delivery, so that settling it need not read it. */
export interface Held {
  readonly seq: number;
  /** Attempts on record, those before a replay too. */
  readonly spent: number;
  readonly queue: Queue;
  readonly lane: string | null;
  readonly createdAt: EpochMs;
  /** Others may wait behind it. False is certain: its lane need not be looked up. */
  followed: boolean;
}

/** The claims of this process. */
export interface Holding {
  clear(): void;
  take(held: Held): void;
  drop(held: Held): void;
  find(seq: number): Held | undefined;
  /** Whether a claimed one holds this lane; then it is known to be followed. */
  follow(lane: string): boolean;
  oldest(pool: string): EpochMs | undefined;
}

export function createHolding(): Holding {
  const bySeq = new Map<number, Held>();
  const byLane = new Map<string, Held>();

  return {
    clear: () => {
      bySeq.clear();
      byLane.clear();
    },
    take: (held) => {
      bySeq.set(held.seq, held);
      if (held.lane !== null) byLane.set(held.lane, held);
    },
    drop: (held) => {
      bySeq.delete(held.seq);
      if (held.lane !== null) byLane.delete(held.lane);
    },
    find: (seq) => bySeq.get(seq),
    follow: (lane) => {
      const head = byLane.get(lane);
      if (head === undefined) return false;
      head.followed = true;
      return true;
    },
    oldest: (pool) => {
      let oldest: EpochMs | undefined;
      for (const held of bySeq.values()) {
        if (held.queue.pool === pool && (oldest === undefined || held.createdAt < oldest)) oldest = held.createdAt;
      }
      return oldest;
    },
  };
}
