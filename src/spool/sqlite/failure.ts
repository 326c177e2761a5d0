import Database from 'better-sqlite3';
import type { ErrorCode } from '../../kit/errors.ts';
import type { FromSpoolThread } from './protocol.ts';
import { isOutOfRoom } from './room.ts';

/** SQLite reports that the file is damaged. */
export function isDamage(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

export function damageText(found: string): string {
  return `its file is damaged (${found}). Keep the file, and start with a backup or without a file; event-pusher spool check shows the damage`;
}

/** What is told of an error that ends the thread, with what to do about it where that is known. */
export function failureOf(error: Error, code: ErrorCode, what: string): FromSpoolThread {
  if (error.message.startsWith('Could not locate the bindings file')) {
    const reason = 'SQLite was not built when the package was installed. Let it: npm rebuild better-sqlite3';
    return { kind: 'failed', code, message: `${what}: ${reason}` };
  }
  if (isDamage(error)) return { kind: 'failed', code: 'SPOOL_DAMAGED', message: `${what}: ${damageText(error.message)}` };
  const message = `${what}: ${error.message}`;
  return isOutOfRoom(error) // with a full disk not even the log's index can be made
    ? { kind: 'failed', code: 'SPOOL_FULL', message: `${message}: is there room on its disk?` }
    : { kind: 'failed', code, message };
}
