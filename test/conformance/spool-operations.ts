import { describe, expect, test } from 'vitest';
import type { AttemptRecord, Judgement } from '../../src/model/attempt.ts';
import type { Spool } from '../../src/spool/spool.ts';
import type { EventBus } from '../../src/telemetry/events.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry, makeFailedPacket, timedOut } from '../spool/build.ts';
import { appendTo } from '../support/spool-promises.ts';
import { createSpoolCalls, dead, delivered, diedAt, ids, retryAt } from './spool-calls.ts';

const judgement: Judgement = {
  ...{ verdict: 'tempfailed', status: 477, detail: 'suppressed', origin: 'module', context: { kept: 'yes' }, awaitsDisposition: false },
};

/** Operations of operators and of overflowing pools on dead letters and whole queues. */
export function keepsOperatorGuarantees(currentSpool: () => Spool, currentEvents: () => EventBus): void {
  const { leave, take, takeOne, claim, claimIds, settle, depth, bury, fail, many } = createSpoolCalls(currentSpool);
  const letters = async (filter = {}) => ids(await currentSpool().deadLetters(filter, { limit: 9999 }));
  const replay = (filter = {}, { limit = 9999, now = acceptedAt + 50 } = {}) => currentSpool().replay(filter, { limit, now });
  const watchDeletions = () => {
    const deletions: string[] = [];
    currentEvents().on('spool.deleted', ({ handler, reason, count }) => deletions.push(`${count} of ${handler} by ${reason}`));
    return deletions;
  };
  const failedPackets = (...names: string[]) =>
    appendTo(currentSpool(), makeEntry([], { deadLetters: names.map((id) => makeFailedPacket({ id })) }));

  describe('dead letters of every kind', () => {
    test('keep the judgement of the callbacks for each attempt, and their status', async () => {
      const judged: AttemptRecord = { ...answered(1, 200), judgement };
      await settle(await takeOne(makeDelivery({ id: 'a' })), dead, { attempt: judged });
      const letter = await currentSpool().deadLetter(idOf('a'));
      expect(letter).toMatchObject({ status: 477, attempts: 1 });
      expect(letter?.history).toEqual([judged]);
    });

    test('have the status of the response if the callbacks set none', async () => {
      const judged: AttemptRecord = { ...answered(1, 503), judgement: { ...judgement, status: undefined } };
      await settle(await takeOne(makeDelivery({ id: 'a' })), dead, { attempt: judged });
      expect(await currentSpool().deadLetter(idOf('a'))).toMatchObject({ status: 503 });
    });

    test('are stored for refused deliveries', async () => {
      const delivery = makeDelivery({ id: 'a', lane: 'lane', body: 'grüße 🐘' });
      const entry = makeEntry([makeDelivery({ id: 'b', lane: 'lane' })], {
        take: true,
        refused: [{ delivery, reason: 'overflow', detail: 'full' }],
      });
      expect(ids(await appendTo(currentSpool(), entry))).toEqual(['b']);
      const { target, body, createdAt } = delivery;
      expect(await currentSpool().deadLetter(idOf('a'))).toMatchObject({
        ...{ reason: 'overflow', detail: 'full', status: null, attempts: 0, createdAt, diedAt, target, body, packet: null, history: [] },
      });
      expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
    });

    test('are removed by the entry that replays them', async () => {
      await failedPackets('a', 'b');
      await appendTo(currentSpool(), makeEntry([makeDelivery({ id: 'new' })], { revives: idOf('a') }));
      expect(await letters()).toEqual(['b']);
      expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
    });

    test('are removed one per id: the newest, and never one of the entry itself', async () => {
      await failedPackets('a');
      await appendTo(currentSpool(), makeEntry([], { deadLetters: [makeFailedPacket({ id: 'a', detail: 'again' })] }));
      await appendTo(currentSpool(), makeEntry([], { deadLetters: [makeFailedPacket({ id: 'a', detail: 'third' })], revives: idOf('a') }));
      expect((await currentSpool().deadLetters({}, { limit: 9 })).map(({ detail }) => detail)).toEqual(['prepareBody threw', 'third']);
      await appendTo(currentSpool(), makeEntry([], { revives: idOf('unknown') }));
      expect(depth()).toMatchObject({ dead: 2 });
    });

    test('are found by each key of a filter, and by all keys together', async () => {
      await bury(makeDelivery({ id: 'a', host: 'one' }), makeDelivery({ id: 'b', pool: 'other', host: 'one' }));
      await settle(await takeOne(makeDelivery({ id: 'c', handler: 'log' })), { kind: 'dead', reason: 'expired', detail: '' });
      const found = async (filter: object) => {
        const names = await letters(filter);
        expect(await currentSpool().countDead(filter)).toBe(names.length);
        return names;
      };
      expect(await found({})).toEqual(['a', 'b', 'c']);
      expect(await found({ pool: 'pool' })).toEqual(['a', 'c']);
      expect(await found({ handler: 'log' })).toEqual(['c']);
      expect(await found({ host: 'one' })).toEqual(['a', 'b']);
      expect(await found({ reason: 'expired' })).toEqual(['c']);
      expect(await found({ ids: ['c', 'a', 'c', 'x'].map(idOf) })).toEqual(['a', 'c']);
      expect(await found({ ids: ['c', 'a'].map(idOf), handler: 'push' })).toEqual(['a']);
      expect(await found({ pool: 'pool', host: 'one', reason: 'refused' })).toEqual(['a']);
      expect([await found({ diedBefore: diedAt }), await found({ diedBefore: diedAt + 1 })]).toEqual([[], ['a', 'b', 'c']]);
      expect([await found({ diedSince: diedAt }), await found({ diedSince: diedAt + 1 })]).toEqual([['a', 'b', 'c'], []]);
    });

    test('are listed from the newest end on request, still oldest first', async () => {
      await failedPackets(...many(2500).map(({ id }) => id));
      const names = many(2500).map(({ id }) => id);
      const newest = async (limit: number) => ids(await currentSpool().deadLetters({}, { limit, newest: true }));
      expect(await newest(2)).toEqual(['m2498', 'm2499']);
      expect([await newest(0), await newest(1500), await letters()]).toEqual([[], names.slice(1000), names]);
    });

    test('are purged by any filter', async () => {
      await fail(makeDelivery({ id: 'a' }), [answered(1, 503)]);
      await settle((await claim()).claimed[0]?.seq ?? 0, dead);
      await failedPackets(...many(1200).map(({ id }) => id));
      expect(await currentSpool().purgeDead({ ids: [idOf('a'), idOf('x')] })).toBe(1);
      expect(await currentSpool().purgeDead({ reason: 'callback-failed' })).toBe(1200);
      expect(await currentSpool().purgeDead({})).toBe(0);
      expect(depth()).toMatchObject({ dead: 0 });
    });

    test('are deleted with an event that gives handler, number and reason', async () => {
      const deletions = watchDeletions();
      await failedPackets('a', 'b');
      await bury(makeDelivery({ id: 'c', handler: 'log' }));
      await currentSpool().purgeDead({ diedBefore: diedAt + 1 }, 'age');
      await failedPackets('d');
      await currentSpool().purgeDead({});
      await leave(makeDelivery({ id: 'e', handler: 'gone' }), makeDelivery({ id: 'f', handler: 'gone' }));
      await currentSpool().purgeQueue({ pool: 'pool', handler: 'gone' });
      await currentSpool().purgeQueue({ pool: 'pool', handler: 'gone' });
      expect(deletions.sort()).toEqual(['1 of log by age', '1 of push by purge', '2 of gone by orphan-purge', '2 of push by age']);
    });
  });

  describe('replay', () => {
    test('makes a dead letter a delivery again: same id, attempts from one, its history kept', async () => {
      const delivery = makeDelivery({ id: 'a', body: 'grüße 🐘' });
      await fail(delivery, [answered(1, 503), timedOut(2)]);
      const seq = (await claim()).claimed[0]?.seq ?? 0;
      await settle(seq, dead, { attempt: answered(3, 400) });
      const now = acceptedAt + 50;
      expect(await replay()).toEqual({ replayed: 1, failedPackets: 0, readyPools: ['pool'] });
      expect(await letters()).toEqual([]);
      expect(depth()).toMatchObject({ waiting: 1, dead: 0 });

      const { claimed } = await claim(9, { now });
      expect(claimed).toEqual([
        { ...delivery, createdAt: now, seq: expect.any(Number), attempts: 0, failingSince: undefined, context: {} },
      ]);
      expect(claimed[0]?.seq).toBeGreaterThan(seq);
      await settle(claimed[0]?.seq ?? 0, dead, { attempt: answered(1, 410) });
      const letter = await currentSpool().deadLetter(idOf('a'));
      expect(letter).toMatchObject({ attempts: 4, status: 410 });
      expect(letter?.history).toEqual([answered(1, 503), timedOut(2), answered(3, 400), answered(1, 410)]);
    });

    test('can be repeated, and leaves nothing behind when the delivery succeeds', async () => {
      await bury(makeDelivery({ id: 'a' }));
      for (let life = 0; life < 3; life += 1) {
        expect(await replay()).toMatchObject({ replayed: 1 });
        await settle((await claim(9, { now: acceptedAt + 50 })).claimed[0]?.seq ?? 0, dead, { attempt: answered(1, 503) });
      }
      expect(await currentSpool().deadLetter(idOf('a'))).toMatchObject({ attempts: 3 });
      await replay();
      await settle((await claim(9, { now: acceptedAt + 50 })).claimed[0]?.seq ?? 0, delivered);
      await bury(makeDelivery({ id: 'other' }));
      expect(await currentSpool().deadLetter(idOf('other'))).toMatchObject({ attempts: 0, history: [] });
      expect(depth()).toMatchObject({ waiting: 0, dead: 1 });
    });

    test('puts each delivery at the tail of its lane, even if it had left the lane', async () => {
      const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
      await leave(makeDelivery({ id: 'b', lane: 'lane' }));
      await settle(seq, retryAt(acceptedAt, { leaveLane: true }), { attempt: answered(1, 503) });
      const { claimed } = await claim(9);
      await settle(claimed.find(({ id }) => id === 'a')?.seq ?? 0, dead);
      expect((await replay()).readyPools).toEqual([]);
      expect(await claimIds(9, { now: acceptedAt + 50 })).toEqual([]);
      const { next } = await settle(claimed.find(({ id }) => id === 'b')?.seq ?? 0, delivered, { claimNext: 1 });
      expect(next).toMatchObject([{ id: 'a', lane: 'lane' }]);
    });

    test('replays the oldest that match, up to the limit, and skips failed packets', async () => {
      await failedPackets('s');
      await bury(makeDelivery({ id: 'a', pool: 'other' }), makeDelivery({ id: 'b' }), makeDelivery({ id: 'c' }), makeDelivery({ id: 'd' }));
      await failedPackets('t');
      expect(await replay({ pool: 'pool' }, { limit: 2 })).toEqual({ replayed: 2, failedPackets: 1, readyPools: ['pool'] });
      expect(await letters()).toEqual(['s', 'a', 'd', 't']);
      expect(await replay()).toEqual({ replayed: 2, failedPackets: 2, readyPools: expect.arrayContaining(['other', 'pool']) });
      expect(await replay()).toEqual({ replayed: 0, failedPackets: 2, readyPools: [] });
      expect(await claimIds(9, { now: acceptedAt + 50 })).toEqual(['b', 'c', 'd']);
    });

    test('restores thousands in order', async () => {
      const rows = many(2300, { lane: 'lane' });
      await appendTo(currentSpool(), makeEntry([], { refused: rows.map((delivery) => ({ delivery, reason: 'overflow', detail: '' })) }));
      expect(await replay({}, { limit: 2200 })).toEqual({ replayed: 2200, failedPackets: 0, readyPools: ['pool'] });
      expect(await letters()).toEqual(ids(rows.slice(2200)));
      const seen: string[] = [];
      for (let [head] = (await claim(9, { now: acceptedAt + 50 })).claimed; head !== undefined && seen.length < 300; ) {
        seen.push(head.id);
        [head] = (await settle(head.seq, delivered, { claimNext: 1 })).next;
      }
      expect(seen).toEqual(ids(rows.slice(0, 300)));
    });
  });

  describe('shed', () => {
    test('makes the oldest unclaimed heads dead letters, whether tried or not', async () => {
      await fail(makeDelivery({ id: 'retry', createdAt: acceptedAt + 1 }), [answered(1, 503)]);
      await take(makeDelivery({ id: 'held' }));
      await leave(makeDelivery({ id: 'late', handler: 'log', createdAt: acceptedAt + 3 }), makeDelivery({ id: 'other', pool: 'other' }));
      expect(await currentSpool().shed('pool', 1, 'no place')).toEqual({ shed: [{ pool: 'pool', handler: 'push' }], readyPools: [] });
      const letter = await currentSpool().deadLetter(idOf('retry'));
      expect(letter).toMatchObject({ reason: 'overflow', detail: 'no place', status: 503, attempts: 1, diedAt });
      expect(letter?.history).toEqual([answered(1, 503)]);
      expect((await currentSpool().shed('pool', 9, '')).shed).toEqual([{ pool: 'pool', handler: 'log' }]);
      expect((await currentSpool().shed('pool', 9, '')).shed).toEqual([]);
      expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
      expect(depth('pool', 'log')).toMatchObject({ waiting: 0, dead: 1 });
    });

    test('promotes the next delivery of a lane, even several times', async () => {
      await leave(...many(600, { lane: 'lane' }), makeDelivery({ id: 'young', createdAt: acceptedAt + 5 }));
      const { shed, readyPools } = await currentSpool().shed('pool', 598, '');
      expect([shed.length, readyPools]).toEqual([598, ['pool']]);
      expect(await letters()).toEqual(ids(many(598)));
      expect(await claimIds(9, { now: acceptedAt + 9 })).toEqual(['m598', 'young']);
      expect(await claimIds(9, { now: acceptedAt + 9 })).toEqual([]);
    });

    test('skips deliveries that wait for a claimed head', async () => {
      await take(...many(3, { lane: 'lane' }));
      expect(await currentSpool().shed('pool', 9, '')).toEqual({ shed: [], readyPools: [] });
    });
  });

  describe('whole queues', () => {
    const from = { pool: 'pool', handler: 'push' };
    const to = { pool: 'other', handler: 'log' };

    test('are moved unchanged, except claimed deliveries', async () => {
      await fail(makeDelivery({ id: 'retry' }), [answered(1, 503)]);
      await takeOne(makeDelivery({ id: 'held', lane: 'lane' }));
      await leave(
        makeDelivery({ id: 'behind', lane: 'lane' }),
        ...many(2, { lane: 'other-lane' }),
        makeDelivery({ id: 'stays', handler: 'stays' }),
      );
      expect(await currentSpool().moveQueue(from, to)).toBe(4);
      expect([depth()?.waiting, depth('other', 'log')?.waiting, depth('pool', 'stays')?.waiting]).toEqual([1, 4, 1]);
      expect(await claimIds(9)).toEqual([]);
      const { claimed } = await claim(9, { pool: 'other', handlers: ['log'] });
      expect(claimed).toMatchObject([
        { id: 'retry', attempts: 1, ...to },
        { id: 'm0', lane: 'other-lane', ...to },
      ]);
      expect((await settle(claimed[1]?.seq ?? 0, delivered, { claimNext: 1 })).next[0]?.id).toBe('m1');
    });

    test('keep a moved delivery waiting for the claimed head of its lane', async () => {
      const seq = await takeOne(makeDelivery({ id: 'held', lane: 'lane' }));
      await leave(makeDelivery({ id: 'behind', lane: 'lane' }));
      await currentSpool().moveQueue(from, to);
      expect(await take(makeDelivery({ id: 'last', lane: 'lane' }))).toEqual([]);
      expect(await settle(seq, delivered)).toEqual({ next: [], readyPools: ['other'] });
      expect(await claimIds(9, { pool: 'other', handlers: ['log'] })).toEqual(['behind']);
    });

    test('are purged without a trace, except claimed deliveries, and the next of each lane is promoted', async () => {
      await fail(makeDelivery({ id: 'retry' }), [answered(1, 503)]);
      const seq = await takeOne(makeDelivery({ id: 'held', lane: 'lane' }));
      await leave(makeDelivery({ id: 'behind', lane: 'lane' }), makeDelivery({ id: 'last', lane: 'lane', handler: 'log' }));
      await leave(...many(2100, { lane: 'shared' }), makeDelivery({ id: 'survivor', lane: 'shared', handler: 'log' }));
      expect(await currentSpool().purgeQueue(from)).toBe(2102);
      expect([depth()?.waiting, depth('pool', 'log')?.waiting, await letters()]).toEqual([1, 2, []]);
      expect(await claimIds(9, { handlers: ['push', 'log'] })).toEqual(['survivor']);
      expect(await settle(seq, delivered, { claimNext: 1 })).toEqual({ next: [], readyPools: ['pool'] });
      expect(await claimIds(9, { handlers: ['log'] })).toEqual(['last']);
    });

    test('keep a lane taken by its claimed head after the waiting deliveries are purged', async () => {
      await takeOne(makeDelivery({ id: 'held', lane: 'lane' }));
      await leave(...many(2, { lane: 'lane' }));
      expect(await currentSpool().purgeQueue(from)).toBe(2);
      await leave(makeDelivery({ id: 'late', lane: 'lane' }));
      expect(await claimIds(9)).toEqual([]);
    });

    test('are moved and purged even if they are long', async () => {
      await leave(...many(2100));
      expect(await currentSpool().moveQueue(from, to)).toBe(2100);
      expect(await currentSpool().moveQueue(from, to)).toBe(0);
      expect(await currentSpool().purgeQueue(to)).toBe(2100);
    });
  });

  test('stores the paused pools', async () => {
    expect(currentSpool().stats().paused).toEqual([]);
    await currentSpool().setPaused('b', true);
    await currentSpool().setPaused('a', true);
    await currentSpool().setPaused('a', true);
    expect(currentSpool().stats().paused.toSorted()).toEqual(['a', 'b']);
    await currentSpool().setPaused('b', false);
    await currentSpool().setPaused('nobody', false);
    expect(currentSpool().stats().paused).toEqual(['a']);
  });
}
