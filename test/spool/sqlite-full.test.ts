import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { Claimed, NewDelivery } from '../../src/model/delivery.ts';
import type { ErasureRequest } from '../../src/spool/erasure-requests.ts';
import { checkFile } from '../../src/spool/inspect.ts';
import { createRetention } from '../../src/spool/retention.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { openOperatorCommands } from '../../src/spool/sqlite/operator-commands.ts';
import { type Command, rowOf } from '../../src/spool/sqlite/protocol.ts';
import { openStore } from '../../src/spool/sqlite/store.ts';
import type { EventBus } from '../../src/telemetry/events.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { eventually } from '../support/eventually.ts';
import { canMountDisks, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, idOf, makeDelivery, makeEntry, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

const megabyte = 1024 * 1024;
const mounts = await canMountDisks();

let rig: SqliteRig;
let events: EventBus;
const disks: SmallDisk[] = [];
beforeEach(async () => {
  events = createEventBus();
  rig = await createSqliteRig();
});
afterEach(async () => {
  await rig[Symbol.asyncDispose](); // first, because a disk in use cannot be unmounted
  await Promise.all(disks.splice(0).map((disk) => disk[Symbol.asyncDispose]()));
});

async function mountDisk(sizeBytes: number): Promise<SmallDisk> {
  const disk = await mountSmallDisk(sizeBytes);
  disks.push(disk);
  return disk;
}

/** Appends deliveries of 10 kB and collects the claimed ones. */
function createFlood(spool: Spool) {
  const claimed: Claimed[] = [];
  const appending: Promise<unknown>[] = [];

  function pour(count: number): void {
    for (let done = 0; done < count; done += 1) {
      const delivery = makeDelivery({ id: `d${appending.length}`, body: 'x'.repeat(10_000) });
      appending.push(appendTo(spool, makeEntry([delivery], { take: true })).then((rows) => claimed.push(...rows)));
    }
  }
  const settleAll = async () => {
    const rows = claimed.splice(0);
    await Promise.all(rows.map(({ seq }) => settleIn(spool, makeSettlement(seq, { kind: 'delivered' }))));
    return rows.map(({ id }) => id);
  };
  return { claimed, pour, settleAll, appended: () => Promise.all(appending) };
}

test('closes intake at max_bytes, continues to settle, and opens intake when there is space', async () => {
  const spool = await rig.started({ events }, { maxBytes: 4 * megabyte });
  const flood = createFlood(spool);
  const closed = events.next('spool.writable');
  flood.pour(200);
  await eventually(() => flood.claimed.length === 200);
  flood.pour(1000);
  expect(await closed).toMatchObject({ writable: false, reason: expect.stringContaining('max_bytes') });
  expect(spool.stats()).toMatchObject({ writable: false, reason: expect.stringContaining('max_bytes') });

  const opened = events.next('spool.writable', ({ writable }) => writable);
  const ids: string[] = [];
  await eventually(async () => {
    ids.push(...(await flood.settleAll()));
    return ids.length === 1200;
  });
  await flood.appended();
  await opened;
  expect(ids).toEqual(Array.from({ length: 1200 }, (_, index) => `d${index}`)); // none lost, none twice, in order
});

test('closes intake when dead letters fill the spool, with that reason, deletes none of them, and opens intake when they are purged', async () => {
  const spool = await rig.started({ events }, { maxBytes: 4 * megabyte });
  const retention = createRetention({ spool, maxAgeMs: 1e9, maxLetters: undefined, clock: systemClock, events });
  await retention.start();
  onTestFinished(() => retention.stop());
  const dead = (count: number, name: string) =>
    Array.from({ length: count }, (_, index) => ({
      ...{ delivery: makeDelivery({ id: `${name}${index}`, body: 'x'.repeat(10_000) }), reason: 'overflow' as const, detail: 'full' },
    }));
  const closed = events.next('spool.writable');
  await appendTo(spool, makeEntry([], { refused: dead(450, 'a') }));
  const more = appendTo(spool, makeEntry([], { refused: dead(1, 'b') }));
  expect(await closed).toMatchObject({
    writable: false,
    reason: expect.stringMatching(/max_bytes is \d+; 450 dead letters occupy part of it; replay or purge them$/),
  });
  expect(spool.stats()).toMatchObject({ depths: [{ dead: 450 }], fullInMs: 0 });
  expect(await spool.deadLetter(idOf('a0'))).toMatchObject({ body: 'x'.repeat(10_000) });

  const opened = events.next('spool.writable');
  expect(await spool.purgeDead({})).toBe(450);
  await opened;
  await more;
  expect(spool.stats()).toMatchObject({ depths: [{ dead: 1 }], writable: true });
});

test.runIf(mounts)('closes intake when the disk has less than min_free left, and opens it again without a restart (tmpfs)', async () => {
  const disk = await mountDisk(64 * megabyte);
  const spool = await rig.started({ events }, { path: `${disk.folder}/spool.sqlite`, minFreeBytes: 32 * megabyte });
  const flood = createFlood(spool);
  flood.pour(1);
  await flood.appended();

  const closed = events.next('spool.writable');
  await disk.fill(24 * megabyte);
  expect(await closed).toMatchObject({ writable: false, reason: expect.stringContaining('min_free') });
  flood.pour(5);
  expect(await flood.settleAll()).toEqual(['d0']);
  expect((await claimFrom(spool, 'pool', { handlers: ['push'], limit: 9, bytes: megabyte, now: acceptedAt })).claimed).toEqual([]);

  const opened = events.next('spool.writable');
  await disk.free();
  expect(await opened).toEqual({ writable: true, reason: '' });
  await flood.appended();
  expect(flood.claimed.map(({ id }) => id)).toEqual(['d1', 'd2', 'd3', 'd4', 'd5']);
});

test.runIf(mounts)('is not rewritten after an erasure if the disk cannot hold the copy (tmpfs)', async () => {
  const disk = await mountDisk(40 * megabyte);
  const path = `${disk.folder}/spool.sqlite`;
  const spool = await rig.started({ events }, { path, minFreeBytes: 0 });
  const large = Array.from({ length: 12 }, (_, index) => makeDelivery({ id: `dead${index}`, body: 'x'.repeat(megabyte) }));
  await appendTo(spool, makeEntry([], { refused: large.map((delivery) => ({ delivery, reason: 'overflow', detail: '' })) }));
  const clean = async (rewriteBytes: number) => {
    const begin: ErasureRequest = { extension: 'erasure', kind: 'clean', rewriteBytes };
    const cleaned: ErasureRequest = { extension: 'erasure', kind: 'cleaned' };
    await spool.extend(begin);
    let state: unknown;
    await eventually(async () => {
      state = await spool.extend(cleaned);
      return state !== undefined;
    });
    return state;
  };
  expect(await clean(0)).toBe('too-large');
  await disk.fill(6 * megabyte);
  expect(await clean(Number.MAX_SAFE_INTEGER)).toBe('failed');
  expect(statSync(`${path}-wal`).size).toBe(0);
  await disk.free();
  expect(await clean(Number.MAX_SAFE_INTEGER)).toBe('rewritten');
});

test.runIf(mounts)('leaves enough space on a small disk to settle, even without min_free (tmpfs)', async () => {
  const disk = await mountDisk(32 * megabyte);
  const path = `${disk.folder}/spool.sqlite`;
  const spool = await rig.started({ events }, { path });
  const flood = createFlood(spool);
  const closed = events.next('spool.writable');
  flood.pour(4000);
  expect(await closed).toMatchObject({ writable: false, reason: expect.stringContaining('bytes left') });
  const ids: string[] = [];
  await eventually(async () => {
    ids.push(...(await flood.settleAll()));
    return ids.length === 4000;
  });
  expect(ids).toEqual(Array.from({ length: 4000 }, (_, index) => `d${index}`));
});

test.runIf(mounts)('waits while other programs have filled the disk, and loses nothing (tmpfs)', async () => {
  const disk = await mountDisk(64 * megabyte);
  const path = `${disk.folder}/spool.sqlite`;
  const spool = await rig.started({ events }, { path });
  const flood = createFlood(spool);
  flood.pour(500);
  await flood.appended();
  const kept = flood.claimed.splice(250);
  const closed = events.next('spool.writable');
  await disk.fill(0);
  flood.pour(500);
  const settling = flood.settleAll();
  await closed;

  const opened = events.next('spool.writable');
  await disk.free();
  expect(await settling).toHaveLength(250);
  await opened;
  await flood.appended();
  expect(spool.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 750, dead: 0 }]);
  await spool.stop();

  const again = await rig.started({}, { path });
  const { claimed } = await claimFrom(again, 'pool', { handlers: ['push'], limit: 9999, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt });
  expect(claimed.map(({ id }) => id)).toEqual([...kept, ...flood.claimed].map(({ id }) => id));
});

test.runIf(mounts)('sheds, replays, moves and purges once the full disk has space again, nothing twice (tmpfs)', async () => {
  const disk = await mountDisk(48 * megabyte);
  const path = `${disk.folder}/spool.sqlite`;
  const spool = await rig.started({ events }, { path });
  const rows = (name: string, rest: Partial<NewDelivery> = {}) =>
    Array.from({ length: 500 }, (_, index) => ({ ...makeDelivery({ id: `${name}${index}`, body: 'x'.repeat(10_000) }), ...rest }));
  const refused = rows('dead', { lane: 'lane' }).map((delivery) => ({ delivery, reason: 'overflow' as const, detail: '' }));
  await appendTo(spool, makeEntry([...rows('old'), ...rows('orphan', { handler: 'gone' })], { refused }));
  const closed = events.next('spool.writable');
  await disk.fill(0);
  const asked = Promise.all([
    spool.shed('pool', 400, 'full'),
    spool.replay({ reason: 'overflow' }, { limit: 300, now: acceptedAt }),
    spool.moveQueue({ pool: 'pool', handler: 'gone' }, { pool: 'other', handler: 'push' }),
    spool.setPaused('other', true),
  ]);
  void appendTo(spool, makeEntry(rows('new'))).catch(() => undefined);
  await closed;

  await disk.free();
  const [{ shed }, { replayed }, moved] = await asked;
  const purged = await spool.purgeDead({});
  expect([shed.length, replayed, moved]).toEqual([400, 300, 500]);
  expect(purged).toBe(600); // 500 and 400, without the 300 that came back
  expect(checkFile(path)).toEqual([]);
});

test.runIf(mounts)('refuses to open on a full disk, with that reason (tmpfs)', async () => {
  const disk = await mountDisk(megabyte);
  await disk.fill(0);
  const path = `${disk.folder}/spool.sqlite`;
  await expect(rig.started({}, { path })).rejects.toMatchObject({
    code: 'SPOOL_FULL',
    message: expect.stringContaining('is the disk full'),
  });
});

test('rejects unacknowledged appends without space when it is stopped', async () => {
  const spool = await rig.started({ events }, { maxBytes: megabyte });
  const flood = createFlood(spool);
  const closed = events.next('spool.writable');
  flood.pour(1000);
  const appended = flood.appended().catch((error) => error);
  await closed;
  await spool.stop();
  expect(await appended).toMatchObject({ code: 'SPOOL_FAILED' });

  const again = await rig.started();
  const { claimed } = await claimFrom(again, 'pool', { handlers: ['push'], limit: 9999, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt });
  expect(claimed.map(({ id }) => id)).toEqual(flood.claimed.map(({ id }) => id));
});

test('stays below max_bytes and one batch more, although it does not measure the space at each commit', () => {
  const [path, maxBytes] = [join(rig.folder, 'spool.sqlite'), 160 * megabyte];
  const store = openStore({ path, maxBytes, minFreeBytes: 0, check: false }, openOperatorCommands);
  onTestFinished(() => store.close());
  const body = 'x'.repeat(10 * megabyte);
  const append: Command = ['append', [rowOf(makeDelivery({ body }))], [true], [], undefined];
  const commit = () => store.commit([append], { maintain: false, now: acceptedAt });
  let last = commit();
  for (let batches = 1; batches < 20 && last.closed === ''; batches += 1) last = commit();
  expect(last.closed).toContain('max_bytes');
  const size = ['', '-wal'].reduce((sum, suffix) => sum + statSync(path + suffix).size, 0);
  expect(size).toBeLessThan(maxBytes + 16 * megabyte);
});
