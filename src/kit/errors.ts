/** Every error code of the service, with its meaning for an operator, in alphabetical order. */
export const errorCodes = {
  ADMIN_LISTEN_FAILED: 'The admin listener cannot be opened: its address is in use, or not of this machine; see `[admin] listen`.',
  ADMIN_REFUSED: 'A running service refused a command; the message comes from the service.',
  ADMIN_UNREACHABLE: 'A command found no running service at `[admin] listen` or `--url`.',
  ATTACH_LISTEN_FAILED: 'The listener of an attachment cannot be opened: its address is in use, or not of this machine; see its `listen`.',
  ATTACH_REFUSED: 'The chat server refused the component or account: wrong secret or password, unknown domain, or already attached.',
  BAD_CURSOR: 'The cursor of a search or an erasure was not given by this service.',
  CALLBACK_BLOCKED: 'A callback blocked the thread for longer than `[callbacks] block_timeout`; the service thread was restarted.',
  CALLBACK_LOAD_FAILED: 'A callback module could not be found or imported, or its exports are invalid.',
  CONFIG_INVALID: 'The configuration has mistakes; the message lists all of them.',
  CONFIG_UNREADABLE: 'The configuration file cannot be read or is not TOML.',
  CONTENT_HIDDEN: 'Content written by users is shown only with the admin token, if one is configured.',
  GATE_LISTEN_FAILED: 'The listener of the gate cannot be opened: its address is in use, or not of this machine; see `[gate] listen`.',
  HISTORY_BUSY: 'Too many searches and erasures of the history wait; try again later.',
  HISTORY_FAILED: 'The history could not be searched, or records could not be erased from it.',
  INIT_REFUSED: '`init` would overwrite a file, or cannot write one; nothing was written.',
  OUTBOX_CLOSED: 'An attachment was stopped before the chat server had received a message to a user.',
  OUTBOX_FULL: 'Too many messages to users wait for a connection to the chat server.',
  POOL_THREAD_FAILED: 'A pool thread could not be started.',
  SERVICE_FAILED: 'The service thread died of an unexpected error; it is restarted.',
  SPOOL_ADDON_FAILED: 'The native part of better-sqlite3 is missing, or was built for another version of Node.js.',
  SPOOL_BACKUP_FAILED: 'A backup of the spool could not be written; the incomplete file was removed.',
  SPOOL_DAMAGED: 'The spool file is damaged; intake stops until it is repaired or replaced.',
  SPOOL_ENGINE_UNSUPPORTED: 'The engine of `[spool] engine` does not support this command.',
  SPOOL_FAILED: 'The spool met an error from which it cannot recover by itself.',
  SPOOL_FULL: 'The disk or the spool is full; intake waits until there is space again.',
  SPOOL_LOCKED: 'Another process uses this spool.',
  SPOOL_NETWORK_FILE_SYSTEM: 'The spool is on a network file system, where SQLite cannot guarantee durability.',
  SPOOL_OPEN_FAILED: 'The spool cannot be opened or created.',
  SPOOL_ROW_REFUSED: 'The spool rejected a value of a delivery; the delivery becomes a dead letter, and no other is affected.',
  SPOOL_TOO_NEW: 'The spool was written by a newer version of the service.',
  SPOOL_UNAVAILABLE: 'The database of the spool is unavailable; deliveries wait, and commands of an operator fail.',
  STREAM_INVALID: 'The chat server sent bytes that are not a well-formed XMPP stream.',
  STANZA_INVALID: 'The file of `try` does not contain one stanza as XML.',
  STANZA_PREFIX_INVALID: 'A stanza uses an undeclared namespace prefix or declares one illegally; it was skipped.',
  STANZA_TOO_DEEP: 'Elements of a stanza are nested too deep; it was skipped.',
  STANZA_TOO_LARGE: 'A stream header exceeded `max_stanza_bytes`; the stream was closed. A stanza that exceeds it is skipped.',
  TAIL_BUSY: 'Too many viewers follow the events; try again later.',
  TEST_FAILED: 'A test request could not be prepared: a callback of the handler failed.',
  UNKNOWN_DEAD_LETTER: 'There is no dead letter with this id: it was replayed, purged or has expired.',
  UNKNOWN_EVENT: 'There is no event with this id: it was delivered or dropped, or never existed.',
  UNKNOWN_HANDLER: 'No handler of this name is configured.',
  UNKNOWN_HOST: 'No host of this name is configured, and no dead letter belongs to one.',
  UNKNOWN_POOL: 'No pool of this name is configured.',
  UNKNOWN_QUEUE: 'There is no such queue of a handler on a pool: the source of a move must be orphaned, its destination configured.',
  WRONG_STATE: 'Events in these states cannot be changed in this way.',
  USAGE: 'The command line is wrong.',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof errorCodes;

/** An error with a stable code. The message says what failed, on which thing, and what to do. */
export class ServiceError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ServiceError';
    this.code = code;
  }
}

/**
 * The message of an error. For an AggregateError without a message, such as Node's for a host with several addresses, the
 * messages of its errors; for an error with only a code, the code.
 */
export function messageOf(error: Error): string {
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.map((each: unknown) => messageOf(toError(each))).join('; ');
  }
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

/**
 * Describes an error that ended a thread, for the log. If its stack contains a user's module, the message may quote user data,
 * so the result is only its name and position; otherwise it is the stack or the message, as `detail` asks.
 */
export function loggable(error: Error, detail: 'message' | 'stack'): string {
  const position = userPositionIn(error.stack ?? '');
  if (position !== undefined) return `${error.name} at ${position}`;
  return detail === 'stack' ? (error.stack ?? error.message) : error.message;
}

/** The first position in a stack outside this project, its dependencies and Node. */
export function userPositionIn(stack: string): string | undefined {
  const positions = stack.match(/(?<=^ {4}at .*)file:\/\/[^\s)]+:\d+/gm) ?? [];
  return positions.find((position) => !position.includes('/node_modules/') && !ownFolders.some((folder) => position.startsWith(folder)));
}

const ownFolders = ['../../pools/', '../'].map((folder) => new URL(folder, import.meta.url).href);

/** The thrown value if it is an error with readable name, message and stack. A module can throw anything, even a revoked proxy. */
export function asError(thrown: unknown): Error | undefined {
  try {
    return thrown instanceof Error && hasTexts(thrown) ? thrown : undefined;
  } catch {
    return undefined; // even `instanceof` can throw
  }
}

function hasTexts({ name, message, stack = '' }: Error): boolean {
  return [name, message, stack].every((text: unknown) => typeof text === 'string');
}

/** Converts a thrown value to an Error. Never throws. */
export function toError(thrown: unknown): Error {
  const error = asError(thrown);
  if (error !== undefined) return error;
  try {
    return new Error(String(thrown));
  } catch {
    return new Error('a value without a text form was thrown'); // the error of the conversion is irrelevant
  }
}
