import { closeSync, fsyncSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ServiceError, toError } from '../../kit/errors.ts';
import { readFile } from './open-read-only.ts';

/**
 * Copies a spool as it is at one moment into a new file (0600), whether a service runs on it or not; gives the copy's bytes,
 * or undefined where there is no spool. Started on the copy, a service delivers what was owed then under the same ids.
 * Throws SPOOL_BACKUP_FAILED, and as {@link readFile}.
 */
export function backUp(path: string, target: string): number | undefined {
  return readFile(path, ({ db }) => {
    createTarget(target);
    try {
      db.prepare('VACUUM INTO ?').run(target);
      for (const written of [target, dirname(target)]) flush(written);
      return statSync(target).size;
    } catch (cause) {
      for (const half of [target, `${target}-journal`]) rmSync(half, { force: true });
      throw new ServiceError('SPOOL_BACKUP_FAILED', `cannot write the backup to ${target}: ${toError(cause).message}`, { cause });
    }
  });
}

/** SQLite writes into an empty file, and keeps its mode. */
function createTarget(target: string): void {
  try {
    closeSync(openSync(target, 'wx', 0o600));
  } catch (cause) {
    throw new ServiceError('SPOOL_BACKUP_FAILED', `cannot create ${target}: ${toError(cause).message}; a backup never overwrites a file`, {
      cause,
    });
  }
}

/** A copy that a power cut undoes is none. */
function flush(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
