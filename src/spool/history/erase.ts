/** Erases the records of a user from the segments of a history. It reads files of many megabytes, so it runs in its own thread (`task.worker.ts`). */
import { closeSync, fdatasyncSync, fstatSync, futimesSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Clock } from '../../kit/clock.ts';
import { readLine } from './record.ts';
import { candidatesIn, newline } from './search.ts';
import { isMissing, listSegments } from './segments.ts';

export interface RecordErasure {
  /** Bare JID. */
  readonly jid: string;
  /** Only count. */
  readonly dryRun: boolean;
  /** Number of the last group that was done; 0 at the beginning. */
  readonly after: number;
  /** Time after which the erasure ends between two groups, ms. */
  readonly withinMs: number;
}

export interface ErasedRecords {
  readonly count: number;
  /** Number of the last group that was done; undefined at the end. */
  readonly more: number | undefined;
}

/**
 * Overwrites the records with spaces, in place: positions in the file stay valid, a search skips such lines, no copy of the old content is
 * left, and the writer may append to the file or delete it meanwhile.
 */
export function eraseRecords(
  { folder, jid, dryRun, after, withinMs }: RecordErasure & { readonly folder: string },
  clock: Pick<Clock, 'monotonic'>,
): ErasedRecords {
  const until = clock.monotonic() + withinMs;
  const segments = listSegments(folder).filter(({ number }) => number > after);
  let count = 0;
  for (const [index, { path, number }] of segments.entries()) {
    count += eraseIn(path, { jid, dryRun });
    const isLast = index === segments.length - 1;
    if (!isLast && clock.monotonic() >= until) return { count, more: number };
  }
  return { count, more: undefined };
}

function eraseIn(path: string, { jid, dryRun }: Pick<RecordErasure, 'dryRun' | 'jid'>): number {
  const file = open(path, dryRun ? 'r' : 'r+');
  if (file === undefined) return 0;
  try {
    const bytes = readFileSync(file);
    const lines = linesOf(jid, bytes);
    if (dryRun || lines.length === 0) return lines.length;
    const { atime, mtime } = fstatSync(file);
    for (const line of lines) overwrite(file, line);
    fdatasyncSync(file);
    futimesSync(file, atime, mtime); // it is deleted by the time of its last record
    return lines.length;
  } finally {
    closeSync(file);
  }
}

/** Undefined if the segment was deleted meanwhile. */
function open(path: string, flags: 'r' | 'r+'): number | undefined {
  try {
    return openSync(path, flags);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Offsets of a line to erase; `nameEnd` is the end of the JID in it. */
interface Line {
  readonly start: number;
  readonly nameEnd: number;
  readonly end: number;
}

/** The lines of records that the user sent or received, and of unreadable ones (cut by a kill) that name the user. */
export function linesOf(jid: string, bytes: Buffer): readonly Line[] {
  const name = Buffer.from(JSON.stringify(jid));
  return candidatesIn(bytes, name).flatMap((start) => {
    const newlineAt = bytes.indexOf(newline, start);
    const end = newlineAt === -1 ? bytes.length : newlineAt;
    const record = readLine(bytes.toString('utf8', start, end));
    const isOthers = record !== undefined && record.sender !== jid && record.receiver !== jid;
    return isOthers ? [] : [{ start, nameEnd: bytes.indexOf(name, start) + name.length, end }];
  });
}

/** The JID is overwritten last: a repeated erasure finds a line that was overwritten in part. */
function overwrite(file: number, { start, nameEnd, end }: Line): void {
  writeSpaces(file, nameEnd, end);
  writeSpaces(file, start, nameEnd);
}

function writeSpaces(file: number, from: number, to: number): void {
  const spaces = Buffer.alloc(to - from, ' ');
  for (let written = 0; written < spaces.length; ) written += writeSync(file, spaces, written, spaces.length - written, from + written);
}
