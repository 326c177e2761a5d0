import type { LogLevel } from '../config/config.ts';
import type { ErrorCode } from '../kit/errors.ts';
import type { ReloadCounts, ReloadResult } from '../service.ts';
import type { Strike } from './shared-watch.ts';

/** What a service thread is born with. */
export interface ServiceThreadData {
  readonly file: string;
  /** Names this process to chat servers. */
  readonly instance: string;
  readonly watchMemory: SharedArrayBuffer;
  readonly strikes: readonly Strike[];
  /** Those that other threads before it were asked for. */
  readonly reloads: ReloadCounts;
  /** Whether the previous thread found the spool damaged. */
  readonly checkSpool: boolean;
}

/** Supervisor → service thread: the admin address is free, read the file again, or stop gracefully. */
export interface ToServiceThread {
  readonly kind: 'listen' | 'reload' | 'stop';
}

/** Service thread → supervisor. */
export type FromServiceThread =
  /** Configured, at the start and by a reload: these handlers may be called, and so long may a callback hold the thread. */
  | {
      readonly kind: 'configured';
      readonly handlers: readonly string[];
      readonly blockTimeoutMs: number;
      readonly logLevel: LogLevel;
      readonly admin: { readonly host: string; readonly port: number };
    }
  /** The thread is about to open the admin listener and waits for `listen`. */
  | { readonly kind: 'listening' }
  /** All parts run (attachments may still be connecting). */
  | { readonly kind: 'started' }
  /** A reload has ended; with `restart` the thread wants to be replaced. */
  | { readonly kind: 'reloaded'; readonly result: ReloadResult }
  /** It could not start, or cannot go on. */
  | { readonly kind: 'failed'; readonly code: ErrorCode | undefined; readonly message: string };
