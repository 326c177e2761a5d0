import { chmodSync } from 'node:fs';
import Database from 'better-sqlite3';
import { ServiceError } from '../../kit/errors.ts';
import { createPrivate } from './place.ts';

/** A predecessor may still be dying: so long it is waited for, ms. */
const patienceMs = 2000;

/**
 * Keeps every other process off the spool until it is closed or this process ends, however it ends. The lock is an
 * exclusive transaction on a file beside the spool, so that the spool itself can be read with `sqlite3`. Throws
 * SPOOL_LOCKED with the holder's process id.
 */
export function lockSpool(path: string): Database.Database {
  const lockPath = `${path}.lock`;
  createPrivate(lockPath);
  chmodSync(lockPath, 0o600);
  const lock = new Database(lockPath, { timeout: patienceMs });
  try {
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (cause) {
    lock.close();
    if (!(cause instanceof Database.SqliteError) || !cause.code.startsWith('SQLITE_BUSY')) throw cause;
    throw new ServiceError('SPOOL_LOCKED', `the spool at ${path} is used by ${holderOf(path)}: stop it first, or choose another path`, {
      cause,
    });
  }
}

/** Writes down who holds the spool, for the message that others get. */
export function signIn(db: Database.Database, pid: number): void {
  db.prepare('INSERT INTO holder (one, pid) VALUES (1, ?) ON CONFLICT DO UPDATE SET pid = excluded.pid').run(pid);
}

function holderOf(path: string): string {
  try {
    const db = new Database(path, { readonly: true, timeout: patienceMs });
    try {
      const pid = db.prepare('SELECT pid FROM holder').pluck().get();
      return typeof pid === 'number' ? `process ${pid}` : 'another process';
    } finally {
      db.close();
    }
  } catch {
    return 'another process'; // it is only just making the spool: who it is cannot be read yet
  }
}
