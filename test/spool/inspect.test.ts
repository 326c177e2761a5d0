import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { historyFolder, listSegments } from '../../src/spool/history/segments.ts';
import { HistoryWriter } from '../../src/spool/history/writer.ts';
import { backUp, checkFile, readInfo } from '../../src/spool/inspect.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { migrate, migrations } from '../../src/spool/sqlite/schema.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

let rig: SqliteRig;
beforeEach(async () => {
  rig = await createSqliteRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const everything = { handlers: ['push', 'log'], limit: 9999, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt + 99 };
const mark = { attachment: 'chat', host: 'localhost', node: 'n', epoch: 'e', h: 3 };

/** A claimed head with two behind it, a retry, a ready one of another queue, a dead letter with a history, and one without. */
async function fill(spool: Spool): Promise<void> {
  await appendTo(spool, makeEntry([makeDelivery({ id: 'head', lane: 'lane', createdAt: acceptedAt + 2 })], { take: true, mark }));
  await appendTo(spool, makeEntry(['b', 'c'].map((id) => makeDelivery({ id, lane: 'lane', createdAt: acceptedAt + 3 }))));
  await appendTo(spool, makeEntry([makeDelivery({ id: 'log', handler: 'log', pool: 'other', createdAt: acceptedAt + 7 })]));
  const [retry, dead] = await appendTo(
    spool,
    makeEntry(
      ['retry', 'dead'].map((id) => makeDelivery({ id })),
      { take: true },
    ),
  );
  const disposition = { kind: 'retry', notBefore: acceptedAt + 50, leaveLane: false, context: { kept: 'yes' } } as const;
  await settleIn(spool, makeSettlement(retry?.seq ?? 0, disposition, { attempt: answered(1, 503) }));
  await settleIn(spool, makeSettlement(dead?.seq ?? 0, { kind: 'dead', reason: 'refused', detail: '' }, { attempt: answered(1, 400) }));
  await appendTo(spool, makeEntry([], { deadLetters: [makeFailedPacket()] }));
  await spool.setPaused('other', true);
}

/** Two segments, the second of which is still being written; returns their text. */
function writeHistory(): string {
  const writer = new HistoryWriter({ folder: historyFolder(rig.path), maxAgeMs: 1e9, maxBytes: 64, minFreeBytes: 0 });
  writer.write('one', acceptedAt);
  writer.write('two', acceptedAt + 1);
  return 'onetwo';
}

/** Changes the file of a stopped spool. */
function spoil(...changes: readonly string[]): void {
  const db = new Database(rig.path);
  for (const sql of changes) db.exec(sql);
  db.close();
}

/** Ids of the pending deliveries of a spool on this file, by pool. */
async function pendingIn(path: string): Promise<string[]> {
  const spool = await rig.started({}, { path });
  const ids: string[] = [];
  for (const pool of ['pool', 'other']) {
    let { claimed } = await claimFrom(spool, pool, everything);
    while (claimed.length > 0) {
      ids.push(...claimed.map(({ id }) => id));
      await Promise.all(claimed.map(({ seq }) => settleIn(spool, makeSettlement(seq, { kind: 'delivered' }))));
      ({ claimed } = await claimFrom(spool, pool, everything));
    }
  }
  await spool.stop();
  return ids;
}

describe('reading the file from another process', () => {
  const told = {
    queues: [
      { pool: 'other', handler: 'log', waiting: 1, dead: 0 },
      { pool: 'pool', handler: 'push', waiting: 4, dead: 2 },
    ],
    oldest: new Map([
      ['pool', acceptedAt],
      ['other', acceptedAt + 7],
    ]),
    marks: [mark],
    paused: ['other'],
    ...{ version: migrations.length, isOld: false },
  };

  test('shows the contents of a running spool and the process that holds it', async () => {
    await fill(await rig.started());
    expect(readInfo(rig.path)).toEqual({ ...told, path: rig.path, bytes: expect.any(Number), holder: process.pid });
  });

  test('shows the same contents of a stopped spool, without a holder', async () => {
    const spool = await rig.started();
    await fill(spool);
    await spool.stop();
    const info = readInfo(rig.path);
    expect(info).toMatchObject({ ...told, holder: null });
    expect(info?.bytes).toBeGreaterThan(4096);
  });

  test('disturbs neither a running service nor its start', async () => {
    const spool = await rig.started();
    readInfo(rig.path);
    await appendTo(spool, makeEntry([makeDelivery()]));
    await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_LOCKED' });
    await spool.stop();
    readInfo(rig.path);
    checkFile(rig.path);
    await rig.started();
  });

  test('returns undefined if there is no file, and creates none', () => {
    const target = join(rig.folder, 'copy');
    expect([readInfo(rig.path), checkFile(rig.path), backUp(rig.path, target)]).toEqual([undefined, undefined, undefined]);
    expect(readdirSync(rig.folder)).toEqual([]);
  });

  test('reports an old schema', async () => {
    await (await rig.started()).stop();
    const old = join(dirname(rig.path), 'old.sqlite');
    const db = new Database(old);
    migrate(db, migrations.slice(0, 1));
    db.close();
    expect(readInfo(old)).toMatchObject({ version: 1, isOld: true, queues: [], holder: null });
    expect(checkFile(old)).toEqual([]);
  });

  test('refuses a file that is not a spool', () => {
    const path = join(rig.folder, 'other.sqlite');
    const db = new Database(path);
    db.exec('CREATE TABLE people (name)');
    db.close();
    expect(() => readInfo(path)).toThrow(/no spool|not a spool/);
  });
});

describe('a backup', () => {
  test('taken under load contains every delivery acknowledged before, none twice, under the same ids', async () => {
    const spool = await rig.started();
    const target = join(rig.folder, 'copy.sqlite');
    const acknowledged: string[] = [];
    const made: string[] = [];
    const append = async (index: number) => {
      const { id } = makeDelivery({ id: `d${index}` });
      made.push(id);
      await appendTo(
        spool,
        makeEntry([makeDelivery({ id, lane: index % 3 === 0 ? `lane-${index % 7}` : null })], { take: index % 2 === 0 }),
      );
      acknowledged.push(id);
    };
    const load = Array.from({ length: 3000 }, (_, index) => append(index));
    await Promise.all(load.slice(0, 1000));
    const before = [...acknowledged];
    expect(backUp(rig.path, target)).toEqual({ bytes: statSync(target).size, historyBytes: undefined });
    await Promise.all(load);
    await spool.stop();

    const owed = await pendingIn(target);
    expect(before.filter((id) => !owed.includes(id))).toEqual([]);
    expect(owed.filter((id) => !made.includes(id))).toEqual([]);
    expect(new Set(owed).size).toBe(owed.length);
    expect((await pendingIn(rig.path)).toSorted()).toEqual(made.toSorted());
  });

  test('contains everything in the spool, and passes the check', async () => {
    const spool = await rig.started();
    await fill(spool);
    const target = join(rig.folder, 'copy.sqlite');
    backUp(rig.path, target);
    const { path, bytes, holder, ...content } = readInfo(rig.path) ?? {};
    expect(readInfo(target)).toMatchObject({ ...content, path: target, holder: null });
    expect(checkFile(target)).toEqual([]);
    await spool.stop();
    expect(await pendingIn(target)).toEqual(await pendingIn(rig.path));
  });

  test('gives access to the owner alone', async () => {
    await rig.started();
    const target = join(rig.folder, 'copy.sqlite');
    backUp(rig.path, target);
    expect(statSync(target).mode & 0o777).toBe(0o600);
  });

  test('never overwrites a file', async () => {
    await rig.started();
    const target = join(rig.folder, 'precious');
    writeFileSync(target, 'as it was');
    expect(() => backUp(rig.path, target)).toThrow(/precious.*never overwrites/);
    expect(readFileSync(target, 'utf8')).toBe('as it was');
    expect(() => backUp(rig.path, join(rig.folder, 'no-such-folder', 'copy'))).toThrow(/no-such-folder/);
  });

  test('contains the history, for its owner alone', async () => {
    await rig.started();
    const lines = writeHistory();
    const target = join(rig.folder, 'copy.sqlite');
    expect(backUp(rig.path, target)).toMatchObject({ historyBytes: lines.length });
    const copies = listSegments(historyFolder(target));
    expect(copies.map(({ path }) => readFileSync(path, 'utf8')).join('')).toBe(lines);
    for (const { path } of copies) expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(historyFolder(target)).mode & 0o777).toBe(0o700);
  });

  test('is not made if the place of its history is taken', async () => {
    await rig.started();
    writeHistory();
    const target = join(rig.folder, 'copy.sqlite');
    mkdirSync(historyFolder(target));
    writeFileSync(join(historyFolder(target), 'precious'), 'as it was');
    expect(() => backUp(rig.path, target)).toThrow(/copy\.sqlite-history/);
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(historyFolder(target))).toEqual(['precious']);
  });

  test('removes a partial copy after a failure', async () => {
    const spool = await rig.started();
    await fill(spool);
    await spool.stop();
    const bytes = readFileSync(rig.path);
    bytes.fill(0xff, 4096, bytes.length); // all pages but the first
    writeFileSync(rig.path, bytes);
    const target = join(rig.folder, 'copy.sqlite');
    expect(() => backUp(rig.path, target)).toThrow(expect.objectContaining({ code: 'SPOOL_BACKUP_FAILED' }));
    expect(existsSync(target)).toBe(false);
  });
});

describe('a check', () => {
  test('finds nothing wrong with a spool in use', async () => {
    const spool = await rig.started();
    await fill(spool);
    expect(checkFile(rig.path)).toEqual([]);
    await spool.stop();
    expect(checkFile(rig.path)).toEqual([]);
  });

  test.each([
    ['counters', `UPDATE depths SET waiting = 9 WHERE pool = 'pool'`, /pool \/ push holds 4 deliveries.*counters are 9 and 2/],
    ['a lane without a head', `UPDATE deliveries SET state = 0 WHERE id = 'head'`, /out of order/],
    ['a lane with two heads', `UPDATE deliveries SET state = 1 WHERE id = 'c'`, /out of order/],
    ['a head behind others', `UPDATE deliveries SET state = iif(id = 'b', 1, 0) WHERE lane = 'lane'`, /out of order/],
    [
      'a claimed delivery behind a waiting one',
      `UPDATE deliveries SET state = iif(id = 'c', 2, state) WHERE lane = 'lane'`,
      /out of order/,
    ],
    ['a waiting delivery without a lane', `UPDATE deliveries SET state = 0 WHERE id = 'log'`, /1 deliveries are neither/],
    ['a target', `UPDATE deliveries SET target = '{' WHERE id = 'log'`, /1 deliveries have a target/],
    ['a missing attempt record', `DELETE FROM attempts WHERE seq = (SELECT seq FROM deliveries WHERE id = 'retry')`, /number of attempts/],
    [
      'an attempt record without a delivery',
      `INSERT INTO attempts (seq, number, at, outcome) VALUES (999, 1, 1, '{}')`,
      /belong to no delivery/,
    ],
  ])('finds a defect with a remedy: %s', async (_, change, what) => {
    const spool = await rig.started();
    await fill(spool);
    await spool.stop();
    spoil(change);
    expect(checkFile(rig.path)).toEqual([{ what: expect.stringMatching(what), remedy: expect.stringContaining('spool backup') }]);
  });

  test.each([
    ['in the middle', 32_768, 36_864],
    ['all but its first page', 4096, Number.POSITIVE_INFINITY],
    ['from the first byte on', 0, 512],
  ])('finds a damaged file: %s', async (_, from, to) => {
    const spool = await rig.started();
    await appendTo(spool, makeEntry(Array.from({ length: 200 }, (_, index) => makeDelivery({ id: `d${index}` }))));
    await spool.stop();
    const bytes = readFileSync(rig.path);
    bytes.fill(0xff, from, Math.min(to, bytes.length));
    writeFileSync(rig.path, bytes);
    const found = checkFile(rig.path) ?? [];
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]).toMatchObject({ what: expect.stringContaining('damaged'), remedy: expect.stringContaining('backup') });
  });
});
