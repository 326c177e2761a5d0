import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/kit/clock.ts';
import type { ErrorCode } from '../../src/kit/errors.ts';
import type { Spool } from '../../src/spool/spool.ts';
import type { EventBus } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry, makeFailedPacket, timedOut } from '../spool/build.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo } from '../support/spool-promises.ts';
import { createSpoolCalls, dead, delivered, diedAt, ids, released, retryAt } from './spool-calls.ts';
import { keepsLaneOrder } from './spool-lanes.ts';
import { keepsOperatorGuarantees } from './spool-operations.ts';
import { keepsQueuesApart } from './spool-queues.ts';

/** Makes an empty spool that is not started yet. */
export type MakeSpool = (deps: { readonly clock: Clock; readonly events: EventBus }) => Promise<Spool>;

const clock: Clock = { now: () => diedAt, monotonic: () => performance.now() };

/** Checks one engine against every statement of the spool's port. */
export function keepsTheSpoolsPromises(engine: string, make: MakeSpool): void {
  describe(`the ${engine} spool`, () => {
    let spool: Spool;
    let events: EventBus;

    beforeEach(async () => {
      events = createEventBus();
      spool = await make({ clock, events });
      await spool.start();
    });
    afterEach(() => spool.stop());

    const { leave, take, takeOne, claim, claimIds, settle, depth, many } = createSpoolCalls(() => spool);

    describe('append', () => {
      test('claims the deliveries that the caller takes, and returns them whole', async () => {
        const delivery = makeDelivery({ id: 'a', lane: 'lane', body: 'grüße 🐘' });
        const [claimed] = await take(delivery);
        expect(claimed).toEqual({ ...delivery, seq: expect.any(Number), attempts: 0, failingSince: undefined, context: {} });
      });

      test('claims no delivery that the caller does not take', async () => {
        expect(await leave(makeDelivery())).toEqual([]);
        expect(await claimIds()).toEqual(['d1']);
      });

      test('claims by the flag of each delivery', async () => {
        const three = [makeDelivery({ id: 'a' }), makeDelivery({ id: 'b' }), makeDelivery({ id: 'c' })];
        expect(ids(await appendTo(spool, makeEntry(three, { claim: [true, false, true] })))).toEqual(['a', 'c']);
        expect(await claimIds()).toEqual(['b']);
      });

      test('numbers later deliveries higher', async () => {
        const first = await takeOne(makeDelivery({ id: 'a' }));
        expect(await takeOne(makeDelivery({ id: 'b' }))).toBeGreaterThan(first);
      });

      test('is answered after a settlement that was executed before it', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        const answered: string[] = [];
        const appending = leave(makeDelivery({ id: 'b', lane: 'lane' })).then(() => answered.push('append'));
        const settling = settle(seq, delivered).then(({ readyPools }) => answered.push('settlement', ...readyPools));
        await Promise.all([appending, settling]);
        expect([
          ['settlement', 'append'],
          ['append', 'settlement', 'pool'],
        ]).toContainEqual(answered); // else b is ready, and no answer says so
      });

      test('commits calls in the order in which they were made', async () => {
        const names = Array.from({ length: 50 }, (_, index) => `d${index}`);
        await Promise.all(names.map((id) => leave(makeDelivery({ id }))));
        expect(await claimIds()).toEqual(names);
      });

      test('makes a delivery that the caller cannot take wait while an earlier one of its lane is claimed', async () => {
        await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }));
        expect(await take(makeDelivery({ id: 'c', lane: 'lane' }), makeDelivery({ id: 'd', lane: 'other' }))).toMatchObject([{ id: 'd' }]);
        expect(await claimIds()).toEqual([]);
      });

      test('claims a delivery whose lane holds only claimed ones of its queue', async () => {
        expect(ids(await take(...['a', 'b'].map((id) => makeDelivery({ id, lane: 'lane' }))))).toEqual(['a', 'b']);
        expect(ids(await take(makeDelivery({ id: 'c', lane: 'lane' })))).toEqual(['c']);
        expect(await take(makeDelivery({ id: 'd', lane: 'lane', pool: 'other' }))).toEqual([]);
        expect(await take(makeDelivery({ id: 'e', lane: 'lane' }))).toEqual([]);
      });

      test('makes a delivery wait for a ready one of its lane', async () => {
        await leave(makeDelivery({ id: 'a', lane: 'lane' }));
        expect(await take(makeDelivery({ id: 'b', lane: 'lane' }))).toEqual([]);
        expect(await claimIds()).toEqual(['a']);
      });

      test('makes a delivery wait for one of its lane in the same entry', async () => {
        const rows = ['a', 'b'].map((id) => makeDelivery({ id, lane: 'lane' }));
        expect(ids(await appendTo(spool, makeEntry(rows, { claim: [true, false] })))).toEqual(['a']);
        expect(await claimIds()).toEqual([]);
      });

      test('stores an entry with a mark alone', async () => {
        const mark = { attachment: 'chat', host: 'localhost', node: 'n1', epoch: 'e', h: 7 };
        expect(await appendTo(spool, makeEntry([], { mark }))).toEqual([]);
        expect(await spool.marks()).toEqual([mark]);
      });

      test('keeps bytes as bytes', async () => {
        const body = Uint8Array.from([0, 255, 128, 10]);
        await leave(makeDelivery({ body }));
        const { claimed } = await claim(1, { now: acceptedAt });
        expect(claimed[0]?.body).toBeInstanceOf(Uint8Array);
        expect(Array.from(claimed[0]?.body as Uint8Array)).toEqual([0, 255, 128, 10]);
      });
    });

    describe('claim', () => {
      test('returns a delivery as it was appended', async () => {
        const delivery = makeDelivery({ id: 'a', lane: 'lane', body: 'grüße 🐘' });
        await leave(delivery);
        const { claimed } = await claim(1, { now: acceptedAt });
        expect(claimed).toEqual([{ ...delivery, seq: expect.any(Number), attempts: 0, failingSince: undefined, context: {} }]);
      });

      test('returns each delivery of a handler with its own target', async () => {
        const targets = ['/one', '/other', '/one'].map((path) => ({ kind: 'http', method: 'POST', path, headers: [] }) as const);
        await leave(...targets.map((target, index) => makeDelivery({ id: `d${index}`, target })));
        const { claimed } = await claim();
        expect(claimed.map(({ target }) => target)).toEqual(targets);
      });

      test('returns the earliest first, at most `limit`, none twice', async () => {
        await leave(makeDelivery({ id: 'late', createdAt: acceptedAt + 2 }), makeDelivery({ id: 'early', createdAt: acceptedAt + 1 }));
        await leave(makeDelivery({ id: 'first' }));
        expect(await claimIds(2, { now: acceptedAt + 9 })).toEqual(['first', 'early']);
        expect(await claimIds(2, { now: acceptedAt + 9 })).toEqual(['late']);
        expect(await claimIds(2, { now: acceptedAt + 9 })).toEqual([]);
      });

      test('returns only deliveries of its pool', async () => {
        await leave(makeDelivery({ id: 'a', pool: 'one' }), makeDelivery({ id: 'b', pool: 'two' }));
        expect(await claimIds(9, { pool: 'two' })).toEqual(['b']);
      });

      test('does not return deliveries before they are due, and reports when they are', async () => {
        const seq = await takeOne(makeDelivery());
        await settle(seq, retryAt(acceptedAt + 500), { attempt: answered(1, 503) });
        expect(await claim(9, { now: acceptedAt + 499 })).toEqual({ claimed: [], nextAt: acceptedAt + 500 });
        expect(await claimIds(9, { now: acceptedAt + 500 })).toEqual(['d1']);
      });

      test('reports when the next of the remaining deliveries is due', async () => {
        await leave(makeDelivery({ id: 'a' }), makeDelivery({ id: 'b', createdAt: acceptedAt + 3 }));
        expect((await claim(1, { now: acceptedAt + 9 })).nextAt).toBe(acceptedAt + 3);
        expect((await claim(1, { now: acceptedAt + 9 })).nextAt).toBeUndefined();
      });

      test('stops at the limit on bytes, but returns at least one delivery', async () => {
        const rows = ['a', 'b', 'c', 'd'].map((id) => makeDelivery({ id, body: 'ä'.repeat(50) }));
        await leave(...rows, makeDelivery({ id: 'e', body: Buffer.alloc(99) }));
        expect(ids((await claim(9, { bytes: 299 })).claimed)).toEqual(['a', 'b']);
        expect(await claim(9, { bytes: 1 })).toMatchObject({ claimed: [{ id: 'c' }], nextAt: acceptedAt });
        expect(ids((await claim(9, { bytes: 199 })).claimed)).toEqual(['d', 'e']);
      });

      test('returns one of two deliveries of a lane', async () => {
        await leave(makeDelivery({ id: 'a', lane: 'lane' }), makeDelivery({ id: 'b', lane: 'lane' }));
        expect(await claimIds()).toEqual(['a']);
        expect(await claimIds()).toEqual([]);
      });
    });

    describe('settle', () => {
      test('promotes the next of a lane when its head is delivered', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }), makeDelivery({ id: 'c', lane: 'lane' }));
        expect(await settle(seq, delivered)).toEqual({ next: [], readyPools: ['pool'] });
        expect(await claimIds()).toEqual(['b']);
        expect(await claimIds()).toEqual([]);
      });

      test('returns the next of the lane whole if the caller takes it', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        const second = makeDelivery({ id: 'b', lane: 'lane', body: 'zweiter' });
        await leave(second);
        const { next, readyPools } = await settle(seq, delivered, { claimNext: 1 });
        expect(next).toEqual([{ ...second, seq: expect.any(Number), attempts: 0, failingSince: undefined, context: {} }]);
        expect(readyPools).toEqual([]);
        expect(await claimIds()).toEqual([]);
      });

      test('claims as many next deliveries of the lane as the caller takes, in their order', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(...many(5, { lane: 'lane' }));
        expect(ids((await settle(seq, delivered, { claimNext: 3 })).next)).toEqual(['m0', 'm1', 'm2']);
        expect(await claimIds()).toEqual([]);
      });

      test('bounds the bytes of the next deliveries', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(...many(5, { lane: 'lane', body: 'x'.repeat(200_000) }));
        expect(ids((await settle(seq, delivered, { claimNext: 3 })).next)).toEqual(['m0']);
      });

      test('promotes no other delivery while one of the lane is claimed', async () => {
        const [first, second] = await take(...many(2, { lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }));
        expect(await settle(first?.seq ?? 0, delivered, { claimNext: 9 })).toEqual({ next: [], readyPools: [] });
        expect(ids((await settle(second?.seq ?? 0, dead, { claimNext: 9 })).next)).toEqual(['b']);
      });

      test.each([['retried', retryAt(acceptedAt)] as const, ['released', released] as const])(
        'ends the claims of all later deliveries of the lane with that of one that is %s',
        async (_, disposition) => {
          const [first, second, third] = await take(...many(3, { lane: 'lane' }));
          expect(await settle(second?.seq ?? 0, disposition)).toEqual({ next: [], readyPools: [] });
          await expect(settle(third?.seq ?? 0, delivered)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
          expect(await settle(first?.seq ?? 0, disposition)).toEqual({ next: [], readyPools: ['pool'] });
          expect(await claimIds()).toEqual(['m0']);
          expect(ids((await settle(first?.seq ?? 0, delivered, { claimNext: 9 })).next)).toEqual(['m1', 'm2']);
        },
      );

      test('ignores the release of a delivery whose claim has ended', async () => {
        const [first, second] = await take(...many(2, { lane: 'lane' }));
        await settle(first?.seq ?? 0, released);
        expect(await settle(second?.seq ?? 0, released)).toEqual({ next: [], readyPools: [] });
        expect(await claimIds()).toEqual(['m0']);
      });

      test('returns no next delivery of an empty lane, and frees the lane', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        expect(await settle(seq, delivered, { claimNext: 1 })).toEqual({ next: [], readyPools: [] });
        expect(ids(await take(makeDelivery({ id: 'b', lane: 'lane' })))).toEqual(['b']);
      });

      test('returns no next delivery without a lane', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a' }));
        await leave(makeDelivery({ id: 'b' }));
        expect(await settle(seq, delivered, { claimNext: 1 })).toEqual({ next: [], readyPools: [] });
      });

      test('names the pool of the next delivery, which may be another one', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane', pool: 'one' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane', pool: 'two' }));
        expect((await settle(seq, delivered)).readyPools).toEqual(['two']);
      });

      test('keeps a lane waiting for a head that is retried', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }));
        const { next, readyPools } = await settle(seq, retryAt(acceptedAt + 5), { attempt: answered(1, 503), claimNext: 1 });
        expect({ next, readyPools }).toEqual({ next: [], readyPools: ['pool'] });
        expect(await claimIds(9, { now: acceptedAt + 5 })).toEqual(['a']);
      });

      test('makes later deliveries wait for a head that is retried', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await settle(seq, retryAt(acceptedAt + 5), { attempt: answered(1, 503) });
        expect(await take(makeDelivery({ id: 'b', lane: 'lane' }))).toEqual([]);
      });

      test('lets a failing head leave its lane, and promotes the next', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }), makeDelivery({ id: 'c', lane: 'lane' }));
        const disposition = retryAt(acceptedAt + 5, { leaveLane: true });
        const { next, readyPools } = await settle(seq, disposition, { attempt: answered(1, 503), claimNext: 1 });
        expect({ next: ids(next), readyPools }).toEqual({ next: ['b'], readyPools: ['pool'] });

        const { claimed } = await claim(9, { now: acceptedAt + 5 });
        expect(claimed).toMatchObject([{ id: 'a', lane: null }]);
        expect(await settle(claimed[0]?.seq ?? 0, delivered, { claimNext: 1 })).toEqual({ next: [], readyPools: [] });
        expect((await settle(next[0]?.seq ?? 0, delivered, { claimNext: 1 })).next[0]?.id).toBe('c');
      });

      test('counts attempts and remembers when the first one failed', async () => {
        const seq = await takeOne(makeDelivery());
        await settle(seq, retryAt(acceptedAt), { attempt: answered(1, 503, acceptedAt + 10) });
        const second = (await claim(1, { now: acceptedAt })).claimed[0];
        expect(second).toMatchObject({ seq, attempts: 1, failingSince: acceptedAt + 10 });
        await settle(seq, retryAt(acceptedAt), { attempt: timedOut(2, acceptedAt + 20) });
        const third = (await claim(1, { now: acceptedAt })).claimed[0];
        expect(third).toMatchObject({ seq, attempts: 2, failingSince: acceptedAt + 10 });
      });

      test('counts no attempt if none was made', async () => {
        const seq = await takeOne(makeDelivery());
        await settle(seq, retryAt(acceptedAt));
        expect((await claim(1, { now: acceptedAt })).claimed[0]).toMatchObject({ attempts: 0, failingSince: undefined, context: {} });
      });

      test('returns a released delivery unchanged to the head of its lane', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }));
        expect(await settle(seq, released, { claimNext: 1 })).toEqual({ next: [], readyPools: ['pool'] });
        const { claimed, nextAt } = await claim(9, { now: acceptedAt });
        expect(claimed).toEqual([{ ...makeDelivery({ id: 'a', lane: 'lane' }), seq, attempts: 0, failingSince: undefined, context: {} }]);
        expect(nextAt).toBeUndefined();
      });

      test('adds spawned deliveries at the tail of their lane', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }));
        const spawn = [makeDelivery({ id: 'c', lane: 'lane' }), makeDelivery({ id: 'd', pool: 'other' })];
        const { next, readyPools } = await settle(seq, delivered, { spawn, claimNext: 1 });
        expect({ next: ids(next), readyPools }).toEqual({ next: ['b'], readyPools: ['other'] });
        expect(await claimIds(9, { pool: 'other' })).toEqual(['d']);
        expect((await settle(next[0]?.seq ?? 0, delivered, { claimNext: 1 })).next[0]?.id).toBe('c');
      });

      test('lets a spawned delivery take the lane that its parent freed', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        expect((await settle(seq, delivered, { spawn: [makeDelivery({ id: 'b', lane: 'lane' })] })).readyPools).toEqual(['pool']);
        expect(await claimIds()).toEqual(['b']);
      });

      test('stores the failed packets of a response together with the disposition', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a' }));
        const failedPackets = [makeFailedPacket({ id: 'b', detail: 'prepareBody threw' })];
        await settle(seq, delivered, { spawn: [makeDelivery({ id: 'c' })], failedPackets });
        expect(await claimIds()).toEqual(['c']);
        expect(await spool.deadLetter(idOf('b'))).toMatchObject({ detail: 'prepareBody threw', packet: failedPackets[0]?.packet });
        expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
      });

      test('refuses a delivery that is not claimed, without side effects', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a' }));
        await leave(makeDelivery({ id: 'b' }));
        await settle(seq, delivered);
        const again = Promise.allSettled([settle(seq, delivered), settle(999, dead), leave(makeDelivery({ id: 'c' }))]);
        expect((await again).map((each) => each.status)).toEqual(['rejected', 'rejected', 'fulfilled']);
        expect(await claimIds()).toEqual(['b', 'c']);
      });
    });

    describe('dead letters', () => {
      test('are stored whole, with reason, attempts and the last status', async () => {
        const delivery = makeDelivery({ id: 'a', body: 'lost' });
        const seq = await takeOne(delivery);
        await settle(seq, retryAt(acceptedAt), { attempt: answered(1, 503) });
        await claim(1, { now: acceptedAt });
        await settle(seq, { kind: 'dead', reason: 'attempts-exhausted', detail: 'no more' }, { attempt: timedOut(2) });

        const { id, host, handler, pool, sender, receiver, target, body, createdAt } = delivery;
        const letter = {
          ...{ id, host, handler, pool, sender, receiver, createdAt, diedAt },
          ...{ reason: 'attempts-exhausted', detail: 'no more', status: 503, attempts: 2 },
        };
        expect(await spool.deadLetters({}, { limit: 9 })).toEqual([letter]);
        expect(await spool.deadLetter(id)).toEqual({ ...letter, target, body, packet: null, history: [answered(1, 503), timedOut(2)] });
      });

      test('have no status without a response', async () => {
        await settle(await takeOne(makeDelivery()), { kind: 'dead', reason: 'expired', detail: '' });
        expect(await spool.deadLetters({}, { limit: 9 })).toMatchObject([{ status: null, attempts: 0, reason: 'expired' }]);
      });

      test('promote the next of their lane', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }));
        expect((await settle(seq, dead, { claimNext: 1 })).next[0]?.id).toBe('b');
      });

      test('include failed packets, with the packet', async () => {
        const { packetId, seenAt, ...kept } = makeFailedPacket({ id: 's' });
        await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ id: 's' })] }));
        expect(await spool.deadLetter(idOf('s'))).toEqual({
          ...kept,
          ...{ diedAt, status: null, attempts: 0, target: null, body: null, history: [] },
        });
        expect(await claimIds()).toEqual([]);
      });

      test('are listed oldest first, up to the limit, by pool and by handler', async () => {
        const deadLetters = [
          makeFailedPacket({ id: 'a', pool: 'one', handler: 'x' }),
          makeFailedPacket({ id: 'b', pool: 'two', handler: 'x' }),
          makeFailedPacket({ id: 'c', pool: 'one', handler: 'y' }),
        ];
        await appendTo(spool, makeEntry([], { deadLetters }));
        expect(ids(await spool.deadLetters({}, { limit: 2 }))).toEqual(['a', 'b']);
        expect(ids(await spool.deadLetters({ pool: 'one' }, { limit: 9 }))).toEqual(['a', 'c']);
        expect(ids(await spool.deadLetters({ handler: 'x' }, { limit: 9 }))).toEqual(['a', 'b']);
        expect(ids(await spool.deadLetters({ pool: 'one', handler: 'y' }, { limit: 9 }))).toEqual(['c']);
        expect(ids(await spool.deadLetters({}, { limit: 0 }))).toEqual([]);
      });

      test('are not found by the id of another delivery', async () => {
        await leave(makeDelivery({ id: 'a' }));
        expect(await spool.deadLetter(idOf('a'))).toBeUndefined();
        expect(await spool.deadLetter(idOf('unknown'))).toBeUndefined();
      });

      test('are purged only if they died before the given time', async () => {
        await appendTo(spool, makeEntry([], { deadLetters: ['a', 'b', 'c'].map((id) => makeFailedPacket({ id })) }));
        expect(await spool.purgeDead({ diedBefore: diedAt })).toBe(0);
        expect(await spool.purgeDead({ diedBefore: diedAt + 1 })).toBe(3);
        expect(await spool.deadLetters({}, { limit: 9 })).toEqual([]);
        expect(depth()?.dead).toBe(0);
      });
    });

    test('keeps the last mark of each attachment, host and node', async () => {
      const mark = { attachment: 'chat', host: 'localhost', node: 'n1', epoch: 'e1', h: 1 };
      await appendTo(spool, makeEntry([], { mark }));
      await appendTo(spool, makeEntry([], { mark: { ...mark, node: 'n2', h: 5 } }));
      await appendTo(spool, makeEntry([], { mark: { ...mark, epoch: 'e2', h: 2 } }));
      const marks = await spool.marks();
      expect(marks.toSorted((one, other) => one.node.localeCompare(other.node))).toEqual([
        { ...mark, epoch: 'e2', h: 2 },
        { ...mark, node: 'n2', h: 5 },
      ]);
    });

    describe('stats', () => {
      test('count pending deliveries and dead letters by pool', async () => {
        const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
        const taken = await takeOne(makeDelivery({ id: 'taken' }));
        await leave(makeDelivery({ id: 'b', lane: 'lane' }), makeDelivery({ id: 'c', pool: 'other' }));
        expect(depth()).toEqual({ pool: 'pool', handler: 'push', waiting: 3, dead: 0 });
        expect(depth('other')).toEqual({ pool: 'other', handler: 'push', waiting: 1, dead: 0 });
        await settle(seq, dead);
        await settle(taken, retryAt(acceptedAt + 1), { spawn: [makeDelivery({ id: 'e', pool: 'other' })] });
        expect(depth()).toEqual({ pool: 'pool', handler: 'push', waiting: 2, dead: 1 });
        expect(depth('other')).toEqual({ pool: 'other', handler: 'push', waiting: 2, dead: 0 });
      });

      test('report when the oldest pending delivery was accepted, retried or not', async () => {
        const first = await takeOne(makeDelivery({ id: 'a' }));
        await leave(makeDelivery({ id: 'b', createdAt: acceptedAt + 7 }));
        await eventually(() => expect(spool.stats().oldest).toEqual(new Map([['pool', acceptedAt]])));
        await settle(first, retryAt(acceptedAt + 900), { attempt: answered(1, 503) });
        await eventually(() => expect(spool.stats().oldest).toEqual(new Map([['pool', acceptedAt]])));
        const { claimed } = await claim(9, { now: acceptedAt + 900 });
        await settle(claimed.find((row) => row.id === 'a')?.seq ?? 0, delivered);
        await eventually(() => expect(spool.stats().oldest).toEqual(new Map([['pool', acceptedAt + 7]])));
        await settle(claimed.find((row) => row.id === 'b')?.seq ?? 0, delivered);
        await eventually(() => expect(spool.stats().oldest).toEqual(new Map()));
      });

      test('report that intake is open', () => {
        expect(spool.stats()).toMatchObject({ writable: true, reason: '' });
      });
    });

    test('emits an event for each commit', async () => {
      const committed = events.next('spool.committed', ({ commands }) => commands > 0);
      await leave(makeDelivery());
      expect(await committed).toEqual({ commands: expect.any(Number), durationMs: expect.any(Number) });
    });

    test('refuses every call after it is stopped', async () => {
      await spool.stop();
      const code: ErrorCode = 'SPOOL_FAILED';
      await expect(leave(makeDelivery())).rejects.toMatchObject({ code });
      await expect(claim(1, { now: acceptedAt })).rejects.toMatchObject({ code });
      expect(spool.stats().writable).toBe(false);
    });

    keepsQueuesApart(() => spool);
    keepsOperatorGuarantees(
      () => spool,
      () => events,
    );
    keepsLaneOrder(() => spool);
  });
}
