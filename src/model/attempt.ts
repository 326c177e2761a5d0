/** The nouns between pools and spool: an attempt, its outcome, the judgement of callbacks, and the disposition. */
import type { EpochMs } from '../kit/clock.ts';
import type { ContextVariables } from './delivery.ts';

/** Phase in which an attempt timed out. `call`: the limit of the whole attempt, from the time a worker takes the job. */
export type Phase = 'body' | 'call' | 'connect' | 'headers';

/** Code of an attempt that failed because the OAuth 2.0 server of its pool gave no access token. Its message names the server. */
export const TOKEN_UNAVAILABLE = 'TOKEN_UNAVAILABLE';

/** Result of an attempt on the wire. Durations in ms, from the time a worker takes the job or a message is handed over. */
export type Outcome = HttpOutcome | MessageOutcome;

/** Result of a message to a user. */
export type MessageOutcome =
  /** The chat server has received it. */
  | { readonly kind: 'sent'; readonly durationMs: number }
  /** It can never be sent: the receiver does not exist, or no attachment may send to it. */
  | { readonly kind: 'refused'; readonly message: string; readonly durationMs: number };

/** Result of an HTTP request. `code` is Node's name of the error: ECONNREFUSED, CERT_HAS_EXPIRED, and so on. */
export type HttpOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly durationMs: number;
      /** The `retry-after` header, unparsed. */
      readonly retryAfter: string | undefined;
      /** The beginning of the response body as text, for the attempt's record. */
      readonly excerpt: string;
      /** The body was cut at the pool's `max_response_size`. */
      readonly truncated: boolean;
      /** The body as text, up to `max_response_size`; present if the job asked for it. */
      readonly body?: string;
    }
  | { readonly kind: 'timed-out'; readonly phase: Phase; readonly durationMs: number }
  /** No request was sent: DNS, connection or TLS failed. */
  | { readonly kind: 'unreachable'; readonly code: string; readonly message: string; readonly durationMs: number }
  /** The connection broke, or the response was not HTTP. The request may have been sent. */
  | { readonly kind: 'broken'; readonly code: string; readonly message: string; readonly durationMs: number }
  /** No request was sent: the callbacks made none or an invalid one, or no descriptor or local port was free. */
  | { readonly kind: 'unsent'; readonly code: string; readonly message: string; readonly durationMs: number };

/** Source of the status that is classified: the backend's status line, the handler's module, or this service (590 to 599). */
export type StatusOrigin = 'http' | 'internal' | 'module';

/** Judgement of an attempt by the handler's delivery callbacks. Without such callbacks the outcome alone counts. */
export interface Judgement {
  /** `unclassified`: the module has no `statusClassifier`, so the status counts as without a module. */
  readonly verdict: 'permfailed' | 'success' | 'tempfailed' | 'unclassified';
  /** `DLV_RESPONSE_STATUS`; undefined if unset. */
  readonly status: number | undefined;
  /** `DLV_RESPONSE_STATUS_DETAIL`; empty if unset. */
  readonly detail: string;
  readonly origin: StatusOrigin;
  /** The message context without the two `DLV_` variables. */
  readonly context: ContextVariables;
  /** The module has disposers, so the worker waits for the disposition. */
  readonly awaitsDisposition: boolean;
}

/** Record of one attempt, stored with a delivery that has failed at least once. */
export interface AttemptRecord {
  /** 1 for the first. */
  readonly number: number;
  readonly at: EpochMs;
  readonly outcome: Outcome;
  /** Absent if the handler has no delivery callbacks. */
  readonly judgement?: Judgement;
}

/** The most recent status of a delivery: set by callbacks, otherwise by the response. Null if no attempt had one. */
export function lastStatus(history: readonly AttemptRecord[]): number | null {
  for (const { outcome, judgement } of history.toReversed()) {
    if (judgement?.status !== undefined) return judgement.status;
    if (outcome.kind === 'answered') return outcome.status;
  }
  return null;
}

/** State of a delivery after an attempt. */
export type DispositionKind = 'dead' | 'delivered' | 'retry';

/** Reason of a dead letter. */
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
