/** What the history of a spool records, finds, keeps and erases, whatever the engine is. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import type { PacketFacts } from '../../src/model/packet.ts';
import type { EventFilter, EventPosition } from '../../src/spool/event-store.ts';
import type { History } from '../../src/spool/history/history.ts';
import type { HistorySpan, RecordedState } from '../../src/spool/history/record.ts';
import { HistoryRecorder } from '../../src/spool/history/recorder.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeSettlement } from '../spool/build.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo, settleIn } from '../support/spool-promises.ts';

export interface HistoryLimits {
  readonly maxAgeMs?: number;
  readonly maxBytes?: number;
  /** Time of the spool; default: of the system. */
  readonly now?: () => number;
}

export interface HistoryJournal {
  take(): string;
  note(span: HistorySpan): void;
}

/** A spool with a history in a place of its own. Each start after the first continues with what is stored. */
export interface HistoryRig {
  start(limits: HistoryLimits, journal: HistoryJournal): Promise<Spool>;
  history(): History;
}

const facts = (messageId: string) => JSON.stringify(['message', messageId, null]) as PacketFacts;
const allStates: readonly RecordedState[] = ['dead', 'delivered', 'dropped', 'waiting', 'withheld'];

export function keepsAHistory(createRig: () => Promise<HistoryRig>): void {
  let rig: HistoryRig;
  let history: History;
  let spools: Spool[];
  beforeEach(async () => {
    rig = await createRig();
    history = rig.history();
    spools = [];
  });
  afterEach(() => Promise.all(spools.map((spool) => spool.stop())));

  async function start(limits: HistoryLimits = {}) {
    const events = createEventBus();
    const recorder = new HistoryRecorder({ clock: { now: limits.now ?? systemClock.now }, events, bodies: true });
    const spool = await rig.start(limits, { take: () => recorder.take(), note: (span) => history.note(span) });
    spools.push(spool);
    const recording = recorder.recording(spool);
    const settle = async (made: Partial<Omit<NewDelivery, 'id'>> & { id: string }, disposition = delivered, status = 200) => {
      const [delivery] = await appendTo(recording, makeEntry([makeDelivery({ createdAt: acceptedAt, ...made })], { take: true }));
      if (delivery === undefined) throw new Error('not claimed');
      await settleIn(recording, makeSettlement(delivery.seq, disposition, { delivery, attempt: answered(1, status) }));
    };
    return { spool, events, recorder, settle };
  }
  const delivered: Parameters<typeof makeSettlement>[1] = { kind: 'delivered' };
  const query = { states: allStates, limit: 9999, backward: false, after: undefined, withinMs: 60_000 };
  const records = async (filter: EventFilter = {}, states = allStates) =>
    (await history.find({ ...query, filter, states })).records.map(({ record }) => record);
  const found = async (filter: EventFilter = {}, states = allStates) => (await records(filter, states)).map(({ id }) => id);

  test('records each settlement by the time that it is durable', async () => {
    const { settle } = await start();
    const shown = async () => (await records()).map(({ id, state, attempt }) => `${id} ${state} ${attempt?.status}`);
    await settle({ id: 'a', body: 'grüße \0 "quoted"' });
    expect(await shown()).toEqual(['a delivered 200']);
    expect(await records()).toMatchObject([{ body: 'grüße \0 "quoted"', sender: 'alice@localhost', createdAt: acceptedAt }]);
    await settle({ id: 'b' }, { kind: 'retry', notBefore: 0, leaveLane: false, context: {} }, 503);
    await settle({ id: 'c' }, { kind: 'dead', reason: 'refused', detail: '' }, 400);
    await settle({ id: 'd' }, { kind: 'released' });
    expect(await shown()).toEqual(['a delivered 200', 'b waiting 503', 'c dead 400']);
    await eventually(() => expect(history.span()).toEqual({ since: expect.any(Number), bytes: expect.any(Number) }));
  });

  test('records withheld pushes with their reason, and dropped events when it closes, and continues after a restart', async () => {
    const { spool, settle, recorder, events } = await start();
    const ask = makeDelivery({ id: 'a' });
    events.emit('push.withheld', { ...ask, why: 'refused', errCode: 1, errMsg: '', errDlt: '' });
    await settle({ id: 'a' });
    recorder.dropped([{ ...ask, kind: 'message', messageId: 'm', stanzaId: null, id: makeDelivery({ id: 'x' }).id }]);
    await spool.stop();
    expect(await records()).toMatchObject([
      { id: 'a', state: 'withheld', reason: 'refused' },
      { id: 'x', state: 'dropped' },
    ]);
    await (await start()).settle({ id: 'later' });
    expect(await found()).toEqual(['a', 'x', 'later']);
  });

  test('finds by each key, and by time', async () => {
    let now = 1000;
    const { settle } = await start({ now: () => now, maxAgeMs: Number.MAX_SAFE_INTEGER });
    await settle({ id: 'a', sender: 'ca"rol@localhost', facts: facts('m"1\\') });
    now = 2000;
    await settle({ id: 'a.1', handler: 'log', host: 'other', pool: 'two' });
    now = 3000;
    await settle({ id: 'b', receiver: 'zoë@localhost' }, { kind: 'dead', reason: 'refused', detail: '' }, 410);
    expect(await found({ ids: ['a', 'b', 'c'] })).toEqual(['a', 'b']);
    expect(await found({ descendantsOf: makeDelivery({ id: 'a' }).id })).toEqual(['a.1']);
    expect(await found({ jid: 'ca"rol@localhost' })).toEqual(['a']);
    expect(await found({ jid: 'zoë@localhost' })).toEqual(['b']);
    expect(await found({ stanzaId: 'm"1\\' })).toEqual(['a']);
    expect(await found({ handler: 'log', pool: 'two', host: 'other' })).toEqual(['a.1']);
    expect(await found({ status: 410 })).toEqual(['b']);
    expect(await found({}, ['dead'])).toEqual(['b']);
    expect(await found({ since: 2000 })).toEqual(['a.1', 'b']);
    expect(await found({ since: 2000, before: 3000 })).toEqual(['a.1']);
    expect(await found({ before: 1500 })).toEqual(['a']);
    expect(await found({ since: 3001 })).toEqual([]);
  });

  test('gives each record once, page by page, in both directions', async () => {
    const { settle } = await start();
    const names = Array.from({ length: 120 }, (_, index) => `d${index}`);
    for (const id of names.slice(0, 20)) await settle({ id });
    await Promise.all(names.slice(20).map((id) => settle({ id })));
    const written = await found();
    expect(written.toSorted()).toEqual(names.toSorted());
    for (const backward of [false, true]) {
      const seen: string[] = [];
      let after: EventPosition | undefined;
      do {
        const page = await history.find({ ...query, filter: { jid: 'bob@localhost' }, limit: 7, backward, after });
        seen.push(...page.records.map(({ record }) => record.id));
        after = page.more;
      } while (after !== undefined);
      expect(seen).toEqual(backward ? written.toReversed() : written);
    }
  });

  test('ends a search after its time, and continues there', async () => {
    const { settle } = await start();
    for (const id of ['a', 'b']) await settle({ id, body: 'x'.repeat(4_500_000) });
    const seen: string[] = [];
    let after: EventPosition | undefined;
    do {
      const page = await history.find({ ...query, filter: {}, after, withinMs: 0 });
      seen.push(...page.records.map(({ record }) => record.id));
      after = page.more;
    } while (after !== undefined);
    expect(seen).toEqual(['a', 'b']);
  });

  test('keeps within its size, and deletes the oldest first', async () => {
    const { settle } = await start({ maxBytes: 160_000 });
    for (let index = 0; index < 60; index += 1) await settle({ id: `d${index}`, body: 'x'.repeat(10_000) });
    await eventually(async () => expect((await found({ ids: ['d0', 'd59'] })).join()).toBe('d59'));
    await eventually(async () => {
      const kept = await found();
      expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => `d${60 - kept.length + index}`));
      expect(kept.length).toBeLessThanOrEqual(16);
      expect(kept.length).toBeGreaterThan(10);
    });
    await eventually(() => expect(history.span().bytes).toBeLessThanOrEqual(161_000));
  });

  test('deletes what is older than its age', async () => {
    let now = systemClock.now();
    const { settle } = await start({ now: () => now, maxAgeMs: 60_000 });
    await settle({ id: 'old' });
    now += 120_000;
    await settle({ id: 'new' });
    await eventually(async () => expect(await found()).toEqual(['new']));
  });

  test('loses the records of a user who is erased, and no others', async () => {
    const { settle } = await start();
    const jid = 'victim@localhost';
    await Promise.all(
      ['mine', 'yours', 'hers'].map((id) => settle({ id, sender: id === 'mine' ? jid : 'alice@localhost', body: `"${jid}"` })),
    );
    await settle({ id: 'received', receiver: jid });
    const erasure = { jid, after: 0, withinMs: 60_000 };
    expect(await history.erase({ ...erasure, dryRun: true })).toEqual({ count: 2, more: undefined });
    expect(await found()).toHaveLength(4);
    expect(await history.erase({ ...erasure, dryRun: false })).toEqual({ count: 2, more: undefined });
    expect((await found()).toSorted()).toEqual(['hers', 'yours']);
    expect(await history.erase({ ...erasure, dryRun: false })).toEqual({ count: 0, more: undefined });
    await settle({ id: 'after' });
    expect((await found()).at(-1)).toBe('after');
  });
}
