import type { ErrorCode } from '../kit/errors.ts';
import type { Strike } from './shared-watch.ts';

/** What a service thread is born with. */
export interface ServiceThreadData {
  readonly file: string;
  readonly watchMemory: SharedArrayBuffer;
  readonly strikes: readonly Strike[];
}

/** Supervisor → service thread: stop gracefully. */
export interface ToServiceThread {
  readonly kind: 'stop';
}

/** Service thread → supervisor. */
export type FromServiceThread =
  /** Configured: these are the handlers, and how long a callback may hold the thread. */
  | { readonly kind: 'configured'; readonly handlers: readonly string[]; readonly blockTimeoutMs: number }
  /** All parts run (attachments may still be connecting). */
  | { readonly kind: 'started' }
  /** It could not start, or cannot go on. */
  | { readonly kind: 'failed'; readonly code: ErrorCode | undefined; readonly message: string };
