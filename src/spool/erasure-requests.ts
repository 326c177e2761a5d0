/** The requests of an erasure to the engine. Each runs in one short transaction; the `event-eraser.ts` of each engine answers them. */
import type { EpochMs } from '../kit/clock.ts';
import type { QueueName } from '../model/delivery.ts';
import type { EventTable } from './event-store.ts';
import type { ExtensionRequest } from './spool.ts';

/**
 * Removes the events of a user from the next part of a table, from its end to its beginning: if the head of a lane went first, the next
 * event of the user would be sent. Deliveries that this process holds stay.
 */
export interface EraseChunk {
  readonly kind: 'chunk';
  readonly table: EventTable;
  /** Bare JID. */
  readonly jid: string;
  /** Only count. */
  readonly dryRun: boolean;
  /** Only rows with a lower number, so that an erasure ends although rows are added. */
  readonly below: number;
  /** Held deliveries are counted if they were accepted before this time. */
  readonly before: EpochMs;
}

export interface ErasedChunk {
  readonly erased: readonly QueueName[];
  /** Number of deliveries of the user in this part that this process holds. */
  readonly held: number;
  readonly readyPools: readonly string[];
  /** `below` of the next chunk; undefined at the end. */
  readonly more: number | undefined;
}

/**
 * State of the file after an erasure. `rewritten`: nothing is left. `too-large`: SQLite overwrites what it deletes, but copies may be left
 * in unused parts of pages from which it moved rows earlier; PostgreSQL keeps deleted rows until the space is used again. `in-use`:
 * another process reads the file or the tables, so the log could not be emptied, or rows not removed. `not-owner`: the role does not own the
 * tables. `failed`: disk space is short, or another process writes.
 */
export type FileState = 'failed' | 'in-use' | 'not-owner' | 'rewritten' | 'too-large';

export type ErasureRequest = { readonly extension: 'erasure' } & (
  | EraseChunk
  /** The number of a user's deliveries that this process holds and that were accepted before this time. */
  | { readonly kind: 'held'; readonly jid: string; readonly before: EpochMs }
  /** Removes erased text from the file and its log, or from the tables, which are rewritten if they have at most this many bytes. */
  | { readonly kind: 'clean'; readonly rewriteBytes: number }
  /** The result of the last `clean`; undefined before it. */
  | { readonly kind: 'cleaned' }
);

export function isErasureRequest(request: ExtensionRequest): request is ErasureRequest {
  return request.extension === 'erasure';
}
