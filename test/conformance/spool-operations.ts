import { describe, expect, test } from 'vitest';
import type { AttemptRecord, Judgement } from '../../src/model/attempt.ts';
import type { Spool } from '../../src/spool/spool.ts';
import type { EventBus } from '../../src/telemetry/events.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry, makeFailedPacket, timedOut } from '../spool/build.ts';
import { createHands, dead, delivered, diedAt, ids, retryAt } from './hands.ts';

const judgement: Judgement = {
  ...{ verdict: 'tempfailed', status: 477, detail: 'suppressed', origin: 'module', context: { kept: 'yes' }, awaitsDisposition: false },
};

/** What operators and overflowing pools do to dead letters and whole queues. */
export function keepsOperatorsPromises(spoolAtHand: () => Spool, eventsAtHand: () => EventBus): void {
  const { leave, take, takeOne, claim, claimIds, settle, depth, bury, fail, many } = createHands(spoolAtHand);
  const letters = async (filter = {}) => ids(await spoolAtHand().deadLetters(filter, { limit: 9999 }));
  const replay = (filter = {}, { limit = 9999, now = acceptedAt + 50 } = {}) => spoolAtHand().replay(filter, { limit, now });
  const watchDeletions = () => {
    const told: string[] = [];
    eventsAtHand().on('spool.deleted', ({ handler, reason, count }) => told.push(`${count} of ${handler} by ${reason}`));
    return told;
  };
  const failedPackets = (...names: string[]) =>
    spoolAtHand().append(makeEntry([], { deadLetters: names.map((id) => makeFailedPacket({ id })) }));

  describe('dead letters of every kind', () => {
    test('keep what the callbacks made of each attempt, whose status is theirs', async () => {
      const judged: AttemptRecord = { ...answered(1, 200), judgement };
      await settle(await takeOne(makeDelivery({ id: 'a' })), dead, { attempt: judged });
      const letter = await spoolAtHand().deadLetter(idOf('a'));
      expect(letter).toMatchObject({ status: 477, attempts: 1 });
      expect(letter?.history).toEqual([judged]);
    });

    test('have the status of the answer where the callbacks set none', async () => {
      const judged: AttemptRecord = { ...answered(1, 503), judgement: { ...judgement, status: undefined } };
      await settle(await takeOne(makeDelivery({ id: 'a' })), dead, { attempt: judged });
      expect(await spoolAtHand().deadLetter(idOf('a'))).toMatchObject({ status: 503 });
    });

    test('are made from the first where a delivery is refused', async () => {
      const delivery = makeDelivery({ id: 'a', lane: 'lane', body: 'grüße 🐘' });
      const entry = makeEntry([makeDelivery({ id: 'b', lane: 'lane' })], {
        take: true,
        refused: [{ delivery, reason: 'overflow', detail: 'full' }],
      });
      expect(ids(await spoolAtHand().append(entry))).toEqual(['b']);
      const { target, body, createdAt } = delivery;
      expect(await spoolAtHand().deadLetter(idOf('a'))).toMatchObject({
        ...{ reason: 'overflow', detail: 'full', status: null, attempts: 0, createdAt, diedAt, target, body, packet: null, history: [] },
      });
      expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
    });

    test('are revived by the entry that comes of them', async () => {
      await failedPackets('a', 'b');
      await spoolAtHand().append(makeEntry([makeDelivery({ id: 'new' })], { revives: idOf('a') }));
      expect(await letters()).toEqual(['b']);
      expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
    });

    test('are revived one of an id: the newest, and never what the entry itself brings', async () => {
      await failedPackets('a');
      await spoolAtHand().append(makeEntry([], { deadLetters: [makeFailedPacket({ id: 'a', detail: 'again' })] }));
      await spoolAtHand().append(makeEntry([], { deadLetters: [makeFailedPacket({ id: 'a', detail: 'third' })], revives: idOf('a') }));
      expect((await spoolAtHand().deadLetters({}, { limit: 9 })).map(({ detail }) => detail)).toEqual(['prepareBody threw', 'third']);
      await spoolAtHand().append(makeEntry([], { revives: idOf('nobody') }));
      expect(depth()).toMatchObject({ dead: 2 });
    });

    test('are found by each key of a filter, and by all of them together', async () => {
      await bury(makeDelivery({ id: 'a', host: 'one' }), makeDelivery({ id: 'b', pool: 'other', host: 'one' }));
      await settle(await takeOne(makeDelivery({ id: 'c', handler: 'log' })), { kind: 'dead', reason: 'expired', detail: '' });
      const found = async (filter: object) => {
        const names = await letters(filter);
        expect(await spoolAtHand().countDead(filter)).toBe(names.length);
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

    test('are listed from the newest end where that is asked, still oldest first', async () => {
      await failedPackets(...many(2500).map(({ id }) => id));
      const names = many(2500).map(({ id }) => id);
      const newest = async (limit: number) => ids(await spoolAtHand().deadLetters({}, { limit, newest: true }));
      expect(await newest(2)).toEqual(['m2498', 'm2499']);
      expect([await newest(0), await newest(1500), await letters()]).toEqual([[], names.slice(1000), names]);
    });

    test('are purged by any filter', async () => {
      await fail(makeDelivery({ id: 'a' }), [answered(1, 503)]);
      await settle((await claim()).claimed[0]?.seq ?? 0, dead);
      await failedPackets(...many(1200).map(({ id }) => id));
      expect(await spoolAtHand().purgeDead({ ids: [idOf('a'), idOf('x')] })).toBe(1);
      expect(await spoolAtHand().purgeDead({ reason: 'callback-failed' })).toBe(1200);
      expect(await spoolAtHand().purgeDead({})).toBe(0);
      expect(depth()).toMatchObject({ dead: 0 });
    });

    test('are deleted with a word on how many of which handler, and why', async () => {
      const told = watchDeletions();
      await failedPackets('a', 'b');
      await bury(makeDelivery({ id: 'c', handler: 'log' }));
      await spoolAtHand().purgeDead({ diedBefore: diedAt + 1 }, 'age');
      await failedPackets('d');
      await spoolAtHand().purgeDead({});
      await leave(makeDelivery({ id: 'e', handler: 'gone' }), makeDelivery({ id: 'f', handler: 'gone' }));
      await spoolAtHand().purgeQueue({ pool: 'pool', handler: 'gone' });
      await spoolAtHand().purgeQueue({ pool: 'pool', handler: 'gone' });
      expect(told.sort()).toEqual(['1 of log by age', '1 of push by purge', '2 of gone by orphan-purge', '2 of push by age']);
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
      const letter = await spoolAtHand().deadLetter(idOf('a'));
      expect(letter).toMatchObject({ attempts: 4, status: 410 });
      expect(letter?.history).toEqual([answered(1, 503), timedOut(2), answered(3, 400), answered(1, 410)]);
    });

    test('can be done again and again, and leaves nothing behind when the delivery arrives', async () => {
      await bury(makeDelivery({ id: 'a' }));
      for (let life = 0; life < 3; life += 1) {
        expect(await replay()).toMatchObject({ replayed: 1 });
        await settle((await claim(9, { now: acceptedAt + 50 })).claimed[0]?.seq ?? 0, dead, { attempt: answered(1, 503) });
      }
      expect(await spoolAtHand().deadLetter(idOf('a'))).toMatchObject({ attempts: 3 });
      await replay();
      await settle((await claim(9, { now: acceptedAt + 50 })).claimed[0]?.seq ?? 0, delivered);
      await bury(makeDelivery({ id: 'other' }));
      expect(await spoolAtHand().deadLetter(idOf('other'))).toMatchObject({ attempts: 0, history: [] });
      expect(depth()).toMatchObject({ waiting: 0, dead: 1 });
    });

    test('puts each at the tail of its lane, also one that had left it', async () => {
      const seq = await takeOne(makeDelivery({ id: 'a', lane: 'lane' }));
      await leave(makeDelivery({ id: 'b', lane: 'lane' }));
      await settle(seq, retryAt(acceptedAt, { leaveLane: true }), { attempt: answered(1, 503) });
      const { claimed } = await claim(9);
      await settle(claimed.find(({ id }) => id === 'a')?.seq ?? 0, dead);
      expect((await replay()).readyPools).toEqual([]);
      expect(await claimIds(9, { now: acceptedAt + 50 })).toEqual([]);
      const { next } = await settle(claimed.find(({ id }) => id === 'b')?.seq ?? 0, delivered, { claimNext: true });
      expect(next).toMatchObject({ id: 'a', lane: 'lane' });
    });

    test('takes the oldest that are meant, up to the limit, and passes over those that never were deliveries', async () => {
      await failedPackets('s');
      await bury(makeDelivery({ id: 'a', pool: 'other' }), makeDelivery({ id: 'b' }), makeDelivery({ id: 'c' }), makeDelivery({ id: 'd' }));
      await failedPackets('t');
      expect(await replay({ pool: 'pool' }, { limit: 2 })).toEqual({ replayed: 2, failedPackets: 1, readyPools: ['pool'] });
      expect(await letters()).toEqual(['s', 'a', 'd', 't']);
      expect(await replay()).toEqual({ replayed: 2, failedPackets: 2, readyPools: expect.arrayContaining(['other', 'pool']) });
      expect(await replay()).toEqual({ replayed: 0, failedPackets: 2, readyPools: [] });
      expect(await claimIds(9, { now: acceptedAt + 50 })).toEqual(['b', 'c', 'd']);
    });

    test('brings back thousands in their order', async () => {
      const rows = many(2300, { lane: 'lane' });
      await spoolAtHand().append(makeEntry([], { refused: rows.map((delivery) => ({ delivery, reason: 'overflow', detail: '' })) }));
      expect(await replay({}, { limit: 2200 })).toEqual({ replayed: 2200, failedPackets: 0, readyPools: ['pool'] });
      expect(await letters()).toEqual(ids(rows.slice(2200)));
      const seen: string[] = [];
      for (let [head] = (await claim(9, { now: acceptedAt + 50 })).claimed; head !== undefined && seen.length < 300; ) {
        seen.push(head.id);
        head = (await settle(head.seq, delivered, { claimNext: true })).next;
      }
      expect(seen).toEqual(ids(rows.slice(0, 300)));
    });
  });

  describe('shed', () => {
    test('makes the oldest heads that nobody has claimed dead letters, tried before or not', async () => {
      await fail(makeDelivery({ id: 'retry', createdAt: acceptedAt + 1 }), [answered(1, 503)]);
      await take(makeDelivery({ id: 'held' }));
      await leave(makeDelivery({ id: 'late', handler: 'log', createdAt: acceptedAt + 3 }), makeDelivery({ id: 'other', pool: 'other' }));
      expect(await spoolAtHand().shed('pool', 1, 'no place')).toEqual({ shed: [{ pool: 'pool', handler: 'push' }], readyPools: [] });
      const letter = await spoolAtHand().deadLetter(idOf('retry'));
      expect(letter).toMatchObject({ reason: 'overflow', detail: 'no place', status: 503, attempts: 1, diedAt });
      expect(letter?.history).toEqual([answered(1, 503)]);
      expect((await spoolAtHand().shed('pool', 9, '')).shed).toEqual([{ pool: 'pool', handler: 'log' }]);
      expect((await spoolAtHand().shed('pool', 9, '')).shed).toEqual([]);
      expect(depth()).toMatchObject({ waiting: 1, dead: 1 });
      expect(depth('pool', 'log')).toMatchObject({ waiting: 0, dead: 1 });
    });

    test('lets lanes move on, also several deliveries of one', async () => {
      await leave(...many(600, { lane: 'lane' }), makeDelivery({ id: 'young', createdAt: acceptedAt + 5 }));
      const { shed, readyPools } = await spoolAtHand().shed('pool', 598, '');
      expect([shed.length, readyPools]).toEqual([598, ['pool']]);
      expect(await letters()).toEqual(ids(many(598)));
      expect(await claimIds(9, { now: acceptedAt + 9 })).toEqual(['m598', 'young']);
      expect(await claimIds(9, { now: acceptedAt + 9 })).toEqual([]);
    });

    test('leaves alone what waits behind a claimed head', async () => {
      await take(...many(3, { lane: 'lane' }));
      expect(await spoolAtHand().shed('pool', 9, '')).toEqual({ shed: [], readyPools: [] });
    });
  });

  describe('whole queues', () => {
    const from = { pool: 'pool', handler: 'push' };
    const to = { pool: 'other', handler: 'log' };

    test('are moved as they are, but for what is claimed', async () => {
      await fail(makeDelivery({ id: 'retry' }), [answered(1, 503)]);
      await take(makeDelivery({ id: 'held', lane: 'lane' }), makeDelivery({ id: 'behind', lane: 'lane' }));
      await leave(...many(2, { lane: 'other-lane' }), makeDelivery({ id: 'stays', handler: 'stays' }));
      expect(await spoolAtHand().moveQueue(from, to)).toBe(4);
      expect([depth()?.waiting, depth('other', 'log')?.waiting, depth('pool', 'stays')?.waiting]).toEqual([1, 4, 1]);
      expect(await claimIds(9)).toEqual([]);
      const { claimed } = await claim(9, { pool: 'other', handlers: ['log'] });
      expect(claimed).toMatchObject([
        { id: 'retry', attempts: 1, ...to },
        { id: 'm0', lane: 'other-lane', ...to },
      ]);
      expect((await settle(claimed[1]?.seq ?? 0, delivered, { claimNext: true })).next?.id).toBe('m1');
    });

    test('keep a moved delivery behind the head of its lane that is claimed', async () => {
      const seq = await takeOne(makeDelivery({ id: 'held', lane: 'lane' }));
      await leave(makeDelivery({ id: 'behind', lane: 'lane' }));
      await spoolAtHand().moveQueue(from, to);
      expect(await take(makeDelivery({ id: 'last', lane: 'lane' }))).toEqual([]);
      expect(await settle(seq, delivered)).toEqual({ next: undefined, readyPools: ['other'] });
      expect(await claimIds(9, { pool: 'other', handlers: ['log'] })).toEqual(['behind']);
    });

    test('are purged without a trace, but for what is claimed, and lanes move on', async () => {
      await fail(makeDelivery({ id: 'retry' }), [answered(1, 503)]);
      const seq = await takeOne(makeDelivery({ id: 'held', lane: 'lane' }));
      await leave(makeDelivery({ id: 'behind', lane: 'lane' }), makeDelivery({ id: 'last', lane: 'lane', handler: 'log' }));
      await leave(...many(2100, { lane: 'shared' }), makeDelivery({ id: 'survivor', lane: 'shared', handler: 'log' }));
      expect(await spoolAtHand().purgeQueue(from)).toBe(2102);
      expect([depth()?.waiting, depth('pool', 'log')?.waiting, await letters()]).toEqual([1, 2, []]);
      expect(await claimIds(9, { handlers: ['push', 'log'] })).toEqual(['survivor']);
      expect((await settle(seq, delivered, { claimNext: true })).next?.id).toBe('last');
    });

    test('keep a lane behind its claimed head though all that waited there is purged', async () => {
      await take(...many(2, { lane: 'lane' }));
      expect(await spoolAtHand().purgeQueue(from)).toBe(1);
      expect(await take(makeDelivery({ id: 'late', lane: 'lane' }))).toEqual([]);
      expect(await claimIds(9)).toEqual([]);
    });

    test('are moved and purged though they are long', async () => {
      await leave(...many(2100));
      expect(await spoolAtHand().moveQueue(from, to)).toBe(2100);
      expect(await spoolAtHand().moveQueue(from, to)).toBe(0);
      expect(await spoolAtHand().purgeQueue(to)).toBe(2100);
    });
  });

  test('remembers which pools are paused', async () => {
    expect(spoolAtHand().stats().paused).toEqual([]);
    await spoolAtHand().setPaused('b', true);
    await spoolAtHand().setPaused('a', true);
    await spoolAtHand().setPaused('a', true);
    expect(spoolAtHand().stats().paused.toSorted()).toEqual(['a', 'b']);
    await spoolAtHand().setPaused('b', false);
    await spoolAtHand().setPaused('nobody', false);
    expect(spoolAtHand().stats().paused).toEqual(['a']);
  });
}
