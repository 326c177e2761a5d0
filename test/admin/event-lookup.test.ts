/** One event with what the history has of it and of its parent. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { EventLookup } from '../../src/admin/event-lookup.ts';
import { timelineOf } from '../../src/admin/event-timeline.ts';
import { systemClock } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { EventStore } from '../../src/spool/event-store.ts';
import { History } from '../../src/spool/history/history.ts';
import { lineOf } from '../../src/spool/history/record.ts';
import { historyFolder } from '../../src/spool/history/segments.ts';
import { runTask } from '../../src/spool/history/task.ts';
import { HistoryWriter } from '../../src/spool/history/writer.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { acceptedAt, answered, idOf, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from '../spool/build.ts';
import { appendTo } from '../support/spool-promises.ts';

async function startLookup() {
  const folder = await mkdtemp(join(tmpdir(), 'lookup-'));
  const spool = createMemorySpool({ clock: systemClock, events: createEventBus() });
  await spool.start();
  onTestFinished(async () => {
    await spool.stop();
    await rm(folder, { recursive: true });
  });
  const path = join(folder, 'spool.sqlite');
  const writer = new HistoryWriter({ folder: historyFolder(path), maxAgeMs: 3_600_000, maxBytes: 100_000_000, minFreeBytes: 0 });
  const history = new History(
    { path },
    {
      clock: systemClock,
      run: async (task) => runTask(task, systemClock),
    },
  );
  const lookup = new EventLookup({ spool, store: new EventStore(spool), withheld: { list: () => [] }, clock: systemClock, history });
  const record = (id: string, spawn: readonly NewDelivery[] = []) => {
    const claimed = { ...makeDelivery({ id }), seq: 1, attempts: 0, failingSince: undefined, context: {} };
    const settlement = makeSettlement(1, { kind: 'delivered' }, { attempt: answered(1, 200, acceptedAt + 7), spawn });
    return lineOf(claimed, settlement, { now: acceptedAt + 9, bodies: false, withheld: undefined });
  };
  return { spool, lookup, record, write: (text: string) => writer.write(text, acceptedAt) };
}

test('a timeline has the attempt whose response created the event, and the answer of the business server', async () => {
  const { spool, lookup, record, write } = await startLookup();
  const answer = { kind: 'failed', reason: 'timed-out' } as const;
  const target = { ...makeDelivery().target, answered: answer };
  const child = makeDelivery({ id: 'a.1', target, createdAt: acceptedAt + 8 });
  write(record('a', [child]));
  await appendTo(spool, makeEntry([child]));
  const shown = await lookup.show(idOf('a.1'));
  expect(timelineOf(shown).map(({ what, at, result, status, detail }) => [what, at - acceptedAt, result, status, detail])).toEqual([
    ['seen', -5, '', null, ''],
    ['created', 7, 'answered', 200, ''],
    ['asked', 8, 'failed', null, 'timed-out'],
    ['accepted', 8, 'request-made', null, ''],
  ]);
  expect(shown.isIncomplete).toBe(false);
  expect((await lookup.show(idOf('a'))).descendants).toEqual([{ id: 'a.1', state: 'waiting' }]);
});

test('a timeline says whether a request was made, also if it is no longer stored', async () => {
  const { spool, lookup, record, write } = await startLookup();
  write(record('delivered'));
  await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ id: 'failed' })] }));
  const accepted = async (id: string) => timelineOf(await lookup.show(idOf(id))).find(({ what }) => what === 'accepted')?.result;
  expect(await accepted('delivered')).toBe('request-made');
  expect(await accepted('failed')).toBe('no-request');
});

test('an event whose search ended at its limit is incomplete', async () => {
  const { lookup, record, write } = await startLookup();
  write(record('a') + Array.from({ length: 1001 }, (_, index) => record(`a.${index}`)).join(''));
  const shown = await lookup.show(idOf('a'));
  expect(shown.isIncomplete).toBe(true);
  expect(shown.descendants).toHaveLength(1000);
});
