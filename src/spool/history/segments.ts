/** The files of a history: each holds the records of one span, and is named after the time of its first record. */
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { EpochMs } from '../../kit/clock.ts';
import { ServiceError, toError } from '../../kit/errors.ts';

export interface Segment {
  /** Its name: when it was begun, or one more than the segment before it if that is later. */
  readonly number: EpochMs;
  readonly path: string;
  readonly bytes: number;
  /** Time of its last record. */
  readonly endsAt: EpochMs;
}

const suffix = '.jsonl';

/** The folder of the history of a spool. */
export function historyFolder(spoolPath: string): string {
  return `${spoolPath}-history`;
}

/** Oldest first. Empty if there is no history. */
export function listSegments(folder: string): readonly Segment[] {
  const numbers = namesIn(folder).flatMap((name) => (/^\d{13,16}\.jsonl$/.test(name) ? [Number(name.slice(0, -suffix.length))] : []));
  numbers.sort((one, other) => one - other);
  return numbers.flatMap((number) => {
    const path = segmentPath(folder, number);
    const stats = statSync(path, { throwIfNoEntry: false }); // another thread may have deleted it
    return stats === undefined ? [] : [{ number, path, bytes: stats.size, endsAt: Math.round(stats.mtimeMs) }];
  });
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // there is no history yet
  }
}

/** Whether a file does not exist, for example because another thread has deleted it. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

export function segmentPath(folder: string, number: EpochMs): string {
  return join(folder, `${String(number).padStart(13, '0')}${suffix}`);
}

/** A history contains who writes to whom, so only the service's user may read it. Throws SPOOL_OPEN_FAILED. */
export function prepareHistoryFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  } catch (cause) {
    const remedy = 'remove what is there, or set [history] enabled = false';
    throw new ServiceError('SPOOL_OPEN_FAILED', `cannot create the folder of the history ${folder}: ${toError(cause).message}; ${remedy}`, {
      cause,
    });
  }
}

export function removeSegment({ path }: Segment): void {
  rmSync(path, { force: true });
}
