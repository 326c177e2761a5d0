/** The history of settled events: written by the spool's thread with each batch, searched in its files. */
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { PacketFacts } from '../../src/model/packet.ts';
import type { EventFilter } from '../../src/spool/event-store.ts';
import { History } from '../../src/spool/history/history.ts';
import { droppedLine, lineOf, type RecordedState, readLine } from '../../src/spool/history/record.ts';
import { searchHistory } from '../../src/spool/history/search.ts';
import { historyFolder, listSegments } from '../../src/spool/history/segments.ts';
import { runTask } from '../../src/spool/history/task.ts';
import { HistoryWriter } from '../../src/spool/history/writer.ts';
import { keepsAHistory } from '../conformance/history.ts';
import { answered, makeDelivery, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

const facts = (messageId: string) => JSON.stringify(['message', messageId, null]) as PacketFacts;
const finalStates: readonly RecordedState[] = ['delivered', 'dropped', 'withheld'];
const claimed = (made: Parameters<typeof makeDelivery>[0]) => ({
  ...makeDelivery(made),
  seq: 1,
  attempts: 0,
  failingSince: undefined,
  context: {},
});
const line = (id: string, at: number, made: Parameters<typeof makeDelivery>[0] = {}) =>
  lineOf(claimed({ id, ...made }), makeSettlement(1, { kind: 'delivered' }, { attempt: answered(1, 200, at) }), {
    now: at,
    bodies: false,
    withheld: undefined,
  });

const droppedEvent = { ...makeDelivery({ id: 'gone' }), state: 'dropped', kind: 'message', messageId: null, stanzaId: null } as const;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'history-'));
});
afterEach(() => rm(folder, { recursive: true }));

const open = (changes: Partial<ConstructorParameters<typeof HistoryWriter>[0]> = {}) =>
  new HistoryWriter({ folder, maxAgeMs: 3_600_000, maxBytes: 1_000_000, minFreeBytes: 0, ...changes });

function search(filter: EventFilter = {}, changes: Partial<Parameters<typeof searchHistory>[0]> = {}) {
  return searchHistory(
    { folder, filter, states: finalStates, limit: 9999, backward: false, after: undefined, withinMs: 60_000, ...changes },
    systemClock,
  );
}
const found = (...args: Parameters<typeof search>) => search(...args).records.map(({ record }) => record.id);

describe('a search', () => {
  test('finds by each key, however the text is written', () => {
    const writer = open();
    writer.write(line('a', 1000, { sender: 'ca"rol@localhost', facts: facts('m"1\\') }), 1000);
    writer.write(line('a.1', 2000, { handler: 'log', host: 'other', pool: 'two' }) + line('b', 3000, { receiver: 'zoë@localhost' }), 3000);
    expect(found()).toEqual(['a', 'a.1', 'b']);
    expect(found({ ids: ['a'] })).toEqual(['a']);
    expect(found({ ids: ['a', 'b', 'c'] })).toEqual(['a', 'b']);
    expect(found({ descendantsOf: makeDelivery({ id: 'a' }).id })).toEqual(['a.1']);
    expect(found({ jid: 'ca"rol@localhost' })).toEqual(['a']);
    expect(found({ jid: 'zoë@localhost' })).toEqual(['b']);
    expect(found({ stanzaId: 'm"1\\' })).toEqual(['a']);
    expect(found({ handler: 'log', pool: 'two', host: 'other' })).toEqual(['a.1']);
    expect(found({ status: 200, since: 2000, before: 3000 })).toEqual(['a.1']);
    expect(found({ jid: 'a@b' })).toEqual([]);
    expect(found({ handler: 'log' })).toEqual(['a.1']);
    expect(found({ pool: 'two' })).toEqual(['a.1']);
    expect(found({ status: 200 })).toEqual(['a', 'a.1', 'b']);
    expect(found({ status: 500 })).toEqual([]);
    expect(found({}, { states: ['withheld'] })).toEqual([]);
    writer.write(droppedLine({ ...droppedEvent, handler: 'delivered' }, 4000), 4000);
    expect(found({ handler: 'delivered' }, { states: ['dropped'] })).toEqual(['gone']);
    expect(found({}, { states: ['delivered'] })).toEqual(['a', 'a.1', 'b']);
  });

  test.each([false, true])('gives each record of several files once, page by page (backward: %s)', (backward) => {
    const writer = open({ maxBytes: 160_000 });
    const names = Array.from({ length: 300 }, (_, index) => `d${index}`);
    for (const [index, id] of names.entries()) writer.write(line(id, index), index);
    expect(listSegments(folder).length).toBeGreaterThan(3);
    const seen: string[] = [];
    let after: Parameters<typeof searchHistory>[0]['after'];
    do {
      const page = search({ jid: 'bob@localhost' }, { limit: 7, backward, after });
      seen.push(...page.records.map(({ record }) => record.id));
      after = page.more;
    } while (after !== undefined);
    expect(seen).toEqual(backward ? names.toReversed() : names);
  });

  test('ends after its time between two files, and continues there', () => {
    const writer = open({ maxBytes: 16_000 });
    for (let index = 0; index < 30; index += 1) writer.write(line(`d${index}`, index), index);
    const first = search({ ids: ['d29'] }, { withinMs: 0 });
    expect(first.records).toEqual([]);
    expect(search({ ids: ['d29'] }, { after: first.more }).records).toHaveLength(1);
  });

  test('skips lines that are incomplete or are none', async () => {
    open().write(line('a', 1000), 1000);
    const [segment] = listSegments(folder);
    await appendFile(segment?.path ?? '', `null\n[]\n${line('b', 2).slice(0, 40)}\n${line('c', 3)}${line('d', 4).slice(0, -1)}`);
    expect(found()).toEqual(['a', 'c']);
    expect(found({ jid: 'bob@localhost' })).toEqual(['a', 'c']);
  });

  test('finds nothing without a history', () => {
    expect(search({}, { folder: join(folder, 'none') })).toEqual({ records: [], more: undefined });
  });
});

describe('a writer', () => {
  test('keeps within its size and age, and deletes the oldest first', () => {
    const writer = open({ maxBytes: 160_000 });
    for (let index = 0; index < 2000; index += 1) writer.write(line(`d${index}`, index), index);
    const bytes = listSegments(folder).reduce((sum, segment) => sum + segment.bytes, 0);
    expect(bytes).toBeLessThanOrEqual(161_000);
    expect(bytes).toBeGreaterThan(120_000);
    expect(found({ ids: ['d0'] })).toEqual([]);
    expect(found({ ids: ['d1999'] })).toEqual(['d1999']);
    writer.write(line('late', 9_000_000), 9_000_000);
    writer.maintain(9_000_001);
    expect(found()).toEqual(['late']);
  });

  test('leaves other files alone, and never appends to a file of an earlier process', async () => {
    await writeFile(join(folder, 'notes.txt'), 'kept');
    const first = open();
    first.write(line('a', 1000).slice(0, 30), 1000);
    first.close();
    open().write(line('b', 1000), 1000);
    expect(found()).toEqual(['b']);
    expect(await readdir(folder)).toContain('notes.txt');
    expect((await stat(listSegments(folder)[0]?.path ?? '')).mode & 0o777).toBe(0o600);
  });

  test('deletes the history, but not its newest file, while the disk is short', () => {
    const writer = open({ maxBytes: 160_000, minFreeBytes: Number.MAX_SAFE_INTEGER });
    for (let index = 0; index < 200; index += 1) writer.write(line(`d${index}`, index), index);
    writer.maintain(200);
    expect(listSegments(folder)).toHaveLength(1);
  });
});

test('begins again in a folder that was removed, and loses no more than the records until its next maintenance', async () => {
  const place = join(folder, 'spool-history');
  const writer = open({ folder: place, minFreeBytes: 1 });
  writer.write(line('lost', 1000), 1000);
  await rm(place, { recursive: true });
  writer.write(line('lost too', 2000), 2000);
  writer.maintain(3000);
  writer.write(line('kept', 4000), 4000);
  expect(found({}, { folder: place })).toEqual(['kept']);

  await rm(place, { recursive: true });
  await writeFile(place, 'not a folder');
  writer.maintain(5000);
  writer.write(line('no place', 6000), 6000);
  writer.maintain(7000);
});

test('a record has no body or text of a response, unless bodies are recorded', () => {
  const settlement = makeSettlement(1, { kind: 'dead', reason: 'refused', detail: 'quoted' }, { attempt: answered(1, 400) });
  const delivery = claimed({ id: 'a', body: 'secret' });
  const without = lineOf(delivery, settlement, { now: 1, bodies: false, withheld: undefined });
  expect(without).not.toMatch(/secret|quoted|"so"/);
  expect(readLine(without)).toMatchObject({
    state: 'dead',
    reason: 'refused',
    attempt: { number: 1, status: 400, durationMs: 3 },
    body: null,
  });
  expect(readLine(lineOf(delivery, settlement, { now: 1, bodies: true, withheld: undefined }))).toMatchObject({ body: 'secret' });
});

describe('of a spool in a file', () => {
  let rig: SqliteRig;
  beforeEach(async () => {
    rig = await createSqliteRig();
  });
  afterEach(() => rig[Symbol.asyncDispose]());

  keepsAHistory(async () => ({
    start: ({ now = systemClock.now, maxAgeMs = 3_600_000, maxBytes = 100_000_000 }, { take }) => {
      const settings = { folder: historyFolder(rig.path), maxAgeMs, maxBytes, minFreeBytes: 0 };
      return rig.started({ clock: { ...systemClock, now }, journal: { settings, take } });
    },
    history: () => new History({ path: rig.path }, { clock: systemClock, run: (task) => runTask(task, systemClock) }),
  }));
});
