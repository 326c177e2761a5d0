/** An operator's search over the events of a spool. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { PacketFacts } from '../../src/model/packet.ts';
import { type EventFilter, type EventPosition, EventStore, type EventTable, type SpoolEvent } from '../../src/spool/event-store.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createSpoolCalls, ids, retryAt } from '../conformance/spool-calls.ts';
import { appendTo } from '../support/spool-promises.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry, makeFailedPacket, timedOut } from './build.ts';

let spool: Spool;
let store: EventStore;

beforeEach(async () => {
  spool = createMemorySpool({ clock: systemClock, events: createEventBus() });
  await spool.start();
  store = new EventStore(spool);
});
afterEach(() => spool.stop());

const { leave, take, takeOne, claimIds, settle, bury, fail, many, depth } = createSpoolCalls(() => spool);

const facts = (messageId: string | null, stanzaId: string | null = null) => JSON.stringify(['message', messageId, stanzaId]) as PacketFacts;

interface Walk {
  readonly table?: EventTable;
  readonly filter?: EventFilter;
  readonly limit?: number;
  readonly backward?: boolean;
}

/** All pages of a search. */
async function pages({ table = 'pending', filter = {}, limit = 100, backward = false }: Walk = {}): Promise<SpoolEvent[][]> {
  const found: SpoolEvent[][] = [];
  let after: EventPosition | undefined;
  do {
    const page = await store.find({ table, filter, limit, backward, after });
    found.push([...page.events]);
    after = page.more;
  } while (after !== undefined);
  return found;
}

const found = async (walk: Walk = {}) => ids((await pages(walk)).flat());

describe('a search of waiting events', () => {
  test('finds those that wait, are claimed, or wait for their lane, in order', async () => {
    await take(makeDelivery({ id: 'claimed', lane: 'lane' }));
    await leave(makeDelivery({ id: 'ready' }), makeDelivery({ id: 'behind', lane: 'lane' }));
    expect(await found()).toEqual(['claimed', 'ready', 'behind']);
    expect(await found({ backward: true })).toEqual(['behind', 'ready', 'claimed']);
    const [claimed, ready, behind] = (await pages()).flat();
    expect([claimed?.isClaimed, ready?.isClaimed, behind?.isClaimed]).toEqual([true, false, false]);
    expect([claimed?.dueAt, ready?.dueAt, behind?.dueAt]).toEqual([null, acceptedAt, null]);
  });

  test('shows the ids of the stanza, the users and the attempts', async () => {
    await fail(makeDelivery({ id: 'a', facts: facts('m1', 's1') }), [answered(1, 503), timedOut(2)]);
    expect((await pages()).flat()).toMatchObject([
      {
        ...{ id: 'a', packetId: 'packet-of-a', messageId: 'm1', stanzaId: 's1', kind: 'message', host: 'localhost', handler: 'push' },
        ...{ pool: 'pool', sender: 'alice@localhost', receiver: 'bob@localhost', status: 503, attempts: 2 },
        ...{ seenAt: acceptedAt - 5, createdAt: acceptedAt, diedAt: null },
      },
    ]);
  });

  test('shows no ids for an event that was stored without them', async () => {
    await leave(makeDelivery());
    expect((await pages()).flat()).toMatchObject([{ messageId: null, stanzaId: null, kind: null }]);
  });

  test('leaves out settled events, before and after they are deleted', async () => {
    const seq = await takeOne(makeDelivery({ id: 'a' }));
    await settle(seq, { kind: 'delivered' });
    await take(makeDelivery({ id: 'b' }));
    expect(await found()).toEqual(['b']);
  });

  test('finds by each key of a filter, and by all keys together', async () => {
    await leave(
      makeDelivery({ id: 'a', sender: 'carol@localhost', facts: facts('m1', 's1') }),
      makeDelivery({ id: 'b', receiver: 'carol@localhost', handler: 'log', facts: facts('s1') }),
      makeDelivery({ id: 'c', pool: 'other', host: 'elsewhere', createdAt: acceptedAt + 10, facts: facts('message', 'x"y') }),
    );
    const both = async (filter: EventFilter) => {
      const names = await found({ filter });
      expect(await store.count('pending', filter)).toBe(names.length);
      return names.join();
    };
    expect(await both({ jid: 'carol@localhost' })).toBe('a,b');
    expect(await both({ stanzaId: 's1' })).toBe('a,b');
    expect(await both({ stanzaId: 'm1' })).toBe('a');
    expect(await both({ stanzaId: 'message' })).toBe('c');
    expect(await both({ stanzaId: 'x"y' })).toBe('c');
    expect(await both({ stanzaId: "'; DROP TABLE deliveries; --" })).toBe('');
    expect(await both({ ids: ['a', 'c', 'unknown'] })).toBe('a,c');
    expect(await both({ handler: 'log' })).toBe('b');
    expect(await both({ pool: 'other' })).toBe('c');
    expect(await both({ host: 'elsewhere' })).toBe('c');
    expect(await both({ since: acceptedAt + 10 })).toBe('c');
    expect(await both({ before: acceptedAt + 10 })).toBe('a,b');
    expect(await both({ jid: 'carol@localhost', handler: 'log' })).toBe('b');
  });

  test('finds by the last status', async () => {
    await leave(makeDelivery({ id: 'a' }));
    await fail(makeDelivery({ id: 'b' }), [answered(1, 503)]);
    expect(await found({ filter: { status: 503 } })).toEqual(['b']);
    expect(await store.count('pending', { status: 503 })).toBe(1);
    expect(await found({ filter: { status: 200 } })).toEqual([]);
  });

  test('finds the stanza of an id that is longer than the kept part', async () => {
    await leave(makeDelivery({ facts: facts('x'.repeat(256)) }));
    expect(await found({ filter: { stanzaId: 'x'.repeat(1000) } })).toEqual(['d1']);
  });

  test.each([false, true])('gives each of many events once, page by page (backward: %s)', async (backward) => {
    const all = many(4500);
    await appendTo(spool, makeEntry(all, { claim: all.map((_, index) => index % 3 === 0) }));
    const expected = backward ? ids(all).reverse() : ids(all);
    expect(await found({ backward, limit: 9999 })).toEqual(expected);
    expect(await found({ backward, limit: 700 })).toEqual(expected);
    expect(await found({ backward, filter: { ids: ['m0', 'm4499'] } })).toEqual(backward ? ['m4499', 'm0'] : ['m0', 'm4499']);
    expect(await store.count('pending', {})).toBe(4500);
  });

  test('stops between two transactions if it may not continue, and continues there', async () => {
    await leave(...many(4500));
    const query = { table: 'pending', filter: { ids: ['m4400'] }, limit: 9, backward: false } as const;
    const first = await store.find({ ...query, after: undefined }, () => false);
    expect(first.events).toEqual([]);
    const second = await store.find({ ...query, after: first.more });
    expect(ids(second.events)).toEqual(['m4400']);
  });

  test('gives the content of an event', async () => {
    await leave(makeDelivery({ id: 'a', body: 'grüße' }));
    await take(makeDelivery({ id: 'b', body: new Uint8Array([1, 2]) }));
    const [one, other] = (await pages()).flat();
    const keyOf = ({ position, id }: SpoolEvent = {} as SpoolEvent) => [position[1], id] as const;
    const { target } = makeDelivery();
    expect(await store.content(keyOf(one))).toEqual({ target, body: 'grüße', history: [], behind: null });
    expect(await store.content(keyOf(other))).toMatchObject({ target, history: [] });
    expect(await store.content([keyOf(one)[0], idOf('other')])).toBeUndefined();
  });

  /** The event for which each waiting event waits, by id. */
  async function waits(): Promise<Readonly<Record<string, string | null | undefined>>> {
    const events = (await pages()).flat();
    const contents = await Promise.all(events.map(({ id, position }) => store.content([position[1], id])));
    return Object.fromEntries(events.map(({ id }, index) => [id, contents[index]?.behind]));
  }

  test('names the earliest event of the lane in which an event waits', async () => {
    await leave(...['a', 'b', 'c'].map((id) => makeDelivery({ id, lane: 'lane' })), makeDelivery({ id: 'other', lane: 'other' }));
    expect(await waits()).toEqual({ a: null, b: 'a', c: 'a', other: null });
    await claimIds();
    expect(await waits()).toEqual({ a: null, b: 'a', c: 'a', other: null });
  });

  test('names it also if it was claimed when it was stored', async () => {
    await take(makeDelivery({ id: 'a', lane: 'lane' }));
    await leave(makeDelivery({ id: 'b', lane: 'lane' }));
    expect(await waits()).toEqual({ a: null, b: 'a' });
  });
});

describe('a search of dead events', () => {
  test('finds them in order of death, with the reason', async () => {
    await bury(makeDelivery({ id: 'a', facts: facts('m1') }));
    await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ id: 'b', facts: facts('m2') })] }));
    expect(await found({ table: 'dead' })).toEqual(['a', 'b']);
    expect(await found({ table: 'dead', backward: true })).toEqual(['b', 'a']);
    expect((await pages({ table: 'dead' })).flat()).toMatchObject([
      { id: 'a', messageId: 'm1', reason: 'refused', detail: 'status 400', attempts: 0 },
      { id: 'b', messageId: 'm2', reason: 'callback-failed', detail: 'prepareBody threw' },
    ]);
    expect(await found({ table: 'dead', filter: { stanzaId: 'm2' } })).toEqual(['b']);
    expect(await found()).toEqual([]);
  });

  test('finds by status and by time of death', async () => {
    const seq = await takeOne(makeDelivery({ id: 'a' }));
    await settle(seq, { kind: 'dead', reason: 'refused', detail: '' }, { attempt: answered(1, 410) });
    await bury(makeDelivery({ id: 'b' }));
    const [first] = (await pages({ table: 'dead' })).flat();
    const at = first?.diedAt ?? 0;
    expect(await found({ table: 'dead', filter: { status: 410 } })).toEqual(['a']);
    expect(await found({ table: 'dead', filter: { before: at } })).toEqual([]);
    expect(await found({ table: 'dead', filter: { since: at }, backward: true })).toEqual(['b', 'a']);
    expect(await store.count('dead', { since: at })).toBe(2);
  });

  test.each([false, true])('gives each of many once, page by page (backward: %s)', async (backward) => {
    await appendTo(spool, makeEntry([], { deadLetters: many(4500).map(({ id }) => makeFailedPacket({ id })) }));
    const expected = backward ? ids(many(4500)).reverse() : ids(many(4500));
    expect(await found({ table: 'dead', backward, limit: 9999 })).toEqual(expected);
    expect(await found({ table: 'dead', backward, limit: 700, filter: { since: 1, before: Number.MAX_SAFE_INTEGER } })).toEqual(expected);
    expect(await store.count('dead', {})).toBe(4500);
  });
});

test('the descendants of a delivery are found, pending or dead', async () => {
  const seqs = [await takeOne(makeDelivery({ id: 'X' })), await takeOne(makeDelivery({ id: 'X.2' }))] as const;
  await settle(seqs[0], { kind: 'delivered' }, { spawn: [makeDelivery({ id: 'X.1' }), makeDelivery({ id: 'X.1.1' })] });
  await settle(seqs[1], { kind: 'dead', reason: 'refused', detail: '' });
  await leave(makeDelivery({ id: 'XY.1' }), makeDelivery({ id: 'Y.X.1' }));
  expect(await store.descendants(idOf('X'))).toEqual([
    { id: 'X.2', state: 'dead' },
    { id: 'X.1', state: 'owed' },
    { id: 'X.1.1', state: 'owed' },
  ]);
});

describe('a change of waiting events', () => {
  const keys = async () => (await pages()).flat().map(({ position, id }) => [position[1], id] as const);

  test('makes a deferred event due at once', async () => {
    await settle(await takeOne(makeDelivery({ id: 'a' })), retryAt(acceptedAt + 60_000), { attempt: answered(1, 503) });
    expect(await claimIds()).toEqual([]);
    expect(await store.makeDue(await keys(), acceptedAt + 10)).toEqual({ ids: ['a'], missed: 0, readyPools: ['pool'] });
    expect(await claimIds(9, { now: acceptedAt + 10 })).toEqual(['a']);
  });

  test('keeps the order of a lane', async () => {
    await settle(await takeOne(makeDelivery({ id: 'a', lane: 'lane' })), retryAt(acceptedAt + 60_000), { attempt: answered(1, 503) });
    await leave(makeDelivery({ id: 'b', lane: 'lane' }));
    await store.makeDue(await keys(), acceptedAt + 10);
    expect(await claimIds(9, { now: acceptedAt + 10 })).toEqual(['a']);
  });

  test('drops events, and the next ones of their lanes follow', async () => {
    await leave(makeDelivery({ id: 'a', lane: 'lane' }), makeDelivery({ id: 'b', lane: 'lane' }), makeDelivery({ id: 'c', lane: 'lane' }));
    const [a, b] = await keys();
    expect(
      await store.drop(
        [a, b].filter((key) => key !== undefined),
        acceptedAt,
      ),
    ).toEqual({ ids: ['a', 'b'], missed: 0, readyPools: ['pool'] });
    expect(depth()).toMatchObject({ waiting: 1 });
    expect(await claimIds()).toEqual(['c']);
  });

  test('leaves an event that is claimed, or whose number another one has', async () => {
    await take(makeDelivery({ id: 'a' }));
    await leave(makeDelivery({ id: 'b' }));
    const [a, b] = await keys();
    if (a === undefined || b === undefined) throw new Error('not found');
    expect(await store.drop([a, [b[0], idOf('other')]], acceptedAt)).toEqual({ ids: [], missed: 2, readyPools: [] });
    expect(await found()).toEqual(['a', 'b']);
  });

  test('drops many in several transactions', async () => {
    await leave(...many(1200, { lane: 'lane' }));
    expect((await store.drop(await keys(), acceptedAt)).ids).toHaveLength(1200);
    expect(depth()).toMatchObject({ waiting: 0 });
  });
});

test('the cursor of another search does not lead out of the time range', async () => {
  await bury(makeDelivery({ id: 'd1' }), makeDelivery({ id: 'd2' }), makeDelivery({ id: 'd3' }));
  const [all = []] = await pages({ table: 'dead' });
  const [first, , last] = all;
  const since = (last?.diedAt ?? 0) + 1;
  for (const backward of [false, true]) {
    const after: EventPosition = backward ? [since + 1000, 0] : [0, 0];
    const page = await store.find({
      table: 'dead',
      filter: backward ? { before: first?.diedAt ?? 0 } : { since },
      limit: 9,
      backward,
      after,
    });
    expect(page.events).toEqual([]);
  }
});
