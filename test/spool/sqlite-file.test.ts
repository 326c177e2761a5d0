import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Migration, migrate, migrations, refuseForeign } from '../../src/spool/sqlite/schema.ts';
import { statements } from '../../src/spool/sqlite/statements.ts';
import { makeDelivery, makeEntry } from './build.ts';
import { createSqliteRig, type SqliteRig } from './sqlite-rig.ts';

let rig: SqliteRig;
beforeEach(async () => {
  rig = await createSqliteRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

/** Works on the file as another program would. */
function withDatabase<T>(work: (db: Database.Database) => T): T {
  mkdirSync(dirname(rig.path), { recursive: true });
  const db = new Database(rig.path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

test('is for its owner alone: the folder, the file, its log and its lock', async () => {
  const spool = await rig.started();
  await spool.append(makeEntry([makeDelivery()]));
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
  expect(modeOf(dirname(rig.path))).toBe('700');
  for (const suffix of ['', '-wal', '-shm', '.lock']) expect([suffix, modeOf(rig.path + suffix)]).toEqual([suffix, '600']);
});

test.each([
  ['NFS', 0x6969],
  ['CIFS', 0xff534d42],
  ['SMB2', 0xfe534d42],
  ['9p', 0x01021997],
])('refuses %s by name and creates no file there', async (name, type) => {
  const start = rig.started({ fileSystemOf: () => type });
  await expect(start).rejects.toMatchObject({ code: 'SPOOL_NETWORK_FILE_SYSTEM', message: expect.stringContaining(name) });
  expect(existsSync(rig.path)).toBe(false);
});

test('refuses a folder that cannot be made', async () => {
  withDatabase((db) => db.exec('CREATE TABLE t (x)'));
  const start = rig.started({}, { path: `${rig.path}/below/a-file.sqlite` });
  await expect(start).rejects.toMatchObject({ code: 'SPOOL_OPEN_FAILED', message: expect.stringContaining('below') });
});

describe('the schema', () => {
  test('is brought from version 0 to the newest', async () => {
    withDatabase((db) => db.pragma('journal_mode = DELETE'));
    const spool = await rig.started();
    await spool.append(makeEntry([makeDelivery()]));
    await spool.stop();
    expect(withDatabase((db) => db.pragma('user_version', { simple: true }))).toBe(migrations.length);
  });

  test('takes only the steps that are missing, and all of them or none', () => {
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

  test('of a newer service is refused with both versions and the path, and the file stays as it is', async () => {
    await (await rig.started()).stop();
    withDatabase((db) => db.pragma('user_version = 99'));
    const before = readFileSync(rig.path);
    const message = new RegExp(`${rig.path}.* 99.* ${migrations.length}`);
    await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_TOO_NEW', message: expect.stringMatching(message) });
    expect(readFileSync(rig.path).equals(before)).toBe(true);
  });

  test('of another program is refused', async () => {
    withDatabase((db) => db.exec('CREATE TABLE people (name)'));
    await expect(rig.started()).rejects.toMatchObject({ code: 'SPOOL_OPEN_FAILED' });
    expect(withDatabase((db) => db.prepare('SELECT name FROM sqlite_schema').pluck().all())).toEqual(['people']);
  });

  test('lets no statement walk through a table', async () => {
    await (await rig.started()).stop();
    const plans = withDatabase((db) =>
      Object.entries(statements)
        .filter(([, sql]) => /^(DELETE|INSERT|SELECT|UPDATE)/.test(sql))
        .flatMap(([name, sql]) => {
          const parameters = Array.from(sql.matchAll(/\?/g), () => 1);
          const steps = db.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters);
          return steps.map(({ detail }) => `${name}: ${detail}`);
        }),
    );
    expect(plans.length).toBeGreaterThan(20);
    expect(plans.filter((plan) => /SCAN|TEMP B-TREE/.test(plan))).toEqual([]);
  });
});
