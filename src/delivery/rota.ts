import type { Claimed } from '../model/delivery.ts';
import type { DeliveryAge } from './buffer.ts';
import type { Queue } from './queue.ts';

/** Whose turn it is among the queues of a pool. */
export interface Rota {
  /** The next that may go at `now`: in turn by handler, retries first unless they have their share already. */
  next(now: number, turn: { readonly retriesHaveTheirShare: boolean }): Claimed | undefined;
}

/** `queues` is asked anew each time: it changes with the configuration. */
export function createRota(queues: () => readonly Queue[]): Rota {
  let turn = 0;

  function takeFrom(all: readonly Queue[], age: DeliveryAge, now: number): Claimed | undefined {
    for (let step = 0; step < all.length; step += 1) {
      const queue = all[(turn + step) % all.length];
      if (queue?.has(age) !== true || queue.admission.room(now) < 1) continue;
      turn = (turn + step + 1) % all.length;
      return queue.take(age);
    }
    return undefined;
  }

  return {
    next: (now, { retriesHaveTheirShare }) => {
      const all = queues();
      return retriesHaveTheirShare
        ? (takeFrom(all, 'fresh', now) ?? takeFrom(all, 'retry', now))
        : (takeFrom(all, 'retry', now) ?? takeFrom(all, 'fresh', now));
    },
  };
}
