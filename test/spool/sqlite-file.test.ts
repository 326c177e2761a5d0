import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ServiceError } from '../../src/kit/errors.ts';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { HttpTarget } from '../../src/model/delivery.ts';
import { readInfo } from '../../src/spool/inspect.ts';
import { eraserStatements } from '../../src/spool/sqlite/event-eraser.ts';
import { eventStatements } from '../../src/spool/sqlite/event-search.ts';
import { openOperatorCommands } from '../../src/spool/sqlite/operator-commands.ts';
import { beforeAll, type Command, type DeadCursor, type Purged, rowOf } from '../../src/spool/sqlite/protocol.ts';
import { type Migration, migrate, migrations, refuseForeign } from '../../src/spool/sqlite/schema.ts';
import { statements } from '../../src/spool/sqlite/statements.ts';
import { openStore } from '../../src/spool/sqlite/store.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { eventually } from '../support/eventually.ts';
import { appendTo, claimFrom, settleIn } from '../support/spool-promises.ts';
import { acceptedAt, idOf, makeDelivery, makeEntry, makeSettlement } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

let rig: SqliteRig;
beforeEach(async () => {
  rig = await createSqliteRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

/** Opens the file as another program would. */
function withDatabase<T>(work: (db: Database.Database) => T): T {
  mkdirSync(dirname(rig.path), { recursive: true });
  const db = new Database(rig.path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

test('gives access to the owner alone: folder, file, log and lock', async () => {
  const spool = await rig.started();
  await appendTo(spool, makeEntry([makeDelivery()]));
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
  expect(modeOf(dirname(rig.path))).toBe('700');
  for (const suffix of ['', '-wal', '-shm', '.lock', '.count']) expect([suffix, modeOf(rig.path + suffix)]).toEqual([suffix, '600']);
});

test.each([
  ['NFS', 0x6969],
  ['CIFS', 0xff534d42],
  ['SMB2', 0xfe534d42],
  ['9p', 0x01021997],
])('refuses the network file system %s and creates no file', async (name, type) => {
  const start = rig.started({ fileSystemOf: () => type });
  await expect(start).rejects.toMatchObject({ code: 'SPOOL_NETWORK_FILE_SYSTEM', message: expect.stringContaining(name) });
  expect(existsSync(rig.path)).toBe(false);
});

test.each([
  ['below a file', () => `${rig.path}/below`, /below: .* is not a directory/],
  ['in /proc', () => '/proc/nope', /\/proc\/nope: ENOENT/],
])('refuses a folder that cannot be created: %s', async (_, folder, message) => {
  withDatabase((db) => db.exec('CREATE TABLE t (x)'));
  const start = rig.started({}, { path: `${folder()}/a-file.sqlite` });
  await expect(start).rejects.toMatchObject({ code: 'SPOOL_OPEN_FAILED', message: expect.stringMatching(message) });
});

test('refuses a directory as its path, and suggests a file in it', async () => {
  const start = rig.started({}, { path: rig.folder });
  const message = expect.stringContaining(`${rig.folder} is a directory: give the path of a file, such as ${rig.folder}/spool.sqlite`);
  await expect(start).rejects.toMatchObject({ code: 'SPOOL_OPEN_FAILED', message });
  expect(existsSync(`${rig.folder}.lock`)).toBe(false);
  expect(() => readInfo(rig.folder)).toThrow('is a directory');
});

describe('an open reader', () => {
  /** Begins to read, as `spool backup` or the sqlite3 shell does. */
  function startReading() {
    const reader = new Database(rig.path, { readonly: true });
    onTestFinished(() => void reader.close());
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM deliveries').get();
    return reader;
  }

  const holds = (text: string) => ['', '-wal'].filter((suffix) => readFileSync(rig.path + suffix).includes(text));

  test('blocks no commit, and after it ends a delivered body is neither in the file nor in its log', async () => {
    const spool = await rig.started();
    const [claimed] = await appendTo(spool, makeEntry([makeDelivery({ body: 'what people wrote' })], { take: true }));
    const reader = startReading();
    await settleIn(spool, makeSettlement(claimed?.seq ?? 0, { kind: 'delivered' }));
    expect(holds('what people wrote')).not.toEqual([]);

    reader.exec('COMMIT');
    await eventually(() => expect(holds('what people wrote')).toEqual([]));
  });

  test('does not delay maintenance', () => {
    mkdirSync(dirname(rig.path), { recursive: true });
    const { path } = rig;
    const store = openStore({ path, maxBytes: 1024 ** 3, minFreeBytes: 0, check: false }, openOperatorCommands);
    onTestFinished(() => store.close());
    startReading();
    const began = performance.now();
    for (let beat = 0; beat < 15; beat += 1) {
      store.commit([['pause', `pool ${beat}`]], { maintain: false, now: acceptedAt });
      store.commit([], { maintain: true, now: acceptedAt });
    }
    expect(performance.now() - began).toBeLessThan(15_000); // with a busy timeout at each maintenance it took 30 s
  });
});

test('large dead letters are deleted a few at a time, with commits in between', () => {
  mkdirSync(dirname(rig.path), { recursive: true });
  const store = openStore({ path: rig.path, maxBytes: 1024 ** 3, minFreeBytes: 0, check: false }, openOperatorCommands);
  onTestFinished(() => store.close());
  const run = (command: Command) => store.commit([command], { maintain: false, now: acceptedAt }).answers[0];
  const refused = Array.from(
    { length: 20 },
    (_, at) => [rowOf(makeDelivery({ id: `d${at}`, body: 'x'.repeat(1e6) })), 'overflow', ''] as const,
  );
  run(['append-full', [], [], [], undefined, refused, undefined]);

  const counts: number[] = [];
  for (let after: DeadCursor | undefined = beforeAll; after !== undefined; ) {
    const purged = run(['purge-dead', {}, after]) as Purged; // the answer to this command
    counts.push(...purged.deleted.map(({ count }) => count));
    after = purged.more;
  }
  expect(counts).toEqual([4, 4, 4, 4, 4]);
  store.commit([], { maintain: true, now: acceptedAt });
  expect(readFileSync(rig.path).includes('xxxxxxxx')).toBe(false);
});

describe('a damaged file', () => {
  /** A spool with many pages. */
  async function fill(): Promise<void> {
    const spool = await rig.started();
    await appendTo(spool, makeEntry(Array.from({ length: 200 }, (_, at) => makeDelivery({ id: `d${at}`, body: 'x'.repeat(3000) }))));
    await spool.stop();
  }

  /** Overwrites `bytes` bytes from `from` on. */
  function overwrite(from: number, bytes: number): void {
    const file = openSync(rig.path, 'r+');
    writeSync(file, Buffer.alloc(bytes, 'damage '), 0, bytes, from);
    closeSync(file);
  }

  const pageBytes = 4096;
  const damages: readonly (readonly [string, () => void, RegExp])[] = [
    ['its header destroyed', () => overwrite(0, 100), /file is not a database/],
    ['the rest of its first page destroyed', () => overwrite(100, pageBytes - 100), /malformed/],
    ['its second half cut off', () => truncateSync(rig.path, Math.floor(statSync(rig.path).size / 2 / pageBytes) * pageBytes), /malformed/],
    ['text in its place', () => writeFileSync(rig.path, 'what is this?'), /file is not a database/],
  ];
  test.each(damages)('with %s is refused with its path, the defect and the remedy, and is not changed', async (_, damage, what) => {
    await fill();
    damage();
    const before = readFileSync(rig.path);
    const start = rig.started();
    await expect(start).rejects.toMatchObject({ code: 'SPOOL_DAMAGED', message: expect.stringMatching(what) });
    await expect(start).rejects.toThrow(
      new RegExp(`the spool at ${rig.path}: its file is damaged .*start with a backup or without a file`),
    );
    expect(readFileSync(rig.path).equals(before)).toBe(true);
  });

  test('fails at the damaged page, and is refused at the next start that checks it', async () => {
    await fill();
    overwrite(20 * pageBytes, 30 * pageBytes);
    const failed = createDeferred<ServiceError>();
    const spool = await rig.started({ onFailed: failed.resolve });
    const claiming = claimFrom(spool, 'pool', { handlers: ['push'], limit: 999, bytes: 1e9, now: acceptedAt });
    await expect(claiming).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' });
    expect(await failed.promise).toMatchObject({ code: 'SPOOL_DAMAGED', message: expect.stringContaining('malformed') });
    await spool.stop();
    await expect(rig.started({ check: true })).rejects.toMatchObject({ code: 'SPOOL_DAMAGED' });
  });

  test('is not reported for an intact file that is checked first', async () => {
    await fill();
    const spool = await rig.started({ check: true });
    expect(spool.stats().depths).toMatchObject([{ waiting: 200 }]);
  });
});

describe('a spool whose log was deleted', () => {
  /** The files of a running service, as a `kill -9` leaves them. */
  function copyOfRunning(suffixes: readonly string[]): string {
    mkdirSync(dirname(rig.path), { recursive: true });
    const store = openStore({ path: rig.path, maxBytes: 1024 ** 3, minFreeBytes: 0, check: false }, openOperatorCommands);
    onTestFinished(() => store.close());
    const append: Command = ['append', [rowOf(makeDelivery())], [false], [], undefined];
    store.commit([append], { maintain: true, now: acceptedAt });
    store.commit([append], { maintain: true, now: acceptedAt });
    const copy = join(rig.folder, 'copy.sqlite');
    for (const suffix of suffixes) copyFileSync(rig.path + suffix, copy + suffix);
    return copy;
  }

  test.each([
    ['the log', ['', '.count']],
    ['the log and the file', ['.count']],
  ])('reports a possible loss: %s', async (_, left) => {
    const path = copyOfRunning(left);
    const events = createEventBus();
    const told: string[] = [];
    events.on('spool.loss', ({ reason }) => told.push(reason));
    const spool = await rig.started({ events }, { path });
    expect(told).toEqual([expect.stringMatching(/copy\.sqlite lacks its last commits: its log .*-wal\) was deleted/)]);
    expect(spool.stats().loss).toBe(told[0]);
    await appendTo(spool, makeEntry([makeDelivery()]));
    await spool.stop();

    const again = await rig.started({ events }, { path });
    expect([again.stats().loss, told.length]).toEqual(['', 1]);
  });

  test.each([
    ['all files exist', ['', '-wal', '.count']],
    ['the file is a backup or was written by an older version', ['', '-wal']],
    ['there is no file yet', []],
  ])('reports nothing if %s', async (_, left) => {
    const spool = await rig.started({}, { path: copyOfRunning(left) });
    expect(spool.stats().loss).toBe('');
  });
});

describe('the schema', () => {
  test('is upgraded from version 0 to the newest', async () => {
    withDatabase((db) => db.pragma('journal_mode = DELETE'));
    const spool = await rig.started();
    await appendTo(spool, makeEntry([makeDelivery()]));
    await spool.stop();
    expect(withDatabase((db) => db.pragma('user_version', { simple: true }))).toBe(migrations.length);
  });

  test('runs only the missing steps, all or none of them', () => {
    const add =
      (table: string): Migration =>
      (db) =>
        void db.exec(`CREATE TABLE ${table} (x)`);
    withDatabase((db) => {
      expect(migrate(db, [add('one')])).toBe(1);
      expect(migrate(db, [add('one'), add('two'), add('three')])).toBe(2);
      expect(migrate(db, [add('one'), add('two'), add('three')])).toBe(0);
      expect(() => migrate(db, [add('one'), add('two'), add('three'), add('four'), add('one')])).toThrow();
      expect(db.pragma('user_version', { simple: true })).toBe(3);
      expect(db.prepare('SELECT name FROM sqlite_schema').pluck().all()).toEqual(['one', 'two', 'three']);
    });
    expect(() => refuseForeign(rig.path, 2)).toThrow(/version 3.*up to 2/);
  });

  test('of a newer service is refused with both versions and the path, and the file is not changed', async () => {
    await (await rig.started()).stop();
    withDatabase((db) => db.pragma('user_version = 99'));
    const before = readFileSync(rig.path);
    const message = new RegExp(`${rig.path}.* 99.* ${migrations.length}`);
    await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_TOO_NEW', message: expect.stringMatching(message) });
    expect(readFileSync(rig.path).equals(before)).toBe(true);
  });

  const earlier = migrations.slice(1).map((_, index) => index + 1);

  test.each(earlier)('of version %i is upgraded with all deliveries, dead letters, and counters by queue', async (version) => {
    withDatabase((db) => {
      fillVersionOne(db);
      migrate(db, migrations.slice(0, version));
      if (version >= 2) db.exec("INSERT INTO paused VALUES ('two'), ('one/log')");
    });
    const spool = await rig.started();
    expect(spool.stats()).toMatchObject({
      depths: [
        { pool: 'one', handler: 'log', waiting: 1, dead: 0 },
        { pool: 'one', handler: 'push', waiting: 3, dead: 1 },
        { pool: 'two', handler: 'push', waiting: 0, dead: 1 },
      ],
      paused: version >= 2 ? ['one/log', 'two'] : [],
    });
    const { claimed } = await claimFrom(spool, 'one', { handlers: ['log', 'push'], limit: 9, bytes: 9999, now: acceptedAt });
    expect(claimed).toMatchObject([
      { id: 'ready', lane: 'lane', attempts: 0, context: {}, body: 'body of ready' },
      { id: 'failed', lane: null, attempts: 1, failingSince: acceptedAt - 9, context: {} },
      { id: 'claimed', handler: 'log' },
    ]);
    const next = await settleIn(spool, makeSettlement(claimed[0]?.seq ?? 0, { kind: 'delivered' }, { claimNext: 1 }));
    expect(next.next[0]?.id).toBe('behind');
    await settleIn(spool, makeSettlement(claimed[1]?.seq ?? 0, { kind: 'dead', reason: 'expired', detail: '' }));
    expect(await spool.deadLetter(idOf('failed'))).toMatchObject({
      attempts: 1,
      status: 503,
      history: [{ number: 1, at: acceptedAt - 9 }],
    });
    expect(await spool.replay({ ids: [idOf('dead')] }, { limit: 1, now: acceptedAt })).toMatchObject({ replayed: 1 });
  });

  test('keeps the purpose of a request under the key that earlier versions read and write', async () => {
    const purpose = { kind: 'order', origin: 'http://10.0.0.172:5984', depth: 1 } as const;
    const { purpose: errand, ...rest } = { ...makeDelivery<HttpTarget>().target, purpose };
    const spool = await rig.started();
    await appendTo(spool, makeEntry([makeDelivery({ id: 'new', target: { ...rest, purpose } }), makeDelivery({ id: 'old' })]));
    await spool.stop();
    withDatabase((db) => {
      const stored = db.prepare<[], string>("SELECT target FROM deliveries WHERE id = 'new'").pluck().get() ?? '';
      expect(JSON.parse(stored)).toEqual({ ...rest, errand });
      db.prepare("UPDATE deliveries SET target = ? WHERE id = 'old'").run(JSON.stringify({ ...rest, errand }));
    });

    const again = await rig.started();
    const { claimed } = await claimFrom(again, 'pool', { handlers: ['push'], limit: 9, bytes: 9999, now: acceptedAt });
    expect(claimed.map(({ target }) => target)).toEqual([
      { ...rest, purpose },
      { ...rest, purpose },
    ]);
  });

  test('of another program is refused', async () => {
    withDatabase((db) => db.exec('CREATE TABLE people (name)'));
    await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_OPEN_FAILED' });
    expect(withDatabase((db) => db.prepare('SELECT name FROM sqlite_schema').pluck().all())).toEqual(['people']);
  });

  test('lets no statement scan a table', async () => {
    await (await rig.started()).stop();
    const plans = withDatabase((db) =>
      Object.entries({ ...statements, ...eventStatements, ...eraserStatements })
        .filter(([, sql]) => /^(DELETE|INSERT|SELECT|UPDATE)/.test(sql))
        .flatMap(([name, sql]) => {
          const explained = sql.replace(/@\w+/g, '?');
          const parameters = Array.from(explained.matchAll(/\?/g), () => 1);
          const steps = db.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${explained}`).all(...parameters);
          return steps.map(({ detail }) => `${name}: ${detail}`);
        }),
    );
    expect(plans.length).toBeGreaterThan(20);
    expect(plans.filter((plan) => /SCAN (?!json_each)|TEMP B-TREE/.test(plan))).toEqual([]); // the ids of a filter are read once
  });
});

/** A spool of schema version 1: a lane, a claim, a retry and two dead letters. */
function fillVersionOne(db: Database.Database): void {
  migrate(db, migrations.slice(0, 1));
  const columns =
    'seq, state, due, attempts, failing_since, id, packet_id, host, handler, pool, lane, sender, receiver, seen_at, created_at';
  const insert = db.prepare(
    `INSERT INTO deliveries (${columns}, target, body) VALUES (?, ?, ?, ?, ?, ?, 'p', 'localhost', ?, 'one', ?, 'a', 'b', 0, ?, ?, ?)`,
  );
  const target = JSON.stringify(makeDelivery().target);
  const at = (wait: number) => acceptedAt - 100 + wait;
  insert.run(1, 1, at(0), 0, null, 'ready', 'push', 'lane', at(0), target, 'body of ready');
  insert.run(2, 0, at(0), 0, null, 'behind', 'push', 'lane', at(0), target, 'body of behind');
  insert.run(3, 2, at(9), 0, null, 'claimed', 'log', null, at(9), target, 'body of claimed');
  insert.run(4, 1, at(5), 1, acceptedAt - 9, 'failed', 'push', null, at(1), target, 'body of failed');
  db.prepare(`INSERT INTO attempts (seq, number, at, outcome) VALUES (4, 1, ?, '{"kind":"answered","status":503}')`).run(acceptedAt - 9);
  const bury = db.prepare(`INSERT INTO dead (id, packet_id, host, handler, pool, sender, receiver, reason, detail, attempts, seen_at,
    created_at, died_at, target, body) VALUES (?, 'p', 'localhost', 'push', ?, 'a', 'b', 'refused', '', 0, 0, 0, 1, ?, 'x')`);
  bury.run('dead', 'one', target);
  bury.run('gone', 'two', target);
  db.exec(`INSERT INTO depths VALUES ('one', 4, 1), ('two', 0, 1), ('empty', 0, 0)`);
}
