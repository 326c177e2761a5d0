/** Searches the history in its table, and erases from it, on a connection of its own: deliveries do not wait for it. */
import type { Clock, EpochMs } from '../../kit/clock.ts';
import { type ErasedRecords, linesOf, type RecordErasure } from '../history/erase.ts';
import { type HistoryPage, type HistoryQuery, type LocatedRecord, matchesIn, nextGroup } from '../history/search.ts';
import { Connection } from './connection.ts';
import type { Opening } from './protocol.ts';

/** Bytes of records that are read at once; at least one group. */
const readBytes = 4 * 1024 * 1024;

/** Limits each statement, ms. */
const statementTimeoutMs = 20_000;

type Task = (HistoryQuery & { readonly kind: 'search' }) | (RecordErasure & { readonly kind: 'erase' });
type Group = [ends: number, records: string];

export async function runTableTask(opening: Opening, task: Task, clock: Pick<Clock, 'monotonic'>): Promise<ErasedRecords | HistoryPage> {
  const connection = new Connection(opening.url);
  try {
    await connection.open();
    await connection.query(
      `SET search_path TO "${opening.schema}"; SET enable_seqscan = off; SET statement_timeout = ${statementTimeoutMs}`,
    );
    return task.kind === 'erase' ? await eraseGroups(connection, task, clock) : await searchGroups(connection, task, clock);
  } finally {
    await connection.close();
  }
}

/** The number of a group is its end. */
async function searchGroups(connection: Connection, query: HistoryQuery, clock: Pick<Clock, 'monotonic'>): Promise<HistoryPage> {
  const { limit, backward, after, withinMs } = query;
  const until = clock.monotonic() + withinMs;
  const records: LocatedRecord[] = [];
  let range: Range | undefined = await rangeOf(connection, query);
  while (range !== undefined) {
    const groups: readonly Group[] = await connection.query(backward ? earlierGroups : laterGroups, [...range, readBytes]);
    for (const [ends, text] of groups) {
      const bound = after?.[0] === ends ? after[1] : undefined;
      for (const located of matchesIn({ number: ends, bytes: Buffer.from(text) }, query, bound)) {
        records.push(located);
        if (records.length === limit) return { records, more: located.position };
      }
    }
    const last = groups.at(-1)?.[0];
    range = last === undefined ? undefined : backward ? [range[0], last - 1] : [last + 1, range[1]];
    if (range !== undefined && last !== undefined && clock.monotonic() >= until)
      return { records, more: [last, backward ? 0 : Number.MAX_SAFE_INTEGER] };
  }
  return { records, more: undefined };
}

/** Ends of the first and the last group, both included. */
type Range = readonly [first: number, last: number];

/** The groups that may contain a match. The time of a group is not earlier than its records, and those of the next group are later. */
async function rangeOf(connection: Connection, { filter: { since, before }, backward, after }: HistoryQuery): Promise<Range | undefined> {
  const firstAt = async (at: EpochMs): Promise<number | undefined> => (await connection.query<[ends: number]>(firstSince, [at]))[0]?.[0];
  let first = since === undefined ? 0 : await firstAt(since);
  let last = (before === undefined ? undefined : await firstAt(before)) ?? Number.MAX_SAFE_INTEGER;
  if (first === undefined) return undefined;
  if (after !== undefined && backward) last = Math.min(last, nextGroup(after, backward));
  if (after !== undefined && !backward) first = Math.max(first, nextGroup(after, backward));
  return [first, last];
}

const firstSince = 'SELECT ends FROM history WHERE at >= $1 ORDER BY at, ends LIMIT 1';

const laterGroups = `SELECT ends, records FROM history WHERE ends >= $1 AND ends <= least($2::bigint,
  (SELECT ends FROM history WHERE ends >= (SELECT ends FROM history WHERE ends >= $1 ORDER BY ends LIMIT 1) + $3::bigint ORDER BY ends LIMIT 1))
  ORDER BY ends`;

const earlierGroups = `SELECT ends, records FROM history WHERE ends >= $1 AND ends <= $2
  AND ends > (SELECT ends FROM history WHERE ends <= $2 ORDER BY ends DESC LIMIT 1) - $3::bigint ORDER BY ends DESC`;

/** Erased lines become spaces, so that the positions of all others stay valid. */
async function eraseGroups(connection: Connection, erasure: RecordErasure, clock: Pick<Clock, 'monotonic'>): Promise<ErasedRecords> {
  const { jid, dryRun, after, withinMs } = erasure;
  const until = clock.monotonic() + withinMs;
  let [count, done] = [0, after];
  for (;;) {
    const groups = await connection.query<[ends: number, records: string | null]>(namingGroups, [
      done + 1,
      Number.MAX_SAFE_INTEGER,
      readBytes,
      JSON.stringify(jid),
    ]);
    for (const [ends, text] of groups) {
      if (text === null) continue;
      const bytes = Buffer.from(text);
      const lines = linesOf(jid, bytes);
      count += lines.length;
      for (const { start, end } of lines) bytes.fill(' ', start, end);
      if (!dryRun && lines.length > 0) await connection.query('UPDATE history SET records = $2 WHERE ends = $1', [ends, bytes.toString()]);
    }
    const last = groups.at(-1)?.[0];
    if (last === undefined) return { count, more: undefined };
    done = last;
    if (clock.monotonic() >= until) return { count, more: done };
  }
}

/** The text only of groups that name the user. */
const namingGroups = laterGroups.replace('SELECT ends, records', 'SELECT ends, CASE WHEN strpos(records, $4) > 0 THEN records END');
