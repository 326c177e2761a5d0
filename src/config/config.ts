/**
 * The part of the effective configuration that the path of an event needs: component attachments, pools, handlers, the spool. The
 * whole is in `service-config.ts`. Both files hold types only; the readers of the sections stand in the other files of this folder.
 */
import type { PoolThreadSettings, PoolTls, TokenClient } from '../../pools/contract.ts';
import type { Secret } from '../kit/secret.ts';

export interface ComponentAttachment extends XmppConnection {
  readonly type: 'component';
  readonly name: string;
  /** The XEP-0114 listeners: usually one, in a cluster one per node. */
  readonly nodes: readonly ComponentNode[];
  /** The component's own domain. */
  readonly domain: string;
  readonly secret: Secret;
  readonly feed: 'direct' | 'service_log' | 'tap';
  /** Local virtual hosts of this server. */
  readonly hosts: readonly string[];
}

/** Limits of a connection to an XMPP server. */
export interface XmppConnection {
  readonly maxStanzaBytes: number;
  /** Maximum of bytes received but not yet on disk; at the limit the socket is not read. */
  readonly maxUncommittedBytes: number;
  /** Silence after which a ping is sent; without an answer within `pingTimeoutMs` the connection ends. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Limit for dialling and logging in. */
  readonly connectTimeoutMs: number;
  /** Reconnect pauses double from 1 s up to this. */
  readonly reconnectCapMs: number;
}

export interface ComponentNode {
  /** The address in messages: `xmpp://host:port`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface PoolConfig {
  /** The name in the file, with `@host` appended if the pool is per host. Unique. */
  readonly id: string;
  readonly client: 'got' | 'undici';
  /** Scheme, host and port. Empty for a built-in pool, whose deliveries carry their own URL. */
  readonly origin: string;
  /** Starts with `/`. */
  readonly pathPrefix: string;
  readonly workers: number;
  /** Undefined: one, which the pool may share with others. */
  readonly threads: number | undefined;
  readonly requestTimeoutMs: number;
  readonly callTimeoutMs: number;
  /** Maximum age of a connection that carries a request; Infinity for `max_connection_age = "forever"`. */
  readonly maxConnectionAgeMs: number;
  readonly maxResponseBytes: number;
  readonly retry: RetryPolicy;
  /** Share of the workers reserved for first attempts while any wait, 0 to 1. */
  readonly firstAttemptShare: number;
  /** Whether status 410 pauses the pool until an operator resumes it. */
  readonly pauseOnGone: boolean;
  /** Undefined: no limit except `workers`. */
  readonly rateLimit: RateLimit | undefined;
  /** Undefined: disabled. */
  readonly circuitBreaker: CircuitBreakerConfig | undefined;
  /** Maximum number of unsettled deliveries; `overflow` applies beyond it. */
  readonly maxBacklog: number;
  /**
   * `dead-letter-oldest` makes the oldest delivery a dead letter, `refuse` the newest; `hold-intake` stops the intake of
   * every pool.
   */
  readonly overflow: 'dead-letter-oldest' | 'hold-intake' | 'refuse';
  readonly tls: PoolTls;
  readonly egress: Omit<PoolThreadSettings['egress'], 'proxy'> & { readonly proxy: Secret | undefined };
  /** Added to each request. */
  readonly headers: readonly PoolHeader[];
  /** Where it gets the access token of its requests; undefined: they have none. */
  readonly oauth: OAuthClient | undefined;
  /** Keys that sign its requests; undefined: it signs none. */
  readonly sign: readonly Secret[] | undefined;
}

/** `auth.oauth2` of a pool. */
export interface OAuthClient extends Omit<TokenClient, 'clientSecret'> {
  readonly clientSecret: Secret;
}

/** A header of a pool, and the setting that it is from. Those of `auth` replace a callback's. */
export interface PoolHeader {
  readonly name: string;
  readonly value: Secret;
  readonly from: 'auth.basic' | 'auth.bearer' | 'headers';
}

/** Pools that exist if a handler has `follow_up`. Their names are reserved. */
export type BuiltInPool = 'follow_up' | 'follow_up_messages';

/** A token bucket: on average `requests` per `perMs`, at most `burst` at once. */
export interface RateLimit {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
}

export interface CircuitBreakerConfig {
  /** Opens if this share of the attempts in the window failed, 0 to 1. */
  readonly failureRatio: number;
  /** Minimum number of attempts in the window before it can open. */
  readonly minAttempts: number;
  readonly windowMs: number;
  /** Duration of the first open state; doubles with each failed probe. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

export interface RetryPolicy {
  /** One pause per retry, ms; after the last retry the delivery is dead. */
  readonly scheduleMs: readonly number[];
  /** 0.2 varies each pause by ±20 %. */
  readonly jitter: number;
  /** Age at which a delivery is dead even if retries remain, ms. */
  readonly maxAgeMs: number;
  /** Status codes whose default verdict is overridden. */
  readonly accept: readonly number[];
  readonly defer: readonly number[];
  readonly refuse: readonly number[];
}

export type Ordering = 'conversation' | 'none' | 'sender';

export interface HandlerConfig {
  readonly name: string;
  /** Hosts whose packets it evaluates. */
  readonly hosts: readonly string[];
  /** `PoolConfig.id`. */
  readonly pool: string;
  /** As in the file. */
  readonly path: string;
  /** Prefix of the pool and path of the handler, joined. */
  readonly requestPath: string;
  /** As in the file. */
  readonly callbackModule: string;
  /** The resolved module: the name of a built-in, or the URL of a file or package. */
  readonly module: { readonly kind: 'builtin'; readonly name: string } | { readonly kind: 'url'; readonly url: string };
  readonly when: When | undefined;
  /** Whether messages with the hint "no-store" (XEP-0334) are skipped. */
  readonly respectHints: boolean;
  readonly ordering: Ordering;
  /** How long a failing head may block its lane, ms; Infinity for `hold = "forever"`. */
  readonly holdMs: number;
  /** Age at which its deliveries are dead, ms; undefined: only `max_age` of the pool. */
  readonly ttlMs: number | undefined;
  /** Undefined: pushes without asking a business server. */
  readonly beforePush: BeforePushConfig | undefined;
  /** Undefined: responses to its pushes create no further deliveries. */
  readonly followUp: FollowUpConfig | undefined;
  /** Keys that sign its pushes in place of the pool's. */
  readonly sign: readonly Secret[] | undefined;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A business server that allows, withholds or changes a handler's pushes. */
export interface BeforePushConfig {
  /** Queue name of its questions: they have their own queue, metrics and circuit breaker. */
  readonly queue: string;
  /** `PoolConfig.id`. */
  readonly pool: string;
  /** As in the file. */
  readonly path: string;
  /** Path and query on the pool's origin, prefix included; a question of `openim-3` adds its command to the path. */
  readonly requestPath: string;
  /** Version of OpenIM whose questions are asked. */
  readonly form: 'openim-2' | 'openim-3';
  /** Maximum delay of a push by its question, ms: the wait for a worker plus the response time. */
  readonly timeoutMs: number;
  /** Result of a question without a valid answer: `continue` pushes unchanged, `refuse` withholds the push. */
  readonly onFailure: 'continue' | 'refuse';
}

/** Limits of the requests and messages that responses of a backend may order. */
export interface FollowUpConfig {
  /** Permitted destinations: a host, `*.suffix`, an address or a CIDR, each with an optional `:port`. */
  readonly allow: readonly string[];
  /** The origin of the handler's pool; pushes go there, so it may have any address. */
  readonly ownOrigin: string;
  /** Maximum length of a chain of orders. */
  readonly maxDepth: number;
  /** The bare JID that messages to users come from; undefined: the attachment's own. */
  readonly replyFrom: string | undefined;
  /** The host of receivers given as local parts; undefined: the host of the packet. */
  readonly defaultHost: string | undefined;
}

/** A handler's `when`: all given keys must match; a list matches if one member matches. */
export interface When {
  readonly direction?: readonly string[];
  readonly stanza?: readonly string[];
  readonly type?: readonly string[];
  readonly kind?: readonly string[];
  /** Values of `Packet.event`, and `offline`: a message for a receiver without a session. */
  readonly event?: readonly string[];
  readonly body?: boolean;
  /** Globs (`*`, `?`) on bare JIDs. */
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  /** Globs on the bare JID of the author, in a room that of the occupant if it is known. */
  readonly sender?: readonly string[];
  /** Globs on the bare JID of the room of a groupchat message. */
  readonly room?: readonly string[];
  /** Globs on the first body. */
  readonly text?: readonly string[];
  /** The receiver has no session. */
  readonly offline?: boolean;
  readonly delayed?: boolean;
  /** False: the receiver is an absent member of the room. */
  readonly occupant?: boolean;
  /** Namespaces of child elements; one must be present. */
  readonly has?: readonly string[];
  /** Rules that must not match. */
  readonly not?: When;
  /** Rules of which one must match. */
  readonly any?: readonly When[];
}

export interface CallbackLimits {
  /** Limit for the promise of a callback, ms. */
  readonly timeoutMs: number;
  /** How long a callback may block its thread before the watchdog replaces the thread, ms. */
  readonly blockTimeoutMs: number;
}

export interface PostgresConfig {
  /** With user and password. */
  readonly url: Pick<Secret, 'reveal'>;
  readonly schema: string;
}

export interface SpoolConfig {
  readonly engine: 'memory' | 'postgres' | 'sqlite';
  /** Undefined unless the engine is `postgres`. */
  readonly postgres?: PostgresConfig | undefined;
  /** Absolute. */
  readonly path: string;
  /** Intake stops when the database and its log reach this size. */
  readonly maxBytes: number;
  /** Intake stops when the file system has less free space than this. */
  readonly minFreeBytes: number;
  /** Age at which dead letters are deleted, ms. */
  readonly deadLetterMaxAgeMs: number;
  /** Maximum number of dead letters; the oldest are deleted first. Undefined: no limit. */
  readonly deadLetterMax: number | undefined;
}
