import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { ServiceError } from '../../kit/errors.ts';

/** Changes the schema by one version. Never edited once released: a later change is a further entry. */
export type Migration = (db: Database.Database) => void;

/** `migrations[n]` upgrades version n to n + 1. Version 0 is an empty file. */
export const migrations: readonly Migration[] = [createTables, separateQueues, countCommits, separateHot, keepFacts];

/** Identifies the file as a spool ("xepS"), so that no other database is used as one. SQLite file format §1.3.6. */
const applicationId = 0x78657053;

/**
 * Throws SPOOL_TOO_NEW if a newer version of the service wrote the file, SPOOL_OPEN_FAILED if it is not a spool.
 * Reads only: a refused file is not changed.
 */
export function refuseForeign(path: string, known = migrations.length): void {
  if (!existsSync(path) || statSync(path).size === 0) return;
  const db = new Database(path, { readonly: true, timeout: 2000 });
  try {
    const version = versionOf(db);
    if (version > known) {
      throw new ServiceError(
        'SPOOL_TOO_NEW',
        `the spool at ${path} has schema version ${version}; this service knows versions up to ${known}: run the version that wrote it`,
      );
    }
    if (db.pragma('application_id', { simple: true }) !== applicationId && hasTables(db)) {
      throw new ServiceError('SPOOL_OPEN_FAILED', `${path} is a database of another program, not a spool: choose another path`);
    }
  } finally {
    db.close();
  }
}

/** Upgrades the schema to the newest version, all steps in one transaction; returns the number of steps. */
export function migrate(db: Database.Database, steps: readonly Migration[] = migrations): number {
  const pending = steps.slice(versionOf(db));
  const run = db.transaction(() => {
    for (const step of pending) step(db);
    db.pragma(`application_id = ${applicationId}`);
    db.pragma(`user_version = ${steps.length}`);
  });
  if (pending.length > 0) run.exclusive();
  return pending.length;
}

export function versionOf(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}

function hasTables(db: Database.Database): boolean {
  return db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined;
}

/**
 * `state` is 0 waiting, 1 ready, 2 claimed. `body` is the last column: reading another column never reads it.
 */
function createTables(db: Database.Database): void {
  db.exec(`
    CREATE TABLE deliveries (
      seq INTEGER PRIMARY KEY,
      state INTEGER NOT NULL,
      due INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      failing_since INTEGER,
      id TEXT NOT NULL,
      packet_id TEXT NOT NULL,
      host TEXT NOT NULL,
      handler TEXT NOT NULL,
      pool TEXT NOT NULL,
      lane TEXT,
      sender TEXT NOT NULL,
      receiver TEXT NOT NULL,
      seen_at INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      target TEXT NOT NULL,
      body ANY NOT NULL
    ) STRICT;
    CREATE INDEX ready ON deliveries (pool, due, seq) WHERE state = 1;
    CREATE INDEX deferred ON deliveries (pool, created_at) WHERE state = 1 AND due <> created_at;
    CREATE INDEX lanes ON deliveries (lane, seq) WHERE lane IS NOT NULL AND state < 2;
    CREATE INDEX claimed ON deliveries (state) WHERE state = 2;

    CREATE TABLE attempts (
      nr INTEGER PRIMARY KEY,
      seq INTEGER NOT NULL,
      number INTEGER NOT NULL,
      at INTEGER NOT NULL,
      outcome TEXT NOT NULL
    ) STRICT;
    CREATE INDEX attempts_of ON attempts (seq, nr);

    CREATE TABLE dead (
      nr INTEGER PRIMARY KEY,
      seq INTEGER,
      id TEXT NOT NULL,
      packet_id TEXT NOT NULL,
      host TEXT NOT NULL,
      handler TEXT NOT NULL,
      pool TEXT NOT NULL,
      lane TEXT,
      sender TEXT NOT NULL,
      receiver TEXT NOT NULL,
      reason TEXT NOT NULL,
      detail TEXT NOT NULL,
      status INTEGER,
      attempts INTEGER NOT NULL,
      seen_at INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      died_at INTEGER NOT NULL,
      target TEXT,
      packet TEXT,
      body ANY
    ) STRICT;
    CREATE INDEX dead_by_age ON dead (died_at, nr);
    CREATE INDEX dead_by_id ON dead (id, nr);

    CREATE TABLE marks (
      attachment TEXT NOT NULL,
      host TEXT NOT NULL,
      node TEXT NOT NULL,
      epoch TEXT NOT NULL,
      h INTEGER NOT NULL,
      PRIMARY KEY (attachment, host, node)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE depths (
      pool TEXT PRIMARY KEY,
      waiting INTEGER NOT NULL,
      dead INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE holder (one INTEGER PRIMARY KEY CHECK (one = 1), pid INTEGER NOT NULL) STRICT;
  `);
}

/**
 * A pool's deliveries are claimed handler by handler, first attempts apart from retries. `left_lane` is the lane that a failing head has left, `past` counts attempts before a replay, `context` is JSON.
 */
function separateQueues(db: Database.Database): void {
  db.exec(`
    ALTER TABLE deliveries ADD COLUMN left_lane TEXT;
    ALTER TABLE deliveries ADD COLUMN past INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN context TEXT;
    ALTER TABLE attempts ADD COLUMN judgement TEXT;

    DROP INDEX ready;
    CREATE INDEX ready ON deliveries (pool, handler, attempts > 0, due) WHERE state = 1;

    DROP TABLE depths;
    CREATE TABLE depths (
      pool TEXT NOT NULL,
      handler TEXT NOT NULL,
      waiting INTEGER NOT NULL,
      dead INTEGER NOT NULL,
      PRIMARY KEY (pool, handler)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO depths SELECT pool, handler, sum(waiting), sum(dead) FROM (
      SELECT pool, handler, 1 AS waiting, 0 AS dead FROM deliveries UNION ALL SELECT pool, handler, 0, 1 FROM dead
    ) GROUP BY pool, handler;

    CREATE TABLE paused (pool TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  `);
}

/** `noted` is the number that `commit-loss.ts` also keeps in a separate file. */
function countCommits(db: Database.Database): void {
  db.exec('ALTER TABLE holder ADD COLUMN noted INTEGER NOT NULL DEFAULT 0');
}

/**
 * `hot` holds deliveries that were claimed by the commit that stored them, without an index. `settled` notes, commit by commit, the
 * numbers of those that are settled and not deleted yet, as JSON.
 */
function separateHot(db: Database.Database): void {
  db.exec(`
    CREATE TABLE hot (
      seq INTEGER PRIMARY KEY, id TEXT NOT NULL, packet_id TEXT NOT NULL, host TEXT NOT NULL, handler TEXT NOT NULL,
      pool TEXT NOT NULL, lane TEXT, sender TEXT NOT NULL, receiver TEXT NOT NULL, seen_at INTEGER NOT NULL,
      created_at INTEGER NOT NULL, target TEXT NOT NULL, body ANY NOT NULL
    ) STRICT;
    CREATE TABLE settled (nr INTEGER PRIMARY KEY, seqs TEXT NOT NULL) STRICT;
    CREATE VIEW unsettled AS SELECT * FROM hot WHERE seq NOT IN (SELECT value FROM settled, json_each(settled.seqs));
  `);
}

/** `facts` of the packet, by which an operator finds its deliveries. Null in older rows. */
function keepFacts(db: Database.Database): void {
  for (const table of ['deliveries', 'hot', 'dead']) db.exec(`ALTER TABLE ${table} ADD COLUMN facts TEXT`);
}
