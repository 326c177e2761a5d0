import type { ContextVariables, NewDelivery } from '../../src/model/delivery.ts';
import type { Disposition, Settlement, Spool } from '../../src/spool/spool.ts';
import { acceptedAt, makeDelivery, makeEntry, makeSettlement } from '../spool/build.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';

/** The constant time of the conformance tests. */
export const diedAt = acceptedAt + 60_000;

export const delivered: Disposition = { kind: 'delivered' };
export const dead: Disposition = { kind: 'dead', reason: 'refused', detail: 'status 400' };
export const released: Disposition = { kind: 'released' };

export function retryAt(
  notBefore: number,
  { leaveLane = false, context = {} }: { readonly leaveLane?: boolean; readonly context?: ContextVariables } = {},
): Disposition {
  return { kind: 'retry', notBefore, leaveLane, context };
}

export function ids(rows: readonly { readonly id: string }[]): string[] {
  return rows.map((row) => row.id);
}

/** Short forms of the calls that tests make. */
export function createSpoolCalls(currentSpool: () => Spool) {
  /** Appends deliveries without claiming them. */
  const leave = (...deliveries: NewDelivery[]) => appendTo(currentSpool(), makeEntry(deliveries));

  /** Appends deliveries and claims those whose lane is free. */
  const take = (...deliveries: NewDelivery[]) => appendTo(currentSpool(), makeEntry(deliveries, { take: true }));

  async function takeOne(delivery: NewDelivery): Promise<number> {
    const [claimed] = await take(delivery);
    if (claimed === undefined) throw new Error(`${delivery.id} was not claimed`);
    return claimed.seq;
  }

  const claim = (limit = 100, { pool = 'pool', handlers = ['push'], now = acceptedAt, bytes = 1_000_000 } = {}) =>
    claimFrom(currentSpool(), pool, { handlers, limit, bytes, now });

  const claimIds = async (limit = 100, which: { pool?: string; handlers?: string[]; now?: number } = {}) =>
    ids((await claim(limit, which)).claimed);

  const settle = (seq: number, disposition: Disposition, rest: Partial<Settlement> = {}) =>
    settleIn(currentSpool(), makeSettlement(seq, disposition, rest));

  const depth = (pool = 'pool', handler = 'push') =>
    currentSpool()
      .stats()
      .depths.find((each) => each.pool === pool && each.handler === handler);

  return {
    ...{ leave, take, takeOne, claim, claimIds, settle, depth },

    /** Makes deliveries dead letters, one after the other. */
    bury: async (...deliveries: NewDelivery[]) => {
      for (const delivery of deliveries) await settle(await takeOne(delivery), dead);
    },
    /** Spends attempts on a delivery, which is ready again after each. */
    fail: async (delivery: NewDelivery, attempts: readonly NonNullable<Settlement['attempt']>[]) => {
      const seq = await takeOne(delivery);
      for (const [index, attempt] of attempts.entries()) {
        if (index > 0) await claim(1, { pool: delivery.pool, handlers: [delivery.handler], now: delivery.createdAt });
        await settle(seq, retryAt(delivery.createdAt), { attempt });
      }
    },
    /** Deliveries that differ only in their ids. */
    many: (count: number, rest: Partial<Omit<NewDelivery, 'id'>> = {}) =>
      Array.from({ length: count }, (_, index) => makeDelivery({ id: `m${index}`, ...rest })),
  };
}
