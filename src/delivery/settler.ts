import { toError } from '../kit/errors.ts';
import type { Claimed } from '../model/delivery.ts';
import type { Spool } from '../spool/spool.ts';
import { childless, type Ending } from './attempt.ts';
import { internalError, isOfTheSpool } from './boundary.ts';

/** Takes dispositions to the spool, and the lane's next from it. */
export interface Settler {
  /** Fates that are not on disk yet. */
  readonly pending: number;
  /** `tell` is called when it is on disk. What it comes to may take its time: the place is kept. */
  settle(delivery: Claimed, ending: Ending | Promise<Ending>, tell: (ending: Ending) => void): Promise<void>;
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
  /** A disposition is on disk, or never will be. */
  onSettled(): void;
  onFailed(error: Error): void;
}

/** A stored ending, which may differ from the requested one. */
type Stored = Awaited<ReturnType<Spool['settle']>> & { readonly ending: Ending };

export function createSettler(parts: SettlerParts): Settler {
  let pending = 0;

  async function settle(delivery: Claimed, eventual: Ending | Promise<Ending>, tell: (ending: Ending) => void): Promise<void> {
    const claimNext = delivery.lane !== null && parts.reserve(delivery);
    pending += 1;
    try {
      const { ending, next, readyPools } = await store(delivery.seq, eventual instanceof Promise ? await eventual : eventual, claimNext);
      tell(ending);
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

  /** An ending that cannot be stored makes its delivery a dead letter; only a failure of the spool stops the service. */
  async function store(seq: number, ending: Ending, claimNext: boolean): Promise<Stored> {
    try {
      return { ending, ...(await parts.spool.settle({ seq, ...ending, claimNext })) };
    } catch (thrown) {
      if (isOfTheSpool(thrown)) throw thrown;
      const dead = { disposition: internalError('storing its end', thrown), attempt: undefined, ...childless };
      return { ending: dead, ...(await parts.spool.settle({ seq, ...dead, claimNext })) };
    }
  }

  return {
    get pending() {
      return pending;
    },
    settle,
    letGo: (delivery) => settle(delivery, { disposition: { kind: 'released' }, attempt: undefined, ...childless }, () => undefined),
  };
}
