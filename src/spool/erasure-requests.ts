/** The requests of an erasure to the engine. Each runs in one short transaction; `sqlite/event-eraser.ts` answers them. */
import type { EpochMs } from '../kit/clock.ts';
import type { QueueName } from '../model/delivery.ts';
import type { EventTable } from './event-store.ts';
import type { ExtensionRequest } from './spool.ts';

/** Removes the events of a user from the next part of a table. Deliveries that this process holds stay. */
export interface EraseChunk {
  readonly kind: 'chunk';
  readonly table: EventTable;
  /** Bare JID. */
  readonly jid: string;
  /** Only count. */
  readonly dryRun: boolean;
  /** Number of the last row of the chunk before; 0 at the beginning. */
  readonly after: number;
  /** Number of the last row at the beginning, so that an erasure ends although rows are added. Undefined at the beginning. */
  readonly last: number | undefined;
}

export interface ErasedChunk {
  readonly erased: readonly QueueName[];
  readonly readyPools: readonly string[];
  readonly last: number;
  /** Where the next chunk begins; undefined at the end. */
  readonly more: number | undefined;
}

/**
 * State of the file after an erasure. `too-large`: SQLite overwrites what it deletes, but when it moved rows between pages earlier, it may
 * have left copies in the unused part of a page; only a rewritten file has none for certain. `in-use`: another process reads the file, so
 * the log could not be emptied.
 */
export type FileState = 'failed' | 'in-use' | 'rewritten' | 'too-large';

export type ErasureRequest = { readonly extension: 'erasure' } & (
  | EraseChunk
  /** The number of deliveries of a user that this process holds, and that were accepted before this time. */
  | { readonly kind: 'held'; readonly jid: string; readonly before: EpochMs }
  /** Removes erased text from the file and its log; it begins after the transaction. The file is rewritten if it has at most this many bytes. */
  | { readonly kind: 'clean'; readonly rewriteBytes: number }
  /** The result of the last `clean`; undefined before it. */
  | { readonly kind: 'cleaned' }
);

export function isErasureRequest(request: ExtensionRequest): request is ErasureRequest {
  return request.extension === 'erasure';
}
