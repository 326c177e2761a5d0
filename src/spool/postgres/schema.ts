import { ServiceError } from '../../kit/errors.ts';
import type { Connection } from './connection.ts';

/**
 * `migrations[n]` upgrades version n to n + 1; version 0 is an empty schema. Never edited once released: a later change is a further entry.
 *
 * A claim writes nothing, an append inserts one row of `deliveries`, and the settlement of a successful delivery deletes it. Only the key is
 * indexed, and a retry changes no indexed column, so it needs no new index entry while its page has space (a HOT update). Vacuum
 * settings are those of a queue: the table is small or empty most of the time, while many rows pass through it.
 */
export const migrations: readonly string[] = [
  `CREATE TABLE owner (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL DEFAULT 0,
    batch bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT ''
  ) WITH (fillfactor = 10);
  INSERT INTO owner DEFAULT VALUES;

  CREATE TABLE deliveries (
    seq bigint PRIMARY KEY,
    due bigint NOT NULL,
    attempts integer NOT NULL,
    past integer NOT NULL,
    failing_since bigint,
    status integer,
    context text,
    left_lane text,
    id text NOT NULL,
    packet_id text NOT NULL,
    host text NOT NULL,
    handler text NOT NULL,
    pool text NOT NULL,
    lane text,
    sender text NOT NULL,
    receiver text NOT NULL,
    seen_at bigint NOT NULL,
    created_at bigint NOT NULL,
    target text NOT NULL,
    body text,
    raw bytea,
    is_text boolean NOT NULL,
    facts text
  ) WITH (fillfactor = 90, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_threshold = 5000, toast.autovacuum_vacuum_scale_factor = 0.1, toast.autovacuum_vacuum_cost_delay = 0);

  CREATE TABLE attempts (
    seq bigint NOT NULL,
    nr bigint NOT NULL,
    number integer NOT NULL,
    at bigint NOT NULL,
    outcome text NOT NULL,
    judgement text,
    PRIMARY KEY (seq, nr)
  ) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

  CREATE TABLE dead (
    nr bigint PRIMARY KEY,
    seq bigint,
    id text NOT NULL,
    packet_id text NOT NULL,
    host text NOT NULL,
    handler text NOT NULL,
    pool text NOT NULL,
    lane text,
    sender text NOT NULL,
    receiver text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    status integer,
    attempts integer NOT NULL,
    seen_at bigint NOT NULL,
    created_at bigint NOT NULL,
    died_at bigint NOT NULL,
    target text,
    packet text,
    body text,
    raw bytea,
    is_text boolean NOT NULL,
    facts text
  );
  CREATE INDEX dead_by_age ON dead (died_at, nr);
  CREATE INDEX dead_by_id ON dead (id, nr);

  CREATE TABLE marks (
    attachment text NOT NULL,
    host text NOT NULL,
    node text NOT NULL,
    epoch text NOT NULL,
    h bigint NOT NULL,
    PRIMARY KEY (attachment, host, node)
  ) WITH (fillfactor = 50);

  CREATE TABLE paused (pool text PRIMARY KEY);`,

  `CREATE TABLE history (
    ends bigint PRIMARY KEY,
    at bigint NOT NULL,
    records text NOT NULL
  ) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_insert_threshold = -1,
    toast.autovacuum_vacuum_threshold = 5000, toast.autovacuum_vacuum_scale_factor = 0.1);
  CREATE INDEX history_by_time ON history (at);`,

  `CREATE TABLE dead_counts (
    pool text NOT NULL,
    handler text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (pool, handler)
  ) WITH (fillfactor = 50);
  INSERT INTO dead_counts SELECT pool, handler, count(*) FROM dead GROUP BY 1, 2;`,
];

/**
 * Creates or upgrades the schema in one transaction. The caller holds the lock of the spool. Does nothing if the schema is up to date, so a
 * role that may only read and write rows is enough then. Throws as {@link versionOf}.
 */
export async function migrate(connection: Connection, schema: string): Promise<void> {
  const version = await versionOf(connection, schema);
  if (version === migrations.length) return;
  const steps = migrations.slice(version);
  const note = `DELETE FROM spool_version; INSERT INTO spool_version VALUES (${migrations.length})`;
  const [exists] = await connection.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  const createSchema = exists === undefined ? `CREATE SCHEMA "${schema}";` : ''; // it needs a right on the database
  const create = version === 0 ? `${createSchema} CREATE TABLE spool_version (version integer NOT NULL);` : '';
  await connection.query(`BEGIN; ${create} ${steps.join('')} ${note}; COMMIT`);
}

/** 0 if there is no spool in the schema yet. Throws SPOOL_TOO_NEW, or SPOOL_OPEN_FAILED if it holds other tables. */
export async function versionOf(connection: Connection, schema: string): Promise<number> {
  const found = await connection.query<[name: string]>('SELECT tablename FROM pg_tables WHERE schemaname = $1', [schema]);
  const names = found.map(([name]) => name);
  if (names.length === 0) return 0;
  if (!names.includes('spool_version'))
    throw new ServiceError('SPOOL_OPEN_FAILED', `schema ${schema} holds tables of another program: choose another spool.schema`);
  const [row] = await connection.query<[version: number]>('SELECT version FROM spool_version');
  const version = row?.[0] ?? 0;
  if (version <= migrations.length) return version;
  throw new ServiceError(
    'SPOOL_TOO_NEW',
    `the spool in schema ${schema} has version ${version}; this service knows versions up to ${migrations.length}: run the version that wrote it`,
  );
}
