/**
 * The effective configuration: every default filled in, every file read, every path absolute, every `${…}` replaced.
 * `load.ts` makes it from TOML; nothing else of the service knows TOML, or the environment.
 */
import type { PoolTls } from '../../pools/contract.ts';
import type { Secret } from '../kit/secret.ts';
import type { Attachment } from './attachment.ts';

export type { Attachment, ClientAttachment, ComponentAttachment, ComponentNode, HttpAttachment } from './attachment.ts';
export type { Credential, ScryptHash } from './credential.ts';
export type { BuiltinUnit, Descriptor, ExitsAttachment, Listener, UserModule } from './exits.ts';

export interface Config {
  /** The file it came from, absolute. */
  readonly file: string;
  /** Domains whose users are local: the union of `general.hosts` and the attachments' hosts. */
  readonly hosts: readonly string[];
  readonly logLevel: LogLevel;
  readonly attachments: readonly Attachment[];
  readonly pools: readonly PoolConfig[];
  /** In the order of the file: the order in which they meet a packet. */
  readonly handlers: readonly HandlerConfig[];
  readonly callbacks: CallbackLimits;
  readonly spool: SpoolConfig;
  readonly admin: ListenConfig;
  /** Undefined: chat servers cannot ask about messages. */
  readonly gate: GateConfig | undefined;
  readonly metrics: { readonly mongooseim: boolean; readonly token: Secret | undefined };
  /** How long SIGTERM waits for requests in flight, ms. */
  readonly drainTimeoutMs: number;
  /** What was skipped, or means something else here than in MongooseIM: one sentence each. */
  readonly notices: readonly string[];
  /** Texts that must not be printed anywhere: values of references, and values of secret keys. */
  readonly redacted: readonly Secret[];
}

export type LogLevel = 'debug' | 'error' | 'fatal' | 'info' | 'silent' | 'warn';

/** Pools that are there where a handler follows up. No file may define them. */
export type BuiltInPool = 'follow_up' | 'follow_up_messages';

export interface PoolConfig {
  /** The name in the file, with `@host` behind it where the scope is one pool per host. Unique. */
  readonly id: string;
  readonly client: 'got' | 'undici';
  /** Scheme, host and port. Empty for a built-in pool: each of its deliveries says where it goes. */
  readonly origin: string;
  /** Starts with `/`. */
  readonly pathPrefix: string;
  readonly workers: number;
  readonly threads: number;
  readonly requestTimeoutMs: number;
  readonly callTimeoutMs: number;
  /** Maximum age of a connection that carries a request; Infinity for `max_connection_age = "forever"`. */
  readonly maxConnectionAgeMs: number;
  readonly maxResponseBytes: number;
  readonly retry: RetryPolicy;
  /** Part of the workers that first attempts have for themselves while any wait, 0 to 1. */
  readonly firstAttemptShare: number;
  /** An answer of 410 pauses the pool until an operator resumes it. */
  readonly pauseOnGone: boolean;
  /** Undefined: no limit but the workers. */
  readonly rateLimit: RateLimit | undefined;
  /** Undefined: switched off. */
  readonly circuitBreaker: CircuitBreakerConfig | undefined;
  /** Deliveries owed at most; beyond that `overflow` says what gives way. */
  readonly maxBacklog: number;
  /** `dead-letter-oldest` ends the oldest, `refuse` the newest, as dead letters; `hold-intake` stops every pool's intake. */
  readonly overflow: 'dead-letter-oldest' | 'hold-intake' | 'refuse';
  readonly tls: PoolTls;
}

/** A token bucket: `requests` per `perMs` on average, `burst` at once at most. */
export interface RateLimit {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

export interface CircuitBreakerConfig {
  /** Opens when this part of the attempts in the window failed, 0 to 1. */
  readonly failureRatio: number;
  /** Opens only after so many attempts in the window. */
  readonly minAttempts: number;
  readonly windowMs: number;
  /** How long it stays open the first time; doubles with each probe that fails. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

export interface RetryPolicy {
  /** One wait per retry, ms; after the last the delivery is dead. */
  readonly scheduleMs: readonly number[];
  /** 0.2 varies each wait by ±20 %. */
  readonly jitter: number;
  /** Age at which a delivery is given up whatever is left of its schedule, ms. */
  readonly maxAgeMs: number;
  /** Status codes counted otherwise than by default. */
  readonly accept: readonly number[];
  readonly defer: readonly number[];
  readonly refuse: readonly number[];
}

export type Ordering = 'conversation' | 'none' | 'sender';

export interface HandlerConfig {
  readonly name: string;
  /** Hosts whose packets it meets. */
  readonly hosts: readonly string[];
  /** `PoolConfig.id`. */
  readonly pool: string;
  /** As in the file. */
  readonly path: string;
  /** Prefix and path joined: what the request asks for. */
  readonly requestPath: string;
  /** As in the file. */
  readonly callbackModule: string;
  /** Where the module was found: a built-in's name, or the URL of a file or package. */
  readonly module: { readonly kind: 'builtin'; readonly name: string } | { readonly kind: 'url'; readonly url: string };
  readonly when: When | undefined;
  /** Messages that ask not to be stored (XEP-0334) do not meet it. */
  readonly respectHints: boolean;
  readonly ordering: Ordering;
  /** How long a failing head may hold its lane, ms; Infinity for `hold = "forever"`. */
  readonly holdMs: number;
  /** Age at which its deliveries are given up, ms; undefined: only the pool's `max_age`. */
  readonly ttlMs: number | undefined;
  /** Who is asked before it pushes; undefined: nobody. */
  readonly beforePush: BeforePushConfig | undefined;
  /** What the answers to its pushes may order; undefined: nothing. */
  readonly followUp: FollowUpConfig | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A business server that allows, withholds or changes a handler's pushes. */
export interface BeforePushConfig {
  /** What its questions are queued, counted and guarded by, apart from its pushes. */
  readonly queue: string;
  /** `PoolConfig.id`. */
  readonly pool: string;
  /** As in the file. */
  readonly path: string;
  /** Path and query on the pool's origin, prefix included. */
  readonly requestPath: string;
  /** How long a push may be held up by its question, ms: its wait for a worker and the answer's time together. */
  readonly timeoutMs: number;
  /** What an answer that is none comes to: `continue` pushes as if nobody had been asked, `refuse` withholds. */
  readonly onFailure: 'continue' | 'refuse';
}

/** What the answers of a backend may order. */
export interface FollowUpConfig {
  /** Where ordered requests may go: a host, `*.suffix`, an address or a CIDR, each with an optional `:port`. */
  readonly allow: readonly string[];
  /** The origin of the handler's pool, which may be at any address, since pushes go there. */
  readonly ownOrigin: string;
  /** How long a chain of orders may be. */
  readonly maxDepth: number;
  /** The bare JID that messages to users come from; undefined: the attachment's own. */
  readonly replyFrom: string | undefined;
  /** The host of receivers that are given as local parts; undefined: that of the packet. */
  readonly defaultHost: string | undefined;
}

/** A handler's `when`: every given key must hold; a list means any of its members. */
export interface When {
  readonly direction?: readonly string[];
  readonly stanza?: readonly string[];
  readonly type?: readonly string[];
  readonly kind?: readonly string[];
  /** What `Packet.event` may be, and `offline`: a message for a receiver without a session. */
  readonly event?: readonly string[];
  readonly body?: boolean;
  /** Globs (`*`, `?`) on bare JIDs. */
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  /** The receiver has no session. */
  readonly offline?: boolean;
  readonly delayed?: boolean;
  /** Namespaces, one of which a child must have. */
  readonly has?: readonly string[];
}

export interface CallbackLimits {
  /** A callback's promise must settle within this, ms. */
  readonly timeoutMs: number;
  /** A callback that holds the thread this long is found out by the watchdog, ms. */
  readonly blockTimeoutMs: number;
}

export interface SpoolConfig {
  readonly engine: 'memory' | 'sqlite';
  /** Absolute. */
  readonly path: string;
  /** Intake stops when the file and its log reach this. */
  readonly maxBytes: number;
  /** Intake stops when the file system has less than this left. */
  readonly minFreeBytes: number;
  /** Dead letters end after this, ms. */
  readonly deadLetterMaxAgeMs: number;
  /** Maximum number of dead letters; the oldest are deleted first. Undefined: no limit. */
  readonly deadLetterMax: number | undefined;
}

/** Where chat servers ask about the messages that they hold. */
export interface GateConfig {
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** What they must show (RFC 6750); undefined: anybody who reaches the listener may ask. */
  readonly token: Secret | undefined;
  /** All callbacks that are asked about a message are through within this, ms. */
  readonly timeoutMs: number;
  readonly maxBodyBytes: number;
  /** Maximum number of connections; each waiting sender takes one. */
  readonly maxConnections: number;
}

export interface ListenConfig {
  readonly host: string;
  readonly port: number;
  readonly token: Secret | undefined;
  readonly maxConnections: number;
}
