import { describe, expect, test } from 'vitest';
import type { Spool } from '../../src/spool/spool.ts';
import { acceptedAt, answered, makeDelivery } from '../spool/build.ts';
import { eventually } from '../support/eventually.ts';
import { createSpoolCalls, dead, delivered, retryAt } from './spool-calls.ts';

/** Queues of one pool are served separately, and so are retries and first attempts. */
export function keepsQueuesApart(currentSpool: () => Spool): void {
  const { leave, claim, claimIds, takeOne, settle, fail, many, depth } = createSpoolCalls(currentSpool);
  const both = { handlers: ['log', 'push'], now: acceptedAt + 9 };

  describe('queues', () => {
    test('are served only if their handler is requested', async () => {
      await leave(makeDelivery({ id: 'a', handler: 'push' }), makeDelivery({ id: 'b', handler: 'log' }));
      expect(await claimIds(9, { handlers: ['log', 'other'] })).toEqual(['b']);
      expect(await claim(9, { handlers: [] })).toEqual({ claimed: [], nextAt: undefined });
      expect(await claimIds(9, { handlers: ['push'] })).toEqual(['a']);
    });

    test('are served together in order of their due times', async () => {
      const rows = [4, 1, 3, 0, 2].map((wait) =>
        makeDelivery({ id: `d${wait}`, handler: wait % 2 === 0 ? 'push' : 'log', createdAt: acceptedAt + wait }),
      );
      await leave(...rows);
      expect(await claimIds(3, both)).toEqual(['d0', 'd1', 'd2']);
      expect(await claimIds(3, both)).toEqual(['d3', 'd4']);
    });

    test('report when the next delivery of the requested handlers is due', async () => {
      await leave(makeDelivery({ id: 'a', handler: 'push', createdAt: acceptedAt + 5 }));
      await leave(makeDelivery({ id: 'b', handler: 'log', createdAt: acceptedAt + 3 }));
      expect((await claim(9, { handlers: ['push'] })).nextAt).toBe(acceptedAt + 5);
      expect((await claim(9, { handlers: ['push', 'log'] })).nextAt).toBe(acceptedAt + 3);
      expect((await claim(9, { handlers: ['other'] })).nextAt).toBeUndefined();
    });

    test('that are long are read in order', async () => {
      const rows = many(100).map((row, index) => ({ ...row, handler: index % 7 === 0 ? 'log' : 'push' }));
      await leave(...rows);
      const seen = [...(await claimIds(40, both)), ...(await claimIds(40, both)), ...(await claimIds(40, both))];
      expect(seen).toEqual(rows.map(({ id }) => id));
    });

    test('are counted separately', async () => {
      await settle(await takeOne(makeDelivery({ id: 'a' })), dead);
      await leave(makeDelivery({ id: 'b', handler: 'log' }), makeDelivery({ id: 'c', handler: 'log', pool: 'other' }));
      expect(depth()).toEqual({ pool: 'pool', handler: 'push', waiting: 0, dead: 1 });
      expect(depth('pool', 'log')).toEqual({ pool: 'pool', handler: 'log', waiting: 1, dead: 0 });
      expect(depth('other', 'log')).toEqual({ pool: 'other', handler: 'log', waiting: 1, dead: 0 });
    });

    test('of a pool share its oldest delivery', async () => {
      await leave(makeDelivery({ id: 'a', handler: 'log' }), makeDelivery({ id: 'b', createdAt: acceptedAt + 1 }));
      await eventually(() => expect(currentSpool().stats().oldest).toEqual(new Map([['pool', acceptedAt]])));
      await settle((await claim(9, { handlers: ['log'] })).claimed[0]?.seq ?? 0, delivered);
      await eventually(() => expect(currentSpool().stats().oldest).toEqual(new Map([['pool', acceptedAt + 1]])));
    });
  });

  describe('retries', () => {
    const retries = (count: number) => many(count).map((row, index) => ({ ...row, id: makeDelivery({ id: `r${index}` }).id }));
    const failAll = async (count: number) => {
      for (const row of retries(count)) await fail(row, [answered(1, 503)]);
    };

    test('get at most half of the limit while first attempts wait, even if they were due before', async () => {
      await failAll(4);
      await leave(...many(4, { createdAt: acceptedAt + 1 }));
      expect(await claimIds(4, both)).toEqual(['r0', 'r1', 'm0', 'm1']);
      expect(await claimIds(3, both)).toEqual(['r2', 'm2', 'm3']);
      expect(await claimIds(4, both)).toEqual(['r3']);
    });

    test('get the share that first attempts do not use, and vice versa', async () => {
      await failAll(4);
      await leave(...many(1));
      expect(await claimIds(4, both)).toEqual(['r0', 'r1', 'r2', 'm0']);
      await leave(...many(4));
      expect(await claimIds(4, both)).toEqual(['r3', 'm0', 'm1', 'm2']);
    });

    test('get the whole limit if no first attempt is due', async () => {
      await failAll(3);
      await leave(...many(3, { createdAt: acceptedAt + 100 }));
      expect(await claim(3, both)).toMatchObject({ claimed: [{ id: 'r0' }, { id: 'r1' }, { id: 'r2' }], nextAt: acceptedAt + 100 });
    });

    test('that were not claimed are the next due', async () => {
      await failAll(2);
      await leave(...many(2, { createdAt: acceptedAt + 1 }));
      expect((await claim(2, both)).nextAt).toBe(acceptedAt);
    });

    test('are recognised by their attempts: a delivery deferred without one is a first attempt', async () => {
      const seq = await takeOne(makeDelivery({ id: 'r' }));
      await settle(seq, retryAt(acceptedAt));
      await leave(...many(1, { createdAt: acceptedAt + 1 }));
      expect(await claimIds(1, both)).toEqual(['r']);
    });

    test('return the context of the previous attempt', async () => {
      const seq = await takeOne(makeDelivery({ id: 'a' }));
      await settle(seq, retryAt(acceptedAt, { context: { step: '1', note: 'grüße' } }), { attempt: answered(1, 503) });
      expect((await claim()).claimed).toMatchObject([{ context: { step: '1', note: 'grüße' } }]);
      await settle(seq, { kind: 'released' });
      expect((await claim()).claimed).toMatchObject([{ context: { step: '1', note: 'grüße' } }]);
      await settle(seq, retryAt(acceptedAt), { attempt: answered(2, 503) });
      expect((await claim()).claimed).toMatchObject([{ attempts: 2, context: {} }]);
      await settle(seq, delivered);
    });
  });
}
