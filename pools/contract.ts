/**
 * The one file that the main thread and the pool threads both read: the shapes that cross between them, and the packet
 * as callback modules see it. Types only: importing it imports no code.
 */

/** Names one delivery for ever; sent as `webhook-id`. Time-ordered, without `.` (Standard Webhooks 1.0.0). */
export type DeliveryId = string & { readonly __brand: 'DeliveryId' };

/** Names one packet; handlers of the same packet share it. */
export type PacketId = string & { readonly __brand: 'PacketId' };

/** The server's view, as in MongooseIM: `in` came in from a local user, `out` is routed to a local user. */
export type Direction = 'in' | 'out';

/** A prepared JID (nodeprep, nameprep, resourceprep); absent parts are empty strings. RFC 7622. */
export interface Jid {
  readonly user: string;
  readonly server: string;
  readonly resource: string;
  /** `user@server`, or `server` alone. */
  readonly bare: string;
  /** `bare/resource`, or `bare` where there is no resource. */
  readonly full: string;
}

/** One XML element, frozen. Attribute names are as written; `xmlns` is an attribute like any other. */
export interface Stanza {
  /** The name as written, prefix included. */
  readonly name: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** Its namespace, resolved; empty when it has none. */
  readonly ns: string;
  readonly children: readonly (Stanza | string)[];
  /** This element as XML text. */
  readonly xml: string;
  /** The text below the first child reached by `path` (`text('body')`); without a path its own. Empty when absent. */
  text(...path: readonly string[]): string;
}

/** What a stanza is about, beyond its type. XEP-0308, 0424, 0444, 0184, 0333, 0085, 0384. */
export type Kind =
  | 'chat-state'
  | 'correction'
  | 'encrypted'
  | 'iq'
  | 'marker'
  | 'message'
  | 'presence'
  | 'reaction'
  | 'receipt'
  | 'retraction'
  | 'status';

/** What is known of a packet beside its stanza; the `acc` of every callback. */
export interface Acc {
  readonly id: PacketId;
  /** When the chat server saw the stanza (or we did, where it does not say), in RFC 3339 with milliseconds. */
  readonly time: string;
  /** When it reached this process, in RFC 3339 with milliseconds. */
  readonly receivedAt: string;
  /** The local virtual host that saw the packet. */
  readonly host: string;
  /** The name of the attachment it came from. */
  readonly origin: string;
  /** Connected clients of the receiver (`out`); undefined where the feed does not say. */
  readonly sessions: number | undefined;
  /** Full JID of the sender's session (`in`); undefined where the feed does not say. */
  readonly session: string | undefined;
  /** The archive's id of the message (XEP-0359) given by our own side; undefined without one. */
  readonly stanzaId: string | undefined;
  /** When a delayed copy was first sent (XEP-0203), RFC 3339; undefined for a live one. */
  readonly delayed: string | undefined;
  readonly kind: Kind;
  /** Shared by the handlers of this packet, in their order. */
  readonly metadata: Map<string, unknown>;
}

/** A handler as its callbacks see it: who it is, and the `options` of its configuration beside. */
export interface HandlerOpts {
  readonly name: string;
  readonly poolName: string;
  readonly path: string;
  readonly callbackModule: string;
  readonly [option: string]: unknown;
}

/** A header as it goes on the wire. */
export type HeaderPair = readonly [name: string, value: string];

/** A request body: text is sent as UTF-8. */
export type Body = string | Uint8Array;

/** What a delivery asks for. Frozen when the packet is accepted; the origin is the pool's at each attempt. */
export interface HttpTarget {
  readonly kind: 'http';
  readonly method: string;
  /** Path and query on the pool's origin, prefix included. */
  readonly path: string;
  readonly headers: readonly HeaderPair[];
}

/** Where an attempt was when its time ran out. `call` is the whole, from the worker's taking it. */
export type Phase = 'body' | 'call' | 'connect' | 'headers';

/** What happened on the wire. Durations in ms, from the worker's taking the job. */
export type Outcome =
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
    }
  | { readonly kind: 'timed-out'; readonly phase: Phase; readonly durationMs: number }
  /** Nothing was sent: DNS, connect, TLS. `code` as Node names it (ECONNREFUSED, CERT_HAS_EXPIRED, …). */
  | { readonly kind: 'unreachable'; readonly code: string; readonly message: string; readonly durationMs: number }
  /** The connection broke, or what came was no HTTP answer, after the request may have been sent. */
  | { readonly kind: 'broken'; readonly code: string; readonly message: string; readonly durationMs: number };

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
}

/** What a pool thread must know of its pool; handed over once, at its start. */
export interface PoolThreadSettings {
  readonly name: string;
  readonly client: 'got' | 'undici';
  /** Scheme, host and port: `https://localhost:8000`. */
  readonly origin: string;
  /** Requests in flight at most in this thread = connections at most. */
  readonly workers: number;
  /** Bounds connect, headers, and each gap in a body. */
  readonly requestTimeoutMs: number;
  /** Bounds the whole attempt, from the worker's taking it. */
  readonly callTimeoutMs: number;
  readonly maxResponseBytes: number;
  readonly userAgent: string;
  readonly tls: PoolTls;
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

/** Main → pool thread. `ping` asks for an `alive`; `stop` lets what is in flight end and closes the connections. */
export type ToPoolThread = { readonly kind: 'jobs'; readonly jobs: readonly Job[] } | { readonly kind: 'ping' } | { readonly kind: 'stop' };

/** Pool thread → main: a sign of life, or outcomes of one turn of its loop, each as soon as its own request ended. */
export type FromPoolThread = { readonly kind: 'alive' } | { readonly kind: 'outcomes'; readonly outcomes: readonly KeyedOutcome[] };

export interface KeyedOutcome {
  readonly key: number;
  readonly outcome: Outcome;
}
