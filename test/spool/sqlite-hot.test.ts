/** Deliveries that are claimed by the commit that stores them, on disk. */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/kit/clock.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { backUp, checkFile, readInfo } from '../../src/spool/inspect.ts';
import type { Disposition, Spool } from '../../src/spool/spool.ts';
import { openOperatorCommands } from '../../src/spool/sqlite/operator-commands.ts';
import { type Command, rowOf } from '../../src/spool/sqlite/protocol.ts';
import { openStore } from '../../src/spool/sqlite/store.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

let rig: SqliteRig;
beforeEach(async () => {
  rig = await createSqliteRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const delivered = { kind: 'delivered' } as const;
const everything = { handlers: ['push'], limit: 9999, bytes: Number.MAX_SAFE_INTEGER, now: acceptedAt + 99 };

/** Appends claimed deliveries; returns the number of each by its id. */
async function take(spool: Spool, ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const claimed = await appendTo(
    spool,
    makeEntry(
      ids.map((id) => makeDelivery({ id })),
      { take: true },
    ),
  );
  return new Map(claimed.map(({ id, seq }) => [id, seq]));
}

/** Values of a column, read as another program would. */
function column(sql: string, path = rig.path): unknown[] {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare(sql).pluck().all();
  } finally {
    db.close();
  }
}

test('a settled delivery is found neither by a check nor by a backup, although its bytes are still on disk', async () => {
  const spool = await rig.started();
  const seqs = await take(spool, ['a', 'b', 'c']);
  await settleIn(spool, makeSettlement(seqs.get('b') ?? 0, delivered));
  expect(column('SELECT id FROM hot')).toEqual(['a', 'b', 'c']);
  expect(column('SELECT id FROM unsettled')).toEqual(['a', 'c']);
  expect(checkFile(rig.path)).toEqual([]);
  expect(readInfo(rig.path)).toMatchObject({
    queues: [{ pool: 'pool', handler: 'push', waiting: 2, dead: 0 }],
    oldest: new Map([['pool', acceptedAt]]),
  });

  const copy = `${rig.path}-copy`;
  backUp(rig.path, copy);
  const restored = await rig.started({}, { path: copy });
  expect((await claimFrom(restored, 'pool', everything)).claimed.map(({ id }) => id)).toEqual(['a', 'c']);
});

test('becomes a row when it is retried, given up or released, and when the spool is stopped', async () => {
  const spool = await rig.started();
  const seqs = await take(spool, ['retried', 'dead', 'released', 'kept']);
  const settle = (id: string, ...rest: Parameters<typeof makeSettlement> extends [number, ...infer R] ? R : never) =>
    settleIn(spool, makeSettlement(seqs.get(id) ?? 0, ...rest));
  const retry = { kind: 'retry', notBefore: acceptedAt + 50, leaveLane: false, context: { kept: 'yes' } } as const;
  await settle('retried', retry, { attempt: answered(1, 503) });
  await settle('dead', { kind: 'dead', reason: 'refused', detail: '' }, { attempt: answered(1, 400) });
  await settle('released', { kind: 'released' });
  expect(column('SELECT id FROM hot')).toEqual(['kept']);
  expect(column('SELECT id FROM deliveries ORDER BY seq')).toEqual(['retried', 'released']);
  expect(checkFile(rig.path)).toEqual([]);

  await spool.stop();
  expect(column('SELECT id FROM deliveries ORDER BY seq')).toEqual(['retried', 'released', 'kept']);
  expect(column('SELECT count(*) FROM hot')).toEqual([0]);
  const again = await rig.started();
  expect((await claimFrom(again, 'pool', everything)).claimed).toMatchObject([
    { id: 'released', attempts: 0 },
    { id: 'kept', attempts: 0 },
    { id: 'retried', attempts: 1, context: { kept: 'yes' } },
  ]);
});

test('thousands are settled in any order, and few of the settled ones stay on disk', async () => {
  const spool = await rig.started();
  const ids = Array.from({ length: 3000 }, (_, index) => `d${index}`);
  const seqs = [...(await take(spool, ids)).values()];
  const shuffled = [...seqs.filter((seq) => seq % 3 === 0), ...seqs.filter((seq) => seq % 3 === 2).reverse()];
  await Promise.all(shuffled.map((seq) => settleIn(spool, makeSettlement(seq, delivered))));
  const [onDisk = 0] = column('SELECT count(*) FROM hot');
  expect(onDisk).toBeLessThan(1000 + 512);
  expect(column('SELECT count(*) FROM unsettled')).toEqual([1000]);
  expect(checkFile(rig.path)).toEqual([]);
});

test('a settlement that is rolled back leaves the delivery claimed', async () => {
  const spool = await rig.started();
  const seqs = await take(spool, ['a']);
  const settle = () => settleIn(spool, makeSettlement(seqs.get('a') ?? 0, delivered));
  const refused = appendTo(spool, makeEntry([makeDelivery({ id: 'x', seenAt: 0.5 })], { take: true }));
  await expect(Promise.all([settle(), refused])).rejects.toMatchObject({ code: 'SPOOL_ROW_REFUSED' });
  await expect(settle()).rejects.toMatchObject({ message: expect.stringContaining('not claimed') });
  expect(spool.stats().depths).toMatchObject([{ waiting: 0 }]);
  expect(checkFile(rig.path)).toEqual([]);
});

test('a body is gone from file and log within 15 s after its settlement, while commits never pause', () => {
  mkdirSync(dirname(rig.path), { recursive: true });
  let now = 0;
  const opening = { path: rig.path, maxBytes: 1024 ** 3, minFreeBytes: 0, check: false };
  const store = openStore(opening, openOperatorCommands, { ...systemClock, monotonic: () => now });
  onTestFinished(() => store.close());
  const append = (body: string): Command => ['append', [rowOf(makeDelivery({ body }))], [true], [], undefined];
  const holds = (text: string) => ['', '-wal'].filter((suffix) => readFileSync(rig.path + suffix).includes(text));

  /** Settles one delivery each second, and appends the next one. */
  const second = (body: string) => {
    now += 1000;
    const { answers } = store.commit([append(body)], { maintain: false, now: acceptedAt });
    store.commit([['delivered', Number(answers[0]), 0]], { maintain: true, now: acceptedAt });
  };
  for (let beat = 0; beat < 3; beat += 1) second(`other ${beat}`);
  second('what people wrote');
  expect(holds('what people wrote')).not.toEqual([]);
  for (let beat = 0; beat < 14; beat += 1) second(`more ${beat}`);
  expect(holds('what people wrote')).toEqual([]);
});

/** Opens a spool whose file can grow to 12.5 MiB. */
function openSmall(path = rig.path) {
  mkdirSync(dirname(path), { recursive: true });
  const store = openStore({ path, maxBytes: 4 * 1024 * 1024, minFreeBytes: 0, check: false }, openOperatorCommands);
  onTestFinished(() => store.close());
  return store;
}

const appendAll = (deliveries: readonly NewDelivery[]): Command => [
  'append',
  deliveries.map((delivery) => rowOf(delivery)),
  deliveries.map(() => true),
  [],
  undefined,
];

const dead = { kind: 'dead', reason: 'refused', detail: '' } as const;
const settle = (seq: number, disposition: Disposition): Command => [
  'settle',
  seq,
  { disposition, attempt: undefined, spawn: [], failedPackets: [], claimNext: 0 },
];

test('a spool whose hot deliveries fill most of it opens after a crash', () => {
  const ids = Array.from({ length: 800 }, (_, index) => `d${index}`);
  openSmall().commit([appendAll(ids.map((id) => makeDelivery({ id, body: 'x'.repeat(10_000) })))], { maintain: false, now: acceptedAt });
  const copy = `${rig.path}-copy`;
  backUp(rig.path, copy);
  openSmall(copy);
  expect(column('SELECT id FROM deliveries ORDER BY seq', copy)).toEqual(ids);
});

test('a settlement without space holds back the later ones of its lane, and no others', () => {
  const store = openSmall();
  const [a, b] = ['lane a', 'lane b'];
  const deliveries = [
    makeDelivery({ id: 'a1', lane: a, body: 'x'.repeat(7_000_000) }),
    makeDelivery({ id: 'a2', lane: a }),
    makeDelivery({ id: 'b1', lane: b }),
  ];
  const [first] = store.commit([appendAll(deliveries)], { maintain: false, now: acceptedAt }).answers;
  const [a1 = 0, a2 = 0, b1 = 0] = first as readonly number[];
  const { undone } = store.commit([settle(a1, dead), ['delivered', a2, 0], ['delivered', b1, 0]], { maintain: false, now: acceptedAt });
  expect(undone).toEqual([0, 1]);
  expect(column('SELECT id FROM unsettled')).toEqual(['a1', 'a2']);
});

test('a settlement that is refused holds back the later ones of its lane, until it is settled again', () => {
  const store = openSmall();
  const deliveries = ['a1', 'a2', 'a3'].map((id) => makeDelivery({ id, lane: 'lane' }));
  const [first] = store.commit([appendAll([...deliveries, makeDelivery({ id: 'b' })])], { maintain: false, now: acceptedAt }).answers;
  const [a1 = 0, a2 = 0, a3 = 0, b = 0] = first as readonly number[];
  const refused = settle(a1, { kind: 'retry', notBefore: acceptedAt + 0.5, leaveLane: true, context: {} });
  const batches = [
    [refused, ['delivered', a2, 0], ['delivered', b, 0], ['delivered', a3, 0]],
    [['delivered', a3, 0], ['delivered', a2, 0], refused],
  ] as const;
  const results = batches.map((commands) => store.commit(commands, { maintain: false, now: acceptedAt }));
  expect(results.map(({ refused, undone, closed }) => [refused.map(([index]) => index), undone, closed])).toEqual([
    [[0], [1, 3], ''],
    [[2], [1, 0], ''],
  ]);
  expect(column('SELECT id FROM unsettled')).toEqual(['a1', 'a2', 'a3']);
});

test('a full spool ends a batch after 16 settlements without space, and the next batch begins with those that were not tried', () => {
  const store = openSmall();
  const deliveries = Array.from({ length: 20 }, (_, index) => makeDelivery({ id: `d${index}`, body: 'x'.repeat(640_000) }));
  const [first] = store.commit([appendAll(deliveries)], { maintain: false, now: acceptedAt }).answers;
  const commands = (first as readonly number[]).map((seq) => settle(seq, dead));
  const { undone } = store.commit(commands, { maintain: false, now: acceptedAt });
  expect(undone).toEqual([16, 17, 18, 19, ...Array.from({ length: 16 }, (_, index) => index)]);
});
