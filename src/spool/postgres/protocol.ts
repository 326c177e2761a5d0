/** Messages between the service thread and the thread of the engine; commands and answers are those of all engines. */

import type { PostgresConfig } from '../../config/config.ts';
import type { EpochMs } from '../../kit/clock.ts';
import type { HistorySpan } from '../history/record.ts';
import type { BatchMessage, Committed } from '../sqlite/protocol.ts';

/** Settings of the thread. */
export interface Opening {
  /** With the password. */
  readonly url: string;
  /** Host, port and database, for messages. */
  readonly address: string;
  /** Letters, digits and underscores. */
  readonly schema: string;
  /** How long a statement may take at first before its connection counts as lost, ms; for tests. */
  readonly queryTimeoutMs?: number | undefined;
  /** Limits of the history; undefined: none is written. */
  readonly history?: HistoryLimits | undefined;
}

export interface HistoryLimits {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** The address is the URL without user, password and options. */
export function openingOf({ url, schema }: PostgresConfig): Opening {
  const { host, pathname } = new URL(url.reveal());
  return { url: url.reveal(), address: `${host}${pathname}`, schema };
}

export type ToThread =
  | {
      readonly kind: 'batch';
      readonly commands: BatchMessage;
      /** True about once a second: report the size and the age of the oldest deliveries. */
      readonly maintain: boolean;
      readonly now: EpochMs;
      /** For the history, stored in the transaction that ends the batch. */
      readonly records: string;
    }
  | { readonly kind: 'close'; readonly records: string };

export type Report =
  /** The batch in the thread waits for a connection; commits continue when there is one. */
  { readonly kind: 'stalled'; readonly reason: string } | CommittedReport;

export type CommittedReport = { readonly kind: 'committed'; readonly history: HistorySpan | undefined } & Committed;
