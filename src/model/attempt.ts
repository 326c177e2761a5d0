import type { EpochMs } from '../kit/clock.ts';
import type { ContextVariables } from './delivery.ts';

/** Where an attempt was when its time ran out. `call` is the whole, from the worker's taking it. */
export type Phase = 'body' | 'call' | 'connect' | 'headers';

/** What happened on the wire. Durations in ms, from the worker's taking the job, or from a message's being handed over. */
export type Outcome = HttpOutcome | MessageOutcome;

/** What came of a message to a user. */
export type MessageOutcome =
  /** The chat server has it. */
  | { readonly kind: 'sent'; readonly durationMs: number }
  /** It cannot be sent, and never will be: no such receiver, or nobody may send it. */
  | { readonly kind: 'refused'; readonly message: string; readonly durationMs: number };

export type HttpOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly durationMs: number;
      /** The `retry-after` header as it came. */
      readonly retryAfter: string | undefined;
      /** The first part of the answer's body as text, for the attempt's record. */
      readonly excerpt: string;
      /** The body was cut at the pool's `max_response_size`. */
      readonly truncated: boolean;
      /** The body as text, up to `max_response_size`; present where the job wanted it. */
      readonly body?: string;
    }
  | { readonly kind: 'timed-out'; readonly phase: Phase; readonly durationMs: number }
  /** Nothing was sent: DNS, connect, TLS. `code` as Node names it (ECONNREFUSED, CERT_HAS_EXPIRED, …). */
  | { readonly kind: 'unreachable'; readonly code: string; readonly message: string; readonly durationMs: number }
  /** The connection broke, or what came was no HTTP answer, after the request may have been sent. */
  | { readonly kind: 'broken'; readonly code: string; readonly message: string; readonly durationMs: number }
  /** No request was sent: the callbacks made none, or one that HTTP/1.1 cannot carry, or no descriptor or local port was free. */
  | { readonly kind: 'unsent'; readonly code: string; readonly message: string; readonly durationMs: number };

/** Who set the status that is classified: the backend's status line, the handler's module, or we (590 to 599). */
export type StatusOrigin = 'http' | 'internal' | 'module';

/** What the delivery callbacks of a handler made of an attempt. A handler without any leaves the outcome to speak. */
export interface Judgement {
  /** `unclassified`: the module has no `statusClassifier`, so the status counts as it would without a module. */
  readonly verdict: 'permfailed' | 'success' | 'tempfailed' | 'unclassified';
  /** `DLV_RESPONSE_STATUS`; undefined where nobody set it. */
  readonly status: number | undefined;
  /** `DLV_RESPONSE_STATUS_DETAIL`; empty where nobody set it. */
  readonly detail: string;
  readonly origin: StatusOrigin;
  /** What the module wants to keep, the two `DLV_` variables left out. */
  readonly context: ContextVariables;
  /** The worker waits to be told what became of the delivery, since the module has disposers. */
  readonly awaitsDisposition: boolean;
}

/** One attempt as it is kept with a delivery that has failed at least once. */
export interface AttemptRecord {
  /** 1 for the first. */
  readonly number: number;
  readonly at: EpochMs;
  readonly outcome: Outcome;
  /** What the handler's callbacks made of it; absent where it has none. */
  readonly judgement?: Judgement;
}

/** Status that the last attempt with one came to: the callbacks' where they gave one, else the answer's. Null: there was none. */
export function lastStatus(history: readonly AttemptRecord[]): number | null {
  for (const { outcome, judgement } of history.toReversed()) {
    if (judgement?.status !== undefined) return judgement.status;
    if (outcome.kind === 'answered') return outcome.status;
  }
  return null;
}

/** What has become of a delivery after an attempt. */
export type DispositionKind = 'dead' | 'delivered' | 'retry';

/** Why a delivery was given up. Stands alphabetically. */
export type DeadReason = (typeof deadReasons)[number];
export const deadReasons = [
  'attempts-exhausted',
  'callback-blocked',
  'callback-failed',
  'chain-failed',
  'expired',
  'internal-error',
  'overflow',
  'refused',
] as const;
