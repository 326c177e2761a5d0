/** Erasing what is stored about a user. */
import { once } from 'node:events';
import { appendFile, chown, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { eraseRecords } from '../../src/spool/history/erase.ts';
import { lineOf } from '../../src/spool/history/record.ts';
import { HistoryRecorder } from '../../src/spool/history/recorder.ts';
import { searchHistory } from '../../src/spool/history/search.ts';
import { historyFolder, listSegments } from '../../src/spool/history/segments.ts';
import { checkFile } from '../../src/spool/inspect.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { erasesAUser, jid, openErasure } from '../conformance/erasure.ts';
import { createSpoolCalls, retryAt } from '../conformance/spool-calls.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo } from '../support/spool-promises.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';
import { startAppending } from './start-appending.ts';

describe('the rows of the spool', () => {
  erasesAUser(async () => createMemorySpool({ clock: systemClock, events: createEventBus() }));
});

describe('the files', () => {
  let rig: SqliteRig;
  beforeEach(async () => {
    rig = await createSqliteRig();
  });
  afterEach(() => rig[Symbol.asyncDispose]());

  /** The names of the files that contain one of these texts. */
  async function filesWith(...texts: readonly string[]): Promise<readonly string[]> {
    const folder = join(rig.path, '..');
    const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const found: string[] = [];
    for (const { parentPath, name } of names) {
      const bytes = await readFile(join(parentPath, name));
      if (texts.some((text) => bytes.includes(text))) found.push(name);
    }
    return found;
  }

  const marker = 'TEXT-OF-THE-VICTIM';
  const mine = (index: number, rest: Partial<NewDelivery> = {}) =>
    makeDelivery({
      ...{ id: `mine-${index}`, sender: jid, receiver: `peer${index % 7}@localhost`, lane: `push peer${index % 7}@localhost ${jid}` },
      ...{ body: `${marker}${'x'.repeat((index * 37) % 6000)}`, ...rest },
    });
  const others = (index: number) =>
    makeDelivery({ id: `other-${index}`, lane: `push lane-${index % 11}`, body: 'y'.repeat((index * 53) % 900) });

  async function startWithHistory() {
    const recorder = new HistoryRecorder({ clock: systemClock, events: createEventBus(), bodies: true });
    const settings = { folder: historyFolder(rig.path), maxAgeMs: 3_600_000, maxBytes: 1_000_000, minFreeBytes: 0 };
    const spool = recorder.recording(await rig.started({ journal: { settings, take: () => recorder.take() } }));
    const { settle } = createSpoolCalls(() => spool);
    const deliver = async (delivery: NewDelivery) => {
      const [claimed] = await appendTo(spool, makeEntry([delivery], { take: true }));
      if (claimed === undefined) throw new Error('not claimed');
      await settle(claimed.seq, { kind: 'delivered' }, { delivery: claimed, attempt: answered(1, 200) });
    };
    return { spool, deliver, settle };
  }

  test('contain neither the user nor a text afterwards, while the service runs', async () => {
    const { spool, deliver, settle } = await startWithHistory();
    const { bury, fail } = createSpoolCalls(() => spool);
    for (let index = 0; index < 600; index += 1) await appendTo(spool, makeEntry(index % 3 === 0 ? [mine(index)] : [others(index)]));
    const quoting = { kind: 'answered', status: 503, durationMs: 3, retryAfter: undefined, excerpt: marker, truncated: false } as const;
    await fail(mine(9001, { lane: null }), [{ number: 1, at: acceptedAt, outcome: quoting }]);
    await bury(mine(9002, { lane: null }), makeDelivery({ id: 'kept' }));
    await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket({ receiver: jid, packet: marker, detail: marker })] }));
    for (let index = 0; index < 50; index += 1)
      await deliver(index % 2 === 0 ? mine(10_000 + index, { lane: null }) : makeDelivery({ id: `d${index}` }));
    const seq = await createSpoolCalls(() => spool).takeOne(mine(20_000, { lane: null }));
    await settle(seq, retryAt(acceptedAt + 1), { attempt: answered(1, 500) });
    expect((await filesWith(jid, marker)).length).toBeGreaterThan(1);

    const { run } = openErasure({ spool, path: rig.path, rewriteBytes: 1024 ** 3 });
    expect(await run({ dryRun: true })).toMatchObject({ waiting: 202, deadLetters: 2, records: 25 });
    expect(await run()).toMatchObject({ waiting: 202, deadLetters: 2, records: 25, held: 0, file: 'rewritten' });
    expect(await filesWith(jid, marker)).toEqual([]);
    await deliver(makeDelivery({ id: 'next' }));
    await spool.stop();
    expect(await filesWith(jid, marker)).toEqual([]);
    expect(checkFile(rig.path)).toEqual([]);
    const left = await rig.started();
    expect(left.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 400, dead: 1 }]);
  });

  test('are not rewritten if they are too large, and the report says so', async () => {
    const spool = await rig.started();
    await appendTo(spool, makeEntry([mine(1), others(2)]));
    expect(await openErasure({ spool, path: rig.path, rewriteBytes: 1000 }).run()).toMatchObject({ waiting: 1, file: 'too-large' });
    expect(await filesWith(jid, marker)).toEqual([]);
  });

  test('keep erased text in the log while another process reads them, and the report says so', async () => {
    const spool = await rig.started();
    await appendTo(spool, makeEntry([mine(1)]));
    const reader = new Database(rig.path, { readonly: true });
    onTestFinished(() => void reader.close());
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM deliveries').get();
    const { run } = openErasure({ spool, path: rig.path });
    expect(await run()).toMatchObject({ waiting: 1, file: 'in-use' });
    reader.exec('COMMIT');
    expect(await run()).toMatchObject({ waiting: 0, file: 'rewritten' });
    expect(await filesWith(jid, marker)).toEqual([]);
  });

  test.runIf(process.getuid?.() === 0)('that root creates belong to the owner of their folder', async () => {
    const folder = dirname(rig.path);
    await mkdir(folder);
    await chown(folder, 65_534, 65_534);
    await rig.started();
    for (const name of await readdir(folder)) expect(await stat(join(folder, name))).toMatchObject({ uid: 65_534, gid: 65_534 });
    expect(await readdir(folder)).toContain('spool.sqlite.lock');
  });

  test('of the history keep the records of others, and lose lines that a kill has cut', async () => {
    const { spool, deliver } = await startWithHistory();
    await deliver(mine(1, { lane: null }));
    await deliver(makeDelivery({ id: 'kept', body: `"${jid}"` }));
    const [segment] = listSegments(historyFolder(rig.path));
    const claimed = { ...mine(2), seq: 1, attempts: 0, failingSince: undefined, context: {} };
    const record = lineOf(claimed, makeSettlement(1, { kind: 'delivered' }), { now: 1, bodies: true, withheld: undefined });
    await appendFile(segment?.path ?? '', `${record.slice(0, -20)}\n${record.slice(0, -10)}`);
    expect(await openErasure({ spool, path: rig.path }).run()).toMatchObject({ records: 3 });
    expect(await filesWith(marker)).toEqual([]);
    const folder = historyFolder(rig.path);
    const all = { folder, filter: {}, states: ['delivered'] as const, limit: 9, backward: false, after: undefined, withinMs: 60_000 };
    expect(searchHistory(all, systemClock).records.map(({ record: { id } }) => id)).toEqual(['kept']);
    const left = eraseRecords({ folder, jid, dryRun: true, after: 0, withinMs: 0 }, systemClock);
    expect(left).toEqual({ count: 0, more: undefined });
  });

  test('an erasure that was killed leaves a consistent spool, and can be repeated', async () => {
    const { child, lines } = startAppending(rig.path, 'erase', jid);
    await eventually(() => lines().filter((line) => line === 'erased').length > 5);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(checkFile(rig.path)).toEqual([]);
    const spool = await rig.started();
    expect((await openErasure({ spool, path: rig.path, rewriteBytes: 1024 ** 3 }).run()).waiting).toBeGreaterThan(0);
    await spool.stop();
    expect(await filesWith(jid)).toEqual([]);
    expect(checkFile(rig.path)).toEqual([]);
  });
});
