import type { ErrorCode } from '../../kit/errors.ts';
import type { FromSpoolThread } from './protocol.ts';
import { isOutOfRoom } from './room.ts';

/** What is told of an error that ends the thread, with what to do about it where that is known. */
export function failureOf(error: Error, code: ErrorCode, what: string): FromSpoolThread {
  if (error.message.startsWith('Could not locate the bindings file')) {
    const reason = 'SQLite was not built when the package was installed. Let it: npm rebuild better-sqlite3';
    return { kind: 'failed', code, message: `${what}: ${reason}` };
  }
  const message = `${what}: ${error.message}`;
  return isOutOfRoom(error) // with a full disk not even the log's index can be made
    ? { kind: 'failed', code: 'SPOOL_FULL', message: `${message}: is there room on its disk?` }
    : { kind: 'failed', code, message };
}
