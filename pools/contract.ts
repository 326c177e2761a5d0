/** Messages between the service thread and the pool threads, and the settings of a pool thread. Types only. */
import type { MessagePort } from 'node:worker_threads';
import type { DispositionKind, HttpOutcome, Judgement } from '../src/model/attempt.ts';
import type { Body, ContextVariables, DeliveryId, Destination, HeaderPair } from '../src/model/delivery.ts';
import type { HandlerOpts } from './accept-callbacks.ts';

/** One request for a pool thread. */
export interface Job {
  /** Identifies the job between the two threads; unique while it is in progress. */
  readonly key: number;
  readonly id: DeliveryId;
  /** 1 for the first. */
  readonly attempt: number;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Body;
  /** Time of the stanza, RFC 3339; sent as `event-pusher-time`. */
  readonly seenAt: string;
  /** Input of the handler's callbacks at delivery; absent if its module has none. */
  readonly message?: JobMessage;
  /** The outcome must include the response's body. */
  readonly wantsBody?: true;
  /** The destination on a pool without an origin. */
  readonly destination?: Destination;
  /** The deadline, in place of the pool's timeouts. */
  readonly within?: Within;
  /** The handler, if it has signing keys of its own. */
  readonly signer?: string;
}

/** The part of a request that many deliveries of a handler have in common. */
export type RequestHead = Pick<Job, 'headers' | 'method' | 'path'>;

/** A job that consists of its request only, as it travels: `compact.ts` makes it. */
export type CompactJob = readonly [key: number, attempt: number, head: RequestHead, id: DeliveryId, seenAt: string, body: Body];

/** Deadline of an attempt: `atMostMs` after a worker took it, and no later than `until`, which includes the wait for a worker. */
export interface Within {
  /** Milliseconds since 1970. */
  readonly until: number;
  readonly atMostMs: number;
}

export interface JobMessage {
  /** The handler's name in `PoolThreadSettings.handlers`. */
  readonly handler: string;
  /** The stanza as XML; undefined for a delivery that was stored before its module had callbacks at delivery. */
  readonly stanza: string | undefined;
  /** The variables of earlier attempts. */
  readonly context: ContextVariables;
}

/** A handler whose module has callbacks at delivery, and the module's URL. */
export interface SessionHandler {
  readonly name: string;
  readonly url: string;
  readonly opts: HandlerOpts;
}

/** The settings of a pool thread, which it gets once, at its start. */
export interface PoolThreadSettings {
  readonly name: string;
  readonly client: 'got' | 'undici';
  /** Scheme, host and port: `https://localhost:8000`. Empty: each job has its own destination. */
  readonly origin: string;
  /** Maximum number of requests in progress, and of connections, in this thread. */
  readonly workers: number;
  /** Time limit for connecting, for the headers, and for each gap in a body. */
  readonly requestTimeoutMs: number;
  /** Time limit for the whole attempt, from when a worker takes it. */
  readonly callTimeoutMs: number;
  /** Maximum age of a connection that carries a request; Infinity disables the limit. */
  readonly maxConnectionAgeMs: number;
  readonly maxResponseBytes: number;
  readonly userAgent: string;
  readonly headers: readonly PoolHeader[];
  readonly signing: SigningKeys | undefined;
  /** Where the pool gets the access token of its requests; undefined for most pools. */
  readonly tokens: TokenClient | undefined;
  readonly tls: PoolTls;
  /** URL of the proxy; hosts that are connected to without it; addresses of metadata services that may be dialled. */
  readonly egress: { readonly proxy: string | undefined; readonly direct: readonly string[]; readonly allow: readonly string[] };
  /** Handlers with callbacks at delivery; empty for most pools. */
  readonly handlers: readonly SessionHandler[];
  /** Time limit for a callback's promise, ms. */
  readonly callbackTimeoutMs: number;
}

/** A header that the pool adds to each request. */
export interface PoolHeader {
  readonly name: string;
  readonly value: string;
  /** Whether it replaces a callback's header of the same name, as that of `auth` does. */
  readonly replaces: boolean;
}

/** The keys that sign requests, as in the file: those of the pool, and those of handlers with keys of their own. */
export interface SigningKeys {
  readonly ofPool: readonly string[];
  readonly ofHandlers: readonly (readonly [handler: string, keys: readonly string[]])[];
}

/** A client of an OAuth 2.0 server. */
export interface TokenClient {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly authMethod: 'client_secret_basic' | 'client_secret_post';
  readonly scope: string | undefined;
  readonly audience: string | undefined;
}

/** TLS of a pool's connections; the contents of files. */
export interface PoolTls {
  /** False only with `verify_mode = "none"`. */
  readonly verify: boolean;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly passphrase: string | undefined;
  readonly ciphers: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3' | undefined;
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** Server name in the handshake (SNI); undefined: the origin's host. */
  readonly serverName: string | undefined;
}

/** Service → thread: a pool is to be served, over a port of its own. When that port closes, its connections close. */
export interface ToThread {
  readonly port: MessagePort;
  readonly settings: PoolThreadSettings;
}

/** Service → pool in a thread. `disposed`: a disposition that a worker waits for is on disk. `stop`: finish the jobs in progress and end. */
export type ToPoolThread =
  | { readonly kind: 'disposed'; readonly key: number; readonly disposition: DispositionKind }
  | { readonly kind: 'jobs'; readonly jobs: readonly (CompactJob | Job)[] }
  | { readonly kind: 'ping' }
  | { readonly kind: 'stop' };

/** Pool thread → service: the response to a ping, a failed callback, an answer about a token, or outcomes, each as soon as its own request has ended. */
export type FromPoolThread =
  | { readonly kind: 'alive' }
  | ({ readonly kind: 'callback-failed' } & CallbackFailure)
  | { readonly kind: 'token'; readonly token: { readonly lifetimeMs: number; readonly reason: string } }
  | { readonly kind: 'outcomes'; readonly outcomes: readonly (CompactOutcome | KeyedOutcome)[] };

/** A callback at delivery threw, rejected, exceeded its time limit or returned an invalid value. */
export interface CallbackFailure {
  readonly handler: string;
  readonly callback: string;
  /** The delivery; undefined for a callback of a connection. */
  readonly id: DeliveryId | undefined;
  readonly message: string;
  /** The first locations of the stack trace, without the message. */
  readonly at: readonly string[];
}

export interface KeyedOutcome {
  readonly key: number;
  readonly outcome: HttpOutcome;
  /** Present if the handler has callbacks at delivery. */
  readonly judgement?: Judgement;
}

/** The usual outcome of a usual job, as it travels: a response without `retry-after`, not truncated. `compact.ts` makes it. */
export type CompactOutcome = readonly [key: number, status: number, durationMs: number, excerpt: string];
