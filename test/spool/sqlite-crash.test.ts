import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { checkFile } from '../../src/spool/inspect.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';
import { startAppending } from './start-appending.ts';

let rig: SqliteRig;
beforeEach(async () => {
  rig = await createSqliteRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const everything = { handlers: ['push'], limit: 1_000_000, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt };

async function pendingIds(spool: Spool): Promise<Set<string>> {
  const ids = new Set<string>();
  let heads = (await claimFrom(spool, 'pool', everything)).claimed;
  while (heads.length > 0) {
    for (const { id } of heads) ids.add(id);
    await Promise.all(heads.map(({ seq }) => settleIn(spool, makeSettlement(seq, { kind: 'delivered' }))));
    heads = (await claimFrom(spool, 'pool', everything)).claimed;
  }
  return ids;
}

test('keeps every acknowledged delivery and restores no settled one after three kills', async () => {
  for (let round = 0; round < 3; round += 1) {
    const { child, lines } = startAppending(rig.path);
    await eventually(() => lines().length > 5000);
    child.kill('SIGKILL');
    await once(child, 'close');

    const said = (mark: string) => lines().flatMap((line) => (line.startsWith(mark) ? [line.slice(1)] : []));
    const [appended, settling, settled] = [said('+'), new Set(said('?')), said('-')];
    const spool = await rig.started();
    const depth = spool.stats().depths[0]?.waiting;
    expect(spool.stats().loss).toBe('');
    const owed = await pendingIds(spool);
    await spool.stop();

    expect(settled.length).toBeGreaterThan(500);
    expect(appended.filter((id) => !settling.has(id) && !owed.has(id))).toEqual([]);
    expect(settled.filter((id) => owed.has(id))).toEqual([]);
    expect(owed.size).toBe(depth);
  }
});

test('is intact after each kill during deletion of dead letters, and an open reader blocks neither deletion nor commits', async () => {
  for (let round = 0; round < 3; round += 1) {
    const { child, lines } = startAppending(rig.path, 'purge');
    const count = (mark: string) => lines().filter((line) => line.startsWith(mark)).length;
    await eventually(() => count('purged') > 1);
    const reader = new Database(rig.path, { readonly: true });
    onTestFinished(() => void reader.close());
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM dead').get();
    const [purges, appends] = [count('purged'), count('+')];
    await eventually(() => count('purged') > purges + 2 && count('+') > appends + 100);
    child.kill('SIGKILL');
    await once(child, 'close');
    reader.close();

    expect(checkFile(rig.path)).toEqual([]);
    const spool = await rig.started();
    expect(spool.stats().loss).toBe('');
    await spool.purgeDead({});
    await spool.stop();
    expect(checkFile(rig.path)).toEqual([]);
  }
});

test('restores claims, lanes, attempts, marks and dead letters after a restart', async () => {
  const mark = { attachment: 'chat', host: 'localhost', node: 'n', epoch: 'e', h: 3 };
  const first = await rig.started();
  const head = makeDelivery({ id: 'head', lane: 'lane' });
  const [claimed] = await appendTo(first, makeEntry([head, makeDelivery({ id: 'behind', lane: 'lane' })], { take: true, mark }));
  const [failing, doomed] = await appendTo(
    first,
    makeEntry([makeDelivery({ id: 'failing' }), makeDelivery({ id: 'doomed' })], { take: true }),
  );
  const retry = { kind: 'retry', notBefore: acceptedAt + 5, leaveLane: false, context: { seen: 'once' } } as const;
  await settleIn(first, makeSettlement(failing?.seq ?? 0, retry, { attempt: answered(1, 500, acceptedAt + 1) }));
  await settleIn(first, makeSettlement(doomed?.seq ?? 0, { kind: 'dead', reason: 'refused', detail: '' }, { attempt: answered(1, 400) }));
  await first.setPaused('other', true);
  await first.stop();

  const second = await rig.started();
  expect(second.stats().paused).toEqual(['other']);
  expect(second.stats().depths).toEqual([{ pool: 'pool', handler: 'push', waiting: 3, dead: 1 }]);
  expect(await second.marks()).toEqual([mark]);
  expect(await second.deadLetters({}, { limit: 9 })).toMatchObject([{ id: 'doomed', status: 400, attempts: 1 }]);
  expect(await claimFrom(second, 'pool', { ...everything, now: acceptedAt + 5 })).toEqual({
    claimed: [
      { ...head, seq: claimed?.seq, attempts: 0, failingSince: undefined, context: {} },
      { ...makeDelivery({ id: 'failing' }), seq: failing?.seq, attempts: 1, failingSince: acceptedAt + 1, context: { seen: 'once' } },
    ],
    nextAt: undefined,
  });
  const { next } = await settleIn(second, makeSettlement(claimed?.seq ?? 0, { kind: 'delivered' }, { claimNext: 1 }));
  expect(next).toMatchObject([{ id: 'behind' }]);
});

test('refuses a second process, with the id of the first, until the first is killed', async () => {
  const { child, lines } = startAppending(rig.path);
  await eventually(() => lines().includes('ready'));
  await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_LOCKED', message: expect.stringContaining(`process ${child.pid}`) });
  child.kill('SIGKILL');
  await rig.started();
});

test('refuses a second spool in the same process until the first is stopped', async () => {
  const first = await rig.started();
  await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_LOCKED' });
  await appendTo(first, makeEntry([makeDelivery()]));
  await first.stop();
  const second = await rig.started();
  expect((await claimFrom(second, 'pool', everything)).claimed).toHaveLength(1);
});

test('can be read by other processes while it is open', async () => {
  const spool = await rig.started();
  await appendTo(spool, makeEntry([makeDelivery({ id: 'a', body: 'seen' })]));
  const reader = new Database(rig.path, { readonly: true });
  expect(reader.prepare('SELECT id, body FROM deliveries').all()).toEqual([{ id: 'a', body: 'seen' }]);
  reader.close();
});

test('reports its failure, rejects all calls, and can be started again', async () => {
  const failures: string[] = [];
  const spool = await rig.started({ onFailed: (error) => failures.push(error.code) });
  await appendTo(spool, makeEntry([makeDelivery({ id: 'kept' })]));
  const vandal = new Database(rig.path);
  vandal.exec('ALTER TABLE deliveries RENAME TO hidden');

  await expect(appendTo(spool, makeEntry([makeDelivery({ id: 'lost' })]))).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
  await expect(spool.marks()).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
  expect(spool.stats()).toMatchObject({ writable: false, reason: expect.stringContaining('no such table') });
  expect(failures).toEqual(['SPOOL_FAILED']);

  vandal.exec('ALTER TABLE hidden RENAME TO deliveries');
  vandal.close();
  await spool.stop();
  const again = await rig.started();
  expect((await claimFrom(again, 'pool', everything)).claimed.map(({ id }) => id)).toEqual(['kept']);
});

test('leaves no bytes of a settled body on disk', async () => {
  const spool = await rig.started();
  const bodies = Array.from({ length: 400 }, (_, index) => `secret-${index}-${'x'.repeat(index * 20)}`);
  const rows = await appendTo(
    spool,
    makeEntry(
      bodies.map((body, index) => makeDelivery({ id: `d${index}`, body })),
      { take: true },
    ),
  );
  await appendTo(spool, makeEntry([makeDelivery({ id: 'owed', body: 'kept-body' })]));
  await Promise.all(rows.map(({ seq }) => settleIn(spool, makeSettlement(seq, { kind: 'delivered' }))));
  await spool.stop();
  const bytes = readFileSync(rig.path).toString('latin1');
  expect(bytes).toContain('kept-body');
  expect(bytes).not.toContain('secret-');
});

test('starts in an existing folder', async () => {
  mkdirSync(dirname(rig.path));
  await rig.started();
});
