/** Messages between the service thread and the thread of the engine; commands and answers are those of all engines. */

import type { EpochMs } from '../../kit/clock.ts';
import type { ErrorCode } from '../../kit/errors.ts';
import type { BatchMessage, Committed, Opened } from '../sqlite/protocol.ts';

/** Settings of the thread. */
export interface Opening {
  /** With the password. */
  readonly url: string;
  /** Host, port and database, for messages. */
  readonly address: string;
  /** Letters, digits and underscores. */
  readonly schema: string;
}

export type ToThread =
  | {
      readonly kind: 'batch';
      readonly commands: BatchMessage;
      /** True about once a second: report the size and the age of the oldest deliveries. */
      readonly maintain: boolean;
      readonly now: EpochMs;
    }
  | { readonly kind: 'close' };

export type FromThread =
  | ({ readonly kind: 'opened' } & Opened)
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }
  /** The batch in the thread waits for a connection; commits continue when there is one. */
  | { readonly kind: 'stalled'; readonly reason: string }
  | ({ readonly kind: 'committed' } & Committed);
