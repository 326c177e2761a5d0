/** Reads a spool in PostgreSQL from another process, whether a service uses it or not, and changes nothing. */
import type { PostgresConfig } from '../../config/config.ts';
import type { EpochMs } from '../../kit/clock.ts';
import { messageOf, ServiceError, toError } from '../../kit/errors.ts';
import type { Fault, SpoolInfo } from '../inspect.ts';
import { Connection } from './connection.ts';
import { openingOf } from './protocol.ts';
import { migrations, versionOf } from './schema.ts';
import { holderOfLock, serverProblem } from './session.ts';

/** Limits each statement, ms: those that count read whole tables. */
const statementTimeoutMs = 10 * 60_000;

/** Whether there is a spool. Throws as {@link readSchema}. */
export async function holdsSpool(config: PostgresConfig): Promise<boolean> {
  return (await readSchema(config, async () => true)) === true;
}

/** Undefined if there is no spool; of an old schema only its size and version. Throws as {@link readSchema}. */
export function readTables(config: PostgresConfig): Promise<SpoolInfo | undefined> {
  return readSchema(config, async (connection, { version, isOld, place }) => {
    const [size] = await connection.query<[bytes: number]>(
      'SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = $2',
      [config.schema, 'r'],
    );
    const [lock] = await connection.query<[isHeld: boolean]>(`SELECT EXISTS (${holderOfLock})`, [config.schema]);
    const [owner] = await connection.query<[holder: string]>('SELECT holder FROM owner');
    const shared = { path: place, bytes: size?.[0] ?? 0, version, isOld, holder: lock?.[0] === true ? (owner?.[0] ?? '') : null };
    if (isOld) return { ...shared, queues: [], oldest: new Map(), marks: [], paused: [] };
    const counts = await connection.query<[pool: string, handler: string, waiting: number, dead: number]>(countedQueues);
    const oldest = await connection.query<[pool: string, at: EpochMs]>(
      'SELECT pool, min(created_at) FROM deliveries GROUP BY 1 ORDER BY 1',
    );
    const marks = await connection.query<[string, string, string, string, number]>(
      'SELECT attachment, host, node, epoch, h FROM marks ORDER BY 1, 2, 3',
    );
    const paused = await connection.query<[pool: string]>('SELECT pool FROM paused ORDER BY 1');
    return {
      ...shared,
      queues: counts.map(([pool, handler, waiting, dead]) => ({ pool, handler, waiting, dead })),
      oldest: new Map(oldest),
      marks: marks.map(([attachment, host, node, epoch, h]) => ({ attachment, host, node, epoch, h })),
      paused: paused.map(([pool]) => pool),
    };
  });
}

/** Limits the statements of {@link tryDatabase}, which read catalogues only, ms. */
const tryTimeoutMs = 5000;

/**
 * Whether a service could keep its spool in the database, and what its start would find. Changes nothing. Throws SPOOL_TOO_NEW,
 * SPOOL_OPEN_FAILED with what to do, or the error of the connection or server.
 */
export async function tryDatabase(config: PostgresConfig): Promise<string> {
  const { url, address, schema } = openingOf(config);
  const connection = new Connection(url);
  try {
    await connection.open();
    await connection.query(
      `SET statement_timeout = ${tryTimeoutMs}; SET search_path TO "${schema}"; SET default_transaction_read_only = on`,
    );
    const version = await versionOf(connection, schema);
    const problem = (await serverProblem(connection)) ?? (await rightsProblem(connection, { schema, version }));
    if (problem !== undefined) throw new ServiceError('SPOOL_OPEN_FAILED', `${address}: ${problem}`);
    if (version === 0) return `${address} is reachable; the first start creates the schema ${schema}`;
    return `${address} is reachable, and holds a spool in the schema ${schema}${version < migrations.length ? ', which the next start upgrades' : ''}`;
  } finally {
    await connection.close();
  }
}

type Rights = [
  role: string,
  isStandby: boolean,
  mayCreateSchema: boolean,
  mayCreateTables: boolean,
  missing: string | null,
  foreign: string | null,
];

const rights = `SELECT current_user::text, pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE'),
  coalesce((SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1), true),
  (SELECT string_agg(relname, ', ') FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND NOT (has_table_privilege(oid, 'SELECT')
    AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))),
  (SELECT string_agg(relname, ', ') FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' AND NOT pg_has_role(relowner, 'USAGE'))`;

/** What the role lacks for a start: an up-to-date schema needs only rows to be read and written. */
async function rightsProblem(
  connection: Connection,
  { schema, version }: { readonly schema: string; readonly version: number },
): Promise<string | undefined> {
  const [row] = await connection.query<Rights>(rights, [schema]);
  if (row === undefined) return undefined;
  const [role, isStandby, mayCreateSchema, mayCreateTables, missing, foreign] = row;
  if (isStandby) return 'it is a standby, which cannot be written to: name the primary in [spool] url';
  if (version === 0 && !mayCreateSchema)
    return `the role ${role} may not create the schema ${schema}: GRANT CREATE ON DATABASE … TO ${role}`;
  if (version < migrations.length && !mayCreateTables)
    return `the role ${role} may not create tables in the schema ${schema}: GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${role}`;
  if (version < migrations.length && foreign !== null)
    return `the role ${role} cannot upgrade tables of another owner (${foreign}): start once as their owner, or change the owner`;
  if (missing !== null)
    return `the role ${role} may not read and write ${missing}: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`;
  return undefined;
}

const countedQueues = `SELECT pool, handler, sum(waiting)::bigint, sum(dead)::bigint FROM (
    SELECT pool, handler, count(*) AS waiting, 0 AS dead FROM deliveries GROUP BY 1, 2
    UNION ALL SELECT pool, handler, 0, count FROM dead_counts
  ) AS counts GROUP BY 1, 2 HAVING sum(waiting) > 0 OR sum(dead) > 0 ORDER BY 1, 2`;

/** Checks the rules that PostgreSQL does not; undefined if there is no spool. An old schema is upgraded before it is used. */
export function checkTables(config: PostgresConfig): Promise<readonly Fault[] | undefined> {
  return readSchema(config, async (connection, { isOld }) => {
    const faults: Fault[] = [];
    if (isOld) return faults;
    for (const { sql, what, remedy } of rules) {
      const [row] = await connection.query<[count: number]>(`SELECT count(*) FROM (${sql}) AS violations`);
      const count = row?.[0] ?? 0;
      if (count > 0) faults.push({ what: `${count} ${what}`, remedy });
    }
    return faults;
  });
}

const report = 'no delivery is affected: report it with a dump of the schema (`pg_dump`)';

/** Each statement returns one row per violation. */
const rules: readonly { readonly sql: string; readonly what: string; readonly remedy: string }[] = [
  {
    sql: `SELECT FROM (SELECT pool, handler, count(*) AS dead, 0 AS counted FROM dead GROUP BY 1, 2
        UNION ALL SELECT pool, handler, 0, count FROM dead_counts) AS counts GROUP BY pool, handler HAVING sum(dead) <> sum(counted)`,
    what: 'queues have a number of dead letters that differs from their counter',
    remedy: report,
  },
  {
    sql: `SELECT FROM deliveries d WHERE attempts + past <> (SELECT count(*) FROM attempts a WHERE a.seq = d.seq)`,
    what: 'deliveries have a number of attempts that differs from their attempt records',
    remedy: report,
  },
  {
    sql: `SELECT FROM attempts a WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.seq = a.seq) AND NOT EXISTS (SELECT FROM dead WHERE dead.seq = a.seq)`,
    what: 'attempt records belong to no delivery',
    remedy: report,
  },
  {
    sql: `SELECT FROM (SELECT ends - octet_length(records) AS starts, lag(ends) OVER (ORDER BY ends) AS before FROM history) AS groups
      WHERE starts <> before`,
    what: 'groups of the history do not follow the one before',
    remedy: report,
  },
];

interface OpenSchema {
  /** Schema, and address of the database. */
  readonly place: string;
  readonly version: number;
  readonly isOld: boolean;
}

/** Reads one state of the schema. Undefined if it holds no spool. Throws SPOOL_TOO_NEW and SPOOL_OPEN_FAILED. */
async function readSchema<T>(
  config: PostgresConfig,
  read: (connection: Connection, schema: OpenSchema) => Promise<T>,
): Promise<T | undefined> {
  const { url, address, schema } = openingOf(config);
  const connection = new Connection(url);
  try {
    await connection.open();
    await connection.query(
      `SET search_path TO "${schema}"; SET statement_timeout = ${statementTimeoutMs}; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`,
    );
    const version = await versionOf(connection, schema);
    if (version === 0) return undefined;
    return await read(connection, { place: `schema ${schema} of ${address}`, version, isOld: version < migrations.length });
  } catch (thrown) {
    if (thrown instanceof ServiceError) throw thrown;
    const error = toError(thrown);
    throw new ServiceError('SPOOL_OPEN_FAILED', `cannot read the spool in PostgreSQL at ${address}: ${messageOf(error)}`, { cause: error });
  } finally {
    await connection.close();
  }
}
