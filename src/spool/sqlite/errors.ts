import Database from 'better-sqlite3';
import type { ErrorCode } from '../../kit/errors.ts';
import type { ThreadState } from '../engine-thread.ts';

/** SQLite reports that the file is damaged. */
export function isDamage(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

/** The disk or the spool is full, or the disk failed to write: the operation can be tried again later. */
export function isOutOfSpace(error: unknown): boolean {
  return error instanceof Database.SqliteError && (error.code === 'SQLITE_FULL' || error.code.startsWith('SQLITE_IOERR'));
}

/** SQLite or its driver refuses a value of one command; other commands are not affected. */
export function isRefusedValue(error: unknown): boolean {
  if (error instanceof Database.SqliteError) return /^SQLITE_(CONSTRAINT|MISMATCH|RANGE|TOOBIG)/.test(error.code);
  return error instanceof RangeError || error instanceof TypeError;
}

/** Runs maintenance that itself needs space; without space it is skipped until the next time. */
export function unlessFull(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isOutOfSpace(error)) throw error;
  }
}

export function damageText(found: string): string {
  return `its file is damaged (${found}). Keep the file, and start with a backup or without a file; event-pusher spool check shows the damage`;
}

/** The message for an error that ends the thread, with the remedy where it is known. */
export function failureOf(error: Error, code: ErrorCode, what: string): ThreadState {
  if (error.message.startsWith('Could not locate the bindings file')) {
    const reason = 'SQLite was not built when the package was installed. Build it: npm rebuild better-sqlite3';
    return { kind: 'failed', code, message: `${what}: ${reason}` };
  }
  if (isDamage(error)) return { kind: 'failed', code: 'SPOOL_DAMAGED', message: `${what}: ${damageText(error.message)}` };
  const message = `${what}: ${error.message}`;
  return isOutOfSpace(error) // on a full disk SQLite cannot even create the index of its log
    ? { kind: 'failed', code: 'SPOOL_FULL', message: `${message}: is the disk full?` }
    : { kind: 'failed', code, message };
}
