/** The messages between the service thread and the pool threads, and the settings of a pool thread. Types only: importing it imports no code. */

import type { DispositionKind, HttpOutcome, Judgement } from '../src/model/attempt.ts';
import type { Body, ContextVariables, DeliveryId, Destination, HeaderPair } from '../src/model/delivery.ts';

/** A handler as its callbacks see it: who it is, and the `options` of its configuration beside. */
export interface HandlerOpts {
  readonly name: string;
  readonly poolName: string;
  readonly path: string;
  readonly callbackModule: string;
  readonly [option: string]: unknown;
}

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
  | { readonly kind: 'disposed'; readonly key: number; readonly disposition: DispositionKind }
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
