import { toError } from '../kit/errors.ts';
import type { Claimed, Settlement, Spool } from '../spool/spool.ts';

/** Takes fates to the spool, and the lane's next from it. */
export interface Settler {
  /** Fates that are not on disk yet. */
  readonly pending: number;
  /** `tell` is called when it is on disk. */
  settle(delivery: Claimed, how: Pick<Settlement, 'attempt' | 'fate'>, tell: () => void): Promise<void>;
  /** Back to the spool as it was: another may claim it. */
  letGo(delivery: Claimed): Promise<void>;
}

export interface SettlerParts {
  readonly spool: Spool;
  /** Keeps a place for the lane's next; false: nobody is to be claimed. */
  reserve(delivery: Claimed): boolean;
  release(delivery: Claimed): void;
  onNext(next: Claimed): void;
  onReady(pools: readonly string[]): void;
  /** A fate is on disk, or never will be. */
  onSettled(): void;
  onFailed(error: Error): void;
}

export function createSettler(parts: SettlerParts): Settler {
  let pending = 0;

  async function settle(delivery: Claimed, how: Pick<Settlement, 'attempt' | 'fate'>, tell: () => void): Promise<void> {
    const claimNext = delivery.lane !== null && parts.reserve(delivery);
    pending += 1;
    try {
      const { next, readyPools } = await parts.spool.settle({ seq: delivery.seq, ...how, spawn: [], claimNext });
      tell();
      if (next !== undefined) parts.onNext(next);
      if (readyPools.length > 0) parts.onReady(readyPools);
    } catch (thrown) {
      parts.onFailed(toError(thrown));
    } finally {
      if (claimNext) parts.release(delivery);
      pending -= 1;
    }
    parts.onSettled();
  }

  return {
    get pending() {
      return pending;
    },
    settle,
    letGo: (delivery) => settle(delivery, { fate: { kind: 'released' }, attempt: undefined }, () => undefined),
  };
}
