/** Every error code of the service, each with what it means to an operator. Stands alphabetically. */
export const errorCodes = {
  ADMIN_LISTEN_FAILED: 'The admin listener cannot be opened: its address is in use or not of this machine; see `[admin] listen`.',
  ADMIN_REFUSED: 'A running service did not do what a command asked of it; the message is its own.',
  ADMIN_UNREACHABLE: 'A command found no running service at `[admin] listen`, or at `--url`.',
  ATTACH_LISTEN_FAILED: 'The listener of an attachment cannot be opened: its address is in use or not of this machine; see its `listen`.',
  ATTACH_REFUSED: 'The chat server refused the component or the account: wrong secret or password, unknown domain, or already attached.',
  CALLBACK_BLOCKED: 'A callback held the thread longer than `[callbacks] block_timeout`; the service thread was restarted.',
  CALLBACK_LOAD_FAILED: 'A callback module could not be found or imported, or what it exports is not what it should be.',
  CONFIG_INVALID: 'The configuration has mistakes; the message lists all of them.',
  CONFIG_UNREADABLE: 'The configuration file cannot be read or is not TOML.',
  CONTENT_HIDDEN: 'What people wrote is shown only to who bears the admin token, where there is one.',
  GATE_LISTEN_FAILED: 'The listener of the gate cannot be opened: its address is in use or not of this machine; see `[gate] listen`.',
  OUTBOX_CLOSED: 'An attachment was stopped before the chat server had taken over a message to a user.',
  OUTBOX_FULL: 'Too many messages to users wait for a connection to the chat server.',
  POOL_THREAD_FAILED: 'A pool thread could not be started.',
  SERVICE_FAILED: 'The service thread died of an error that nobody expected; it is started again.',
  SPOOL_BACKUP_FAILED: 'A backup of the spool could not be written; nothing is left of it.',
  SPOOL_DAMAGED: 'The file of the spool is damaged; intake stops until it is repaired or replaced.',
  SPOOL_FAILED: 'The spool met an error it cannot recover from by itself.',
  SPOOL_FULL: 'The disk or the spool is full; intake waits until there is room again.',
  SPOOL_LOCKED: 'Another process uses this spool.',
  SPOOL_NETWORK_FILE_SYSTEM: 'The spool lies on a network file system, where SQLite cannot keep its promises.',
  SPOOL_OPEN_FAILED: 'The spool cannot be opened or created.',
  SPOOL_ROW_REFUSED: 'SQLite does not take a value of a delivery; the delivery ends as a dead letter, and nothing else is concerned.',
  SPOOL_TOO_NEW: 'The spool was written by a newer version of the service.',
  STREAM_INVALID: 'The chat server sent bytes that are not a well-formed XMPP stream.',
  STANZA_PREFIX_INVALID: 'A stanza uses a namespace prefix that is not declared, or declares one as it must not; it was skipped.',
  STANZA_TOO_DEEP: 'Elements of a stanza stand too deep in each other; it was skipped.',
  STANZA_TOO_LARGE: 'The header of a stream exceeded `max_stanza_bytes`; the stream was closed. A stanza that does is skipped.',
  TEST_FAILED: 'A test request could not be made: a callback of the handler failed.',
  UNKNOWN_DEAD_LETTER: 'There is no dead letter of this id: it was replayed, purged, or its age has ended.',
  UNKNOWN_HANDLER: 'No handler of this name is configured.',
  UNKNOWN_HOST: 'No host of this name is configured, and no dead letter is of one.',
  UNKNOWN_POOL: 'No pool of this name is configured.',
  UNKNOWN_QUEUE: 'There is no such queue of a handler on a pool: to take from it must be orphaned, to give to it must be configured.',
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
 * The message of an error. An AggregateError without a message, such as Node's for a host with several addresses, gives the
 * messages of its errors; an error with only a code gives the code.
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
 * so only the name and the place are given; otherwise the stack, or the message.
 */
export function loggable(error: Error, detail: 'message' | 'stack'): string {
  const place = placeIn(error.stack ?? '');
  if (place !== undefined) return `${error.name} at ${place}`;
  return detail === 'stack' ? (error.stack ?? error.message) : error.message;
}

/** The first place in a stack outside the project, its dependencies and Node. */
export function placeIn(stack: string): string | undefined {
  const places = stack.match(/(?<=^ {4}at .*)file:\/\/[^\s)]+:\d+/gm) ?? [];
  return places.find((place) => !place.includes('/node_modules/') && !ours.some((folder) => place.startsWith(folder)));
}

const ours = ['../../pools/', '../'].map((folder) => new URL(folder, import.meta.url).href);

/** What was thrown, if it is an error whose name, message and stack can be read. A module can throw anything, also a revoked proxy. */
export function asError(thrown: unknown): Error | undefined {
  try {
    return thrown instanceof Error && hasTexts(thrown) ? thrown : undefined;
  } catch {
    return undefined; // even the question whether it is an error can throw
  }
}

function hasTexts({ name, message, stack = '' }: Error): boolean {
  return [name, message, stack].every((text: unknown) => typeof text === 'string');
}

/** Whatever was thrown, as an Error: the edge where `unknown` from a catch becomes something to tell. Never throws. */
export function toError(thrown: unknown): Error {
  const error = asError(thrown);
  if (error !== undefined) return error;
  try {
    return new Error(String(thrown));
  } catch {
    return new Error('threw something that has no text'); // the second error says nothing about the first
  }
}
