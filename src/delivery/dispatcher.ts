import type { Mark } from '../packet/receipt.ts';
import type { NewDelivery, Spool, StillBorn } from '../spool/spool.ts';
import type { PoolDispatcher } from './pool-dispatcher.ts';

/** What one packet leaves behind. */
export interface Leavings {
  readonly deliveries: readonly NewDelivery[];
  readonly deadLetters: readonly StillBorn[];
  readonly mark: Mark | undefined;
}

export interface Dispatcher {
  /** Stores what a packet leaves behind and begins to deliver it; resolves when it is on disk. */
  accept(leavings: Leavings): Promise<void>;
  /** These pools gained ready deliveries. */
  wake(pools: readonly string[]): void;
}

/** Between the hooks and the pools: everything goes through the spool, and what it lets us have at once goes straight on. */
export function createDispatcher({
  spool,
  pools,
}: {
  readonly spool: Spool;
  readonly pools: ReadonlyMap<string, PoolDispatcher>;
}): Dispatcher {
  async function accept({ deliveries, deadLetters, mark }: Leavings): Promise<void> {
    const claim = deliveries.map((delivery) => pools.get(delivery.pool)?.reserve(delivery) ?? false);
    const claimed = await spool.append({ deliveries, deadLetters, mark, claim });
    deliveries.forEach((delivery, index) => {
      const pool = pools.get(delivery.pool);
      if (claim[index] === true) pool?.release(delivery);
      else pool?.wake();
    });
    for (const delivery of claimed) pools.get(delivery.pool)?.take(delivery);
  }

  return {
    accept,
    wake: (names) => {
      for (const name of names) pools.get(name)?.wake();
    },
  };
}
