import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, ServiceError, toError } from '../../kit/errors.ts';
import { type Backoff, backoffMs, systemRandom } from '../../kit/pacing.ts';
import { Connection } from './connection.ts';
import type { Opening } from './protocol.ts';
import { migrate } from './schema.ts';
import { isTemporary, isTimeout } from './server-errors.ts';
import type { Statement, WriteSet } from './write-set.ts';

/** How long to wait for the end of an earlier session, ms. The server notices at once that a process was killed, but not that a machine is gone. */
const lockWaitMs = 3000;
const lockEveryMs = 100;

/** How long a statement may take at first, and at most, before its connection counts as lost, ms. */
const defaultTimeoutMs = 30_000;
const maxTimeoutMs = 3_600_000;

const reconnectBackoff: Backoff = { firstMs: 100, capMs: 2000, jitter: 0.2 };

/** The epoch of the owner, and the number of the last transaction. */
type OwnerRow = [epoch: number, batch: number];

/**
 * The session of the process that owns the spool. The owner holds an advisory lock for as long as its session lasts, and has an epoch:
 * each change is conditional on the epoch, so a process whose session has ended cannot write after another one has taken over.
 *
 * If the connection is lost, calls wait until there is a new one. Each transaction has a number, which it stores: after an unknown result
 * of a commit, the number shows whether it took place. Phases: opening → open ⇄ stalled → closed.
 */
export class Session {
  readonly #opening: Opening;
  readonly #onStalled: (reason: string) => void;
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #epoch = 0;
  #batch = 0;

  constructor(opening: Opening, onStalled: (reason: string) => void) {
    this.#opening = opening;
    this.#onStalled = onStalled;
  }

  /** Connects, takes the lock, upgrades the schema and begins an epoch. Throws SPOOL_LOCKED, SPOOL_TOO_NEW or SPOOL_OPEN_FAILED. */
  async open(): Promise<void> {
    this.#connection = await this.#connect(async (connection) => {
      await this.#awaitLock(connection);
      await migrate(connection, this.#opening.schema);
      const text = 'UPDATE owner SET epoch = epoch + 1, holder = $1 RETURNING epoch, batch';
      await this.#own(connection, text, `process ${process.pid} on ${hostname()}`);
    });
  }

  /** Waits while there is no connection. */
  read<Row extends unknown[]>(statement: Statement): Promise<readonly Row[]> {
    return this.use((connection, timeoutMs) => connection.run<Row>(statement, timeoutMs));
  }

  /** Commits a set of changes, once. Waits while there is no connection. Throws SPOOL_LOCKED if another process has taken over. */
  async commit(writes: WriteSet): Promise<void> {
    if (writes.isEmpty) return;
    const batch = this.#batch + 1;
    const statement = writes.statement({ epoch: this.#epoch, batch });
    await this.use(async (connection, timeoutMs) => {
      if (this.#batch === batch) return; // it was committed before the connection was lost
      const owned = await connection.run(statement, timeoutMs);
      if (owned.length === 0) throw await this.#lockedError(connection);
      this.#batch = batch;
    });
  }

  /** Ends all waits, also for a connection that is being made: calls that wait for one fail. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connection?.close();
  }

  /**
   * Runs work on the connection, and repeats it on a new one if the connection is lost. A connection that does not answer counts as lost;
   * since the server may only be slow, each repetition may take twice as long.
   */
  async use<T>(work: (connection: Connection, timeoutMs: number) => Promise<T>): Promise<T> {
    const { queryTimeoutMs = defaultTimeoutMs } = this.#opening;
    for (let failures = 0, timeoutMs = queryTimeoutMs; ; failures += 1) {
      if (this.#closing.signal.aborted) throw new ServiceError('SPOOL_FAILED', `the spool at ${this.#opening.address} is stopped`);
      try {
        this.#connection ??= await this.#reconnect();
        return await work(this.#connection, timeoutMs);
      } catch (thrown) {
        const error = toError(thrown);
        if (!isTemporary(error)) throw error;
        if (isTimeout(error)) timeoutMs = Math.min(2 * timeoutMs, maxTimeoutMs);
        this.#connection?.abandon();
        this.#connection = undefined;
        this.#onStalled(`no commit in PostgreSQL at ${this.#opening.address}: ${messageOf(error)}`);
        if (failures > 0) await this.#sleep(backoffMs(reconnectBackoff, failures, systemRandom));
      }
    }
  }

  /**
   * Takes the lock again, and first ends the lost session if the server still has it: its last transaction is then either committed or
   * rolled back. The update is a commit of its own, so a synchronous standby has everything before it as well. At most one transaction
   * has an unknown result; if others are missing, the facts in memory no longer agree with the database.
   */
  #reconnect(): Promise<Connection> {
    return this.#connect(async (connection) => {
      if (!(await this.#tryLock(connection))) {
        const [owner] = await connection.query<OwnerRow>('SELECT epoch, batch FROM owner');
        if (owner?.[0] !== this.#epoch) throw await this.#lockedError(connection);
        await connection.query(endHolderOfLock, [this.#opening.schema]);
        await this.#awaitLock(connection);
      }
      const last = this.#batch;
      await this.#own(connection, 'UPDATE owner SET holder = holder WHERE epoch = $1 RETURNING epoch, batch', this.#epoch);
      if (this.#batch < last || this.#batch > last + 1) throw this.#commitsLost();
    });
  }

  async #own(connection: Connection, text: string, value: number | string): Promise<void> {
    const [owner] = await connection.query<OwnerRow>(text, [value]);
    if (owner === undefined) throw await this.#lockedError(connection);
    [this.#epoch, this.#batch] = owner;
  }

  /** Opens a connection and prepares it; if that fails, or the session is closed meanwhile, it is closed. */
  async #connect(prepare: (connection: Connection) => Promise<void>): Promise<Connection> {
    const connection = new Connection(this.#opening.url);
    const abandon = () => connection.abandon();
    this.#closing.signal.addEventListener('abort', abandon);
    try {
      await connection.open();
      await this.#check(connection);
      await connection.query(settingsOf(this.#opening.schema));
      await prepare(connection);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    } finally {
      this.#closing.signal.removeEventListener('abort', abandon);
    }
  }

  async #check(connection: Connection): Promise<void> {
    const problem = await serverProblem(connection);
    if (problem === undefined) return;
    throw new ServiceError('SPOOL_OPEN_FAILED', `cannot keep the spool in PostgreSQL at ${this.#opening.address}: ${problem}`);
  }

  async #awaitLock(connection: Connection): Promise<void> {
    for (let attempt = 0; attempt * lockEveryMs < lockWaitMs && !this.#closing.signal.aborted; attempt += 1) {
      if (await this.#tryLock(connection)) return;
      await this.#sleep(lockEveryMs);
    }
    throw await this.#lockedError(connection);
  }

  async #tryLock(connection: Connection): Promise<boolean> {
    const [row] = await connection.query<[isLocked: boolean]>(`SELECT pg_try_advisory_lock(${lockKey})`, [this.#opening.schema]);
    return row?.[0] === true;
  }

  /** Until the time has passed, or the session is closed. */
  async #sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }

  #commitsLost(): ServiceError {
    const text = `PostgreSQL at ${this.#opening.address} lacks transactions that it had committed, as after a failover to a standby that was behind, or a restore: the spool is read again`;
    return new ServiceError('SPOOL_FAILED', text);
  }

  async #lockedError(connection: Connection): Promise<ServiceError> {
    const { address, schema } = this.#opening;
    const [row] = await connection.query<[holder: string]>('SELECT holder FROM owner').catch(() => []);
    const holder = row?.[0] ?? 'another process';
    return new ServiceError(
      'SPOOL_LOCKED',
      `the spool in schema ${schema} of PostgreSQL at ${address} is used by ${holder}: stop it first`,
    );
  }
}

/** The key of the advisory lock, from the name of the schema; it is local to the database. */
const lockKey = "hashtextextended('event-pusher spool ' || $1::text, 0)";

/** The session that holds the lock, unless it is this one. */
export const holderOfLock = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = ${lockKey}`;

const endHolderOfLock = `SELECT pg_terminate_backend(pid) FROM (${holderOfLock}) AS holder`;

/** Limits that a role or database may have: they would end statements that wait for others, and the session of an idle service. */
const timeouts =
  "'statement_timeout', 'lock_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'";

/** Tables are found by their keys, whatever the statistics of the planner are: they are empty at one time and full at another. */
function settingsOf(schema: string): string {
  return `SET search_path TO "${schema}"; SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan;
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN (${timeouts})`;
}

type ServerSettings = [version: number, encoding: string, fsync: string, synchronousCommit: string];

const serverSettings = `SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), current_setting('fsync'),
  current_setting('synchronous_commit')`;

/** Why the server cannot keep a spool. */
export async function serverProblem(connection: Connection): Promise<string | undefined> {
  const [settings] = await connection.query<ServerSettings>(serverSettings);
  return settings && problemOf(settings);
}

function problemOf([version, encoding, fsync, synchronousCommit]: ServerSettings): string | undefined {
  if (version < 150_000) return `its version number is ${version}: PostgreSQL 15 or later is required`;
  if (encoding !== 'UTF8') return `the database has the encoding ${encoding}: create one with the encoding UTF8`;
  if (fsync === 'off') return 'fsync is off, so a crash of the machine would lose accepted events: set it to on';
  if (synchronousCommit === 'off')
    return 'synchronous_commit is off, so a crash of the server would lose accepted events: set it to on for this role';
  return undefined;
}
