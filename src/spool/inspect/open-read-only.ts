import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { ServiceError } from '../../kit/errors.ts';
import { refuseOtherThanFile } from '../sqlite/place.ts';
import { migrations, refuseForeign, versionOf } from '../sqlite/schema.ts';

/** A spool's file as another process may look at it. */
export interface OpenFile {
  readonly db: Database.Database;
  readonly version: number;
  /** An older service wrote it last: what newer ones keep is not there yet. */
  readonly isOld: boolean;
}

/** A service that commits without end may keep a reader waiting, ms. */
const patienceMs = 5000;

/**
 * Reads one state of the file, whether a service runs on it or not, and disturbs neither. Undefined where there is no file.
 * Throws SPOOL_TOO_NEW, SPOOL_OPEN_FAILED when it is no spool or cannot be read, whatever `read` throws.
 */
export function readFile<T>(path: string, read: (file: OpenFile) => T): T | undefined {
  if (!existsSync(path)) return undefined;
  try {
    refuseOtherThanFile(path);
    refuseForeign(path);
    return readOpen(path, read);
  } catch (cause) {
    if (!(cause instanceof Database.SqliteError)) throw cause;
    throw new ServiceError('SPOOL_OPEN_FAILED', `cannot read the spool at ${path}: ${cause.message}`, { cause });
  }
}

function readOpen<T>(path: string, read: (file: OpenFile) => T): T {
  const db = new Database(path, { readonly: true, timeout: patienceMs });
  try {
    const version = versionOf(db);
    return read({ db, version, isOld: version < migrations.length });
  } finally {
    db.close();
  }
}
