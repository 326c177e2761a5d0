/**
 * The one file that the main thread and the pool threads both read: the shapes that cross between them, and, from
 * `packet.ts`, the packet as callback modules see it, from `target.ts` what deliveries are for. Types only: importing it
 * imports no code.
 */
import type { Body, Destination, HeaderPair } from './target.ts';

export type { Acc, Direction, Jid, Kind, PacketEvent, PacketId, Stanza } from './packet.ts';
export type {
  Answered,
  AskFailure,
  Body,
  Destination,
  Errand,
  HeaderPair,
  HttpTarget,
  OfflinePushInfo,
  XmppTarget,
} from './target.ts';

/** Names one delivery for ever; sent as `webhook-id`. Time-ordered, without `.` (Standard Webhooks 1.0.0). */
export type DeliveryId = string & { readonly __brand: 'DeliveryId' };

/** A handler as its callbacks see it: who it is, and the `options` of its configuration beside. */
export interface HandlerOpts {
  readonly name: string;
  readonly poolName: string;
  readonly path: string;
  readonly callbackModule: string;
  readonly [option: string]: unknown;
}

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

/** The variables of a message context: kept over attempts, and logged. */
export type ContextVariables = Readonly<Record<string, string>>;

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

/** What has become of a delivery after an attempt. */
export type Disposition = 'dead' | 'delivered' | 'retry';

/** One request for a pool thread. */
export interface Job {
  /** Names the job between the two threads; unique while it is under way. */
  readonly key: number;
  readonly id: DeliveryId;
  /** 1 for the first. */
  readonly attempt: number;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Body;
  /** When the stanza was seen, RFC 3339; sent as `event-pusher-time`. */
  readonly seenAt: string;
  /** What the handler's callbacks at delivery work on; absent where its module has none. */
  readonly message?: JobMessage;
  /** The answer's body is wanted: something comes of it. */
  readonly wantsBody?: true;
  /** Where it goes, on a pool without an origin. */
  readonly destination?: Destination;
  /** When it is to be over, instead of by the pool's timeouts. */
  readonly within?: Within;
}

/** The deadline of an attempt: `atMostMs` after a worker took it, and no later than `until`, which includes the wait for a worker. */
export interface Within {
  /** Milliseconds since 1970. */
  readonly until: number;
  readonly atMostMs: number;
}

export interface JobMessage {
  /** Names the handler among `PoolThreadSettings.handlers`. */
  readonly handler: string;
  /** The stanza as XML; undefined for a delivery that was stored before its module had callbacks at delivery. */
  readonly stanza: string | undefined;
  /** What earlier attempts left in the context. */
  readonly context: ContextVariables;
}

/** A handler whose module has callbacks at delivery, and where to import them. */
export interface SessionHandler {
  readonly name: string;
  readonly url: string;
  readonly opts: HandlerOpts;
}

/** What a pool thread must know of its pool; handed over once, at its start. */
export interface PoolThreadSettings {
  readonly name: string;
  readonly client: 'got' | 'undici';
  /** Scheme, host and port: `https://localhost:8000`. Empty: each job brings its destination. */
  readonly origin: string;
  /** Requests in flight at most in this thread = connections at most. */
  readonly workers: number;
  /** Bounds connect, headers, and each gap in a body. */
  readonly requestTimeoutMs: number;
  /** Bounds the whole attempt, from the worker's taking it. */
  readonly callTimeoutMs: number;
  /** Maximum age of a connection that carries a request; Infinity disables the limit. */
  readonly maxConnectionAgeMs: number;
  readonly maxResponseBytes: number;
  readonly userAgent: string;
  readonly tls: PoolTls;
  /** Those with callbacks at delivery; empty for most pools. */
  readonly handlers: readonly SessionHandler[];
  /** A callback's promise must settle within this, ms. */
  readonly callbackTimeoutMs: number;
}

/** TLS of a pool's connections; files are already read. */
export interface PoolTls {
  /** False only where the operator said `verify_mode = "none"`. */
  readonly verify: boolean;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly passphrase: string | undefined;
  readonly ciphers: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3' | undefined;
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** The name asked for in the handshake; undefined: the origin's host. */
  readonly serverName: string | undefined;
}

/** Main → pool thread. `disposed`: what became of a delivery is on disk, its worker waits to be told; `stop` lets what is in flight end. */
export type ToPoolThread =
  | { readonly kind: 'disposed'; readonly key: number; readonly disposition: Disposition }
  | { readonly kind: 'jobs'; readonly jobs: readonly Job[] }
  | { readonly kind: 'ping' }
  | { readonly kind: 'stop' };

/** Pool thread → main: a sign of life, a callback that went wrong, or outcomes, each as soon as its own request ended. */
export type FromPoolThread =
  | { readonly kind: 'alive' }
  | ({ readonly kind: 'callback-failed' } & CallbackFailure)
  | { readonly kind: 'outcomes'; readonly outcomes: readonly KeyedOutcome[] };

/** A callback at delivery threw, rejected, missed its deadline or returned nonsense. */
export interface CallbackFailure {
  readonly handler: string;
  readonly callback: string;
  /** The delivery it was called for; undefined for a callback of the session alone. */
  readonly id: DeliveryId | undefined;
  readonly message: string;
  /** The first places of the stack, without the message. */
  readonly at: readonly string[];
}

export interface KeyedOutcome {
  readonly key: number;
  readonly outcome: HttpOutcome;
  /** Present where the handler has callbacks at delivery. */
  readonly judgement?: Judgement;
}
