/** Searches the segments of a history. It reads files of many megabytes, so it runs in a thread of its own (`task.worker.ts`). */
import { readFileSync } from 'node:fs';
import type { Clock } from '../../kit/clock.ts';
import { readFacts } from '../../model/facts.ts';
import { idIn } from '../../model/packet.ts';
import { createEventTest, type EventFilter, type EventPosition } from '../event-store.ts';
import { type HistoryRecord, type RecordedState, readLine } from './record.ts';
import { listSegments, type Segment } from './segments.ts';

/** Lines of records that are read together, and their number in order: that of a segment. */
export interface RecordGroup {
  readonly number: number;
  readonly bytes: Buffer;
}

export interface HistoryQuery {
  readonly filter: EventFilter;
  readonly states: readonly RecordedState[];
  readonly limit: number;
  readonly backward: boolean;
  /** Number of a group, and offset of a line in it, which is excluded. */
  readonly after: EventPosition | undefined;
  /** Time after which the search ends with what was found so far, ms. */
  readonly withinMs: number;
}

export interface LocatedRecord {
  readonly record: HistoryRecord;
  readonly position: EventPosition;
}

export interface HistoryPage {
  readonly records: readonly LocatedRecord[];
  /** Where the search continues; undefined at the end. */
  readonly more: EventPosition | undefined;
}

/** Records in the order in which they were written, or the newest first. */
export function searchHistory(query: HistoryQuery & { readonly folder: string }, clock: Pick<Clock, 'monotonic'>): HistoryPage {
  const { folder, limit, backward, after, withinMs } = query;
  const until = clock.monotonic() + withinMs;
  const records: LocatedRecord[] = [];
  const segments = segmentsOf(listSegments(folder), query);
  for (const [index, segment] of segments.entries()) {
    const bound = after !== undefined && after[0] === segment.number ? after[1] : undefined;
    for (const located of matchesIn({ number: segment.number, bytes: read(segment) }, query, bound)) {
      records.push(located);
      if (records.length === limit) return { records, more: located.position };
    }
    const isLast = index === segments.length - 1;
    if (!isLast && clock.monotonic() >= until) return { records, more: [segment.number, backward ? 0 : Number.MAX_SAFE_INTEGER] };
  }
  return { records, more: undefined };
}

/** The segments that may contain a match, in the order of the search. A segment ends where the next one begins. */
function segmentsOf(all: readonly Segment[], { filter: { since, before }, backward, after }: HistoryQuery): readonly Segment[] {
  const inTime = all.filter(({ number }, index) => {
    const end = all[index + 1]?.number ?? Number.POSITIVE_INFINITY;
    return (since === undefined || end >= since) && (before === undefined || number < before);
  });
  if (backward) inTime.reverse();
  const start = after && nextGroup(after, backward);
  return inTime.filter(({ number }) => start === undefined || (backward ? number <= start : number >= start));
}

/** The number from which a search continues: that of the position, unless its group is done. */
export function nextGroup([number, offset]: EventPosition, backward: boolean): number {
  if (backward) return offset === 0 ? number - 1 : number;
  return offset === Number.MAX_SAFE_INTEGER ? number + 1 : number;
}

/** Matching records of some lines, in the order of the search. `bound`: the offset where the previous page ended, which is excluded. */
export function* matchesIn(
  { number, bytes }: RecordGroup,
  { filter, states, backward }: Pick<HistoryQuery, 'backward' | 'filter' | 'states'>,
  bound: number | undefined,
): Generator<LocatedRecord> {
  const test = createEventTest(filter);
  const needle = needleOf(filter, states);
  const offsets = needle === undefined ? linesIn(bytes) : candidatesIn(bytes, Buffer.from(needle));
  if (backward) offsets.reverse();
  for (const offset of offsets) {
    if (bound !== undefined && (backward ? offset >= bound : offset <= bound)) continue;
    const end = bytes.indexOf(newline, offset);
    if (end === -1) continue; // it is being written, or its process was killed meanwhile
    const record = readLine(bytes.toString('utf8', offset, end));
    if (record === undefined || !states.includes(record.state)) continue;
    const isMatch = test({ ...record, status: record.attempt?.status ?? null }, () => readFacts(record.facts));
    if (isMatch) yield { record, position: [number, offset] };
  }
}

export const newline = 10;
const nothing = Buffer.alloc(0);

function read({ path }: Segment): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return nothing; // it was deleted meanwhile
  }
}

/** A text that each matching line contains, as it is in the line; undefined: each line may match. */
function needleOf(filter: EventFilter, states: readonly RecordedState[]): string | undefined {
  const { ids, descendantsOf, jid, stanzaId, status, handler, pool } = filter;
  if (ids?.length === 1) return JSON.stringify(ids[0]);
  if (descendantsOf !== undefined) return JSON.stringify(`${descendantsOf}.`).slice(0, -1);
  if (stanzaId !== undefined) return JSON.stringify(JSON.stringify(idIn(stanzaId))).slice(1, -1);
  if (jid !== undefined) return JSON.stringify(jid);
  const [state] = states;
  if (states.length === 1 && state !== 'delivered') return `,${JSON.stringify(state)},`; // most records are of delivered events
  if (status !== undefined) return `",${status},`; // it follows the kind of the outcome
  const name = handler ?? pool;
  return name === undefined ? undefined : JSON.stringify(name);
}

/** Offsets of all lines. */
function linesIn(bytes: Buffer): number[] {
  const offsets: number[] = [];
  for (let start = 0; start < bytes.length; ) {
    offsets.push(start);
    const end = bytes.indexOf(newline, start);
    start = end === -1 ? bytes.length : end + 1;
  }
  return offsets;
}

/** Offsets of the lines that contain the text. */
export function candidatesIn(bytes: Buffer, wanted: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = bytes.indexOf(wanted); at !== -1; ) {
    offsets.push(bytes.lastIndexOf(newline, at) + 1);
    const end = bytes.indexOf(newline, at);
    at = end === -1 ? -1 : bytes.indexOf(wanted, end);
  }
  return offsets;
}
