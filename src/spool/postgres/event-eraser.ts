import { DatabaseError } from 'pg';
import type { EpochMs } from '../../kit/clock.ts';
import type { EraseChunk, ErasedChunk, ErasureRequest, FileState } from '../erasure-requests.ts';
import { parseTarget } from '../sqlite/protocol.ts';
import type { Connection } from './connection.ts';
import type { Pending } from './pending-delivery.ts';
import type { Session } from './session.ts';
import type { SpoolState } from './spool-state.ts';
import { storable } from './write-set.ts';

/** Rows that one transaction reads. Deliveries continue between two. */
const chunkRows = 250;

/** How long a rewrite waits for other sessions that use a table, ms: no delivery can be stored meanwhile. */
const lockTimeoutMs = 500;

/** How long a rewrite of one table may take, ms, before its connection counts as lost. */
const rewriteTimeoutMs = 6 * 3_600_000;

const erasedTables = ['deliveries', 'dead', 'attempts', 'history'] as const;

/**
 * An event concerns a user who sent or receives it, and a message also the user in whose name it is sent. Lanes name the users of a
 * conversation. `$1` is the JID, `$2` the JID between spaces or null, `$3` the JID as JSON text, for targets that must be read.
 */
function concerns(...lanes: readonly string[]): string {
  return [`$1 IN (sender, receiver, lower(receiver))`, ...lanes.map((lane) => `strpos(' ' || ${lane} || ' ', $2) > 0`)].join(' OR ');
}

/** Rows that may concern the user. `isCertain` is false or null where only the target can show it. */
function rowsOf(table: 'dead' | 'deliveries', range: string): string {
  const [key, test] = table === 'dead' ? ['nr, seq', concerns('lane')] : ['seq, created_at', concerns('lane', 'left_lane')];
  return `SELECT pool, handler, ${test}, CASE WHEN strpos(target, $3) > 0 THEN target END, ${key} FROM ${table}
    WHERE ${range} AND (${test} OR strpos(target, $3) > 0)`;
}

const statements = {
  dead: `${rowsOf('dead', 'nr >= $4 AND nr < $5')} ORDER BY nr DESC`,
  deadEdge: `SELECT nr FROM dead WHERE nr < $1 ORDER BY nr DESC LIMIT 1 OFFSET ${chunkRows - 1}`,
  pending: `${rowsOf('deliveries', 'seq >= $4 AND seq < $5')} ORDER BY seq DESC`,
  pendingEdge: `SELECT seq FROM deliveries WHERE seq < $1 ORDER BY seq DESC LIMIT 1 OFFSET ${chunkRows - 1}`,
  held: rowsOf('deliveries', 'seq = ANY ($4::bigint[])'),
  size: `SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint, coalesce(bool_and(pg_has_role(relowner, 'USAGE')), false)
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = ANY ($1::text[])`,
} as const;

type SharedColumns = [pool: string, handler: string, isCertain: boolean | null, target: string | null];
type PendingColumns = [...SharedColumns, seq: number, createdAt: EpochMs];
type DeadColumns = [...SharedColumns, nr: number, seq: number | null];

/** Erases the events of a user. All earlier changes are committed before a request begins. */
export class EventEraser {
  readonly #session: Session;
  readonly #state: SpoolState;
  #file: FileState | undefined;

  constructor(session: Session, state: SpoolState) {
    this.#session = session;
    this.#state = state;
  }

  async run(request: ErasureRequest): Promise<ErasedChunk | FileState | number | undefined> {
    switch (request.kind) {
      case 'chunk':
        return request.table === 'dead' ? this.#eraseDead(request) : this.#erasePending(request);
      case 'held':
        return this.#held(request);
      case 'clean':
        this.#file = await this.#clean(request.rewriteBytes);
        return undefined;
      case 'cleaned':
        return this.#file;
      default:
        return request satisfies never;
    }
  }

  async #erasePending({ jid, dryRun, below, before }: EraseChunk): Promise<ErasedChunk> {
    const edge = await this.#edge(statements.pendingEdge, below);
    const rows = await this.#read<PendingColumns>(statements.pending, jid, edge ?? 0, below);
    const found = rows.flatMap(([, , , , seq, createdAt]) => {
      const pending = this.#state.pending.find(seq);
      return pending === undefined || (pending.state === 'claimed' && createdAt >= before) ? [] : [pending];
    });
    const waiting = found.filter(({ state }) => state !== 'claimed');
    const erased = waiting.map(({ queue: { pool, handler } }) => ({ pool, handler }));
    return { erased, held: found.length - waiting.length, readyPools: dryRun ? [] : this.#removePending(waiting), more: edge };
  }

  /** The next deliveries of the lanes are promoted when all are removed. */
  #removePending(removed: readonly Pending[]): readonly string[] {
    const heads = removed.filter(({ state }) => state === 'ready').map(({ lane, queue }) => [lane?.name, queue] as const);
    for (const pending of removed) this.#state.remove(pending);
    const readyPools = heads.flatMap(([lane, queue]) => this.#state.pending.promote(lane, queue, 0).readyPool ?? []);
    return [...new Set(readyPools)];
  }

  async #eraseDead({ jid, dryRun, below }: EraseChunk): Promise<ErasedChunk> {
    const edge = await this.#edge(statements.deadEdge, below);
    const rows = await this.#read<DeadColumns>(statements.dead, jid, edge ?? 0, below);
    const erased = rows.map(([pool, handler]) => ({ pool, handler }));
    if (!dryRun) for (const [pool, handler, , , nr, seq] of rows) this.#state.removeDead({ nr, seq, pool, handler });
    return { erased, held: 0, readyPools: [], more: edge };
  }

  async #held({ jid, before }: { readonly jid: string; readonly before: EpochMs }): Promise<number> {
    const claimed = this.#state.pending.allClaimed().filter(({ createdAt }) => createdAt < before);
    if (claimed.length === 0) return 0;
    const seqs = claimed.map(({ seq }) => seq);
    return (await this.#read<PendingColumns>(statements.held, jid, seqs)).length;
  }

  /** The lowest number of the chunk; undefined if it is the last one. */
  async #edge(text: string, below: number): Promise<number | undefined> {
    const [row] = await this.#session.read<[nr: number]>({ name: '', text, values: [below] });
    return row?.[0];
  }

  async #read<Row extends [...SharedColumns, ...unknown[]]>(
    text: string,
    jid: string,
    ...range: readonly unknown[]
  ): Promise<readonly Row[]> {
    const word = /^[^ ]*@[^ ]*$/.test(jid) ? ` ${jid} ` : null;
    const values = [storable(jid), word, JSON.stringify(jid), ...range];
    const rows = await this.#session.read<Row>({ name: '', text, values });
    return rows.filter(([, , isCertain, target]) => isCertain === true || isInNameOf(target, jid));
  }

  /** A rewrite leaves no deleted row in the files of the tables, unless another session may still read it. */
  async #clean(rewriteBytes: number): Promise<FileState> {
    return await this.#session.use(async (connection) => {
      const [size] = await connection.query<[bytes: number, isOwner: boolean]>(statements.size, [erasedTables]);
      const [bytes, isOwner] = size ?? [0, false];
      if (!isOwner) return 'not-owner';
      return bytes > rewriteBytes ? 'too-large' : await rewrite(connection);
    });
  }
}

/** A lock that another session holds, and a lack of disk space, are results; other errors are those of the connection. */
async function rewrite(connection: Connection): Promise<FileState> {
  await connection.query(`SET lock_timeout = ${lockTimeoutMs}`);
  let kept = 0;
  try {
    for (const table of erasedTables) {
      const details = await connection.detailsOf(`VACUUM (FULL, VERBOSE) ${table}`, rewriteTimeoutMs);
      kept += details.reduce((sum, detail) => sum + Number(/^\d+/.exec(detail)?.[0] ?? 0), 0); // rows that cannot be removed yet
    }
    return kept > 0 ? 'in-use' : 'rewritten';
  } catch (error) {
    const code = error instanceof DatabaseError ? error.code : undefined;
    if (code === lockNotAvailable) return 'in-use';
    if (code === diskFull) return 'failed';
    throw error;
  } finally {
    await connection.query('SET lock_timeout = 0').catch(() => undefined); // the connection is lost, and its settings with it
  }
}

const lockNotAvailable = '55P03';
const diskFull = '53100';

/** Whether it is the target of a message that is sent in the name of the user. */
function isInNameOf(text: string | null, jid: string): boolean {
  if (text === null) return false;
  const target = parseTarget(text);
  return target.kind === 'xmpp' && target.from === jid;
}
