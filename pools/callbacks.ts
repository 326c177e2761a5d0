/** The API for callback modules, without the types of exits. */

import type { StatusOrigin } from '../src/model/attempt.ts';
import type { Body, DeliveryId } from '../src/model/delivery.ts';
import type { Stanza } from '../src/model/packet.ts';
import type { AcceptCallbacks, GateCallbacks, HandlerOpts } from './accept-callbacks.ts';

/** From `buildRequest`: send `method`, `path`, `headers` and `body`. From `handleResponse`: the status line is the status. */
export const HTTP_INTERNAL_CONT = 0 as const;
/** From `buildRequest`: `data` is the complete message. From `handleResponse`: the module has set the status. */
export const HTTP_INTERNAL_DONE = 1 as const;
/** From `buildRequest`: send nothing. From `handleResponse`: as HTTP_INTERNAL_DONE, after an error. */
export const HTTP_INTERNAL_FAIL = -1 as const;

/** From `statusClassifier`: delivered, regardless of the status. */
export const DELIVERY_SUCCESS = 2 as const;
/** From `statusClassifier`: try again later. */
export const DELIVERY_TEMPFAILED = 3 as const;
/** From `statusClassifier`: give up. */
export const DELIVERY_PERMFAILED = 4 as const;

/** Variable of a message's context: the status for `statusClassifier`, an integer as text. */
export const DLV_RESPONSE_STATUS = 'DLV_RESPONSE_STATUS' as const;
/** Variable of a message's context: a description of the status. */
export const DLV_RESPONSE_STATUS_DETAIL = 'DLV_RESPONSE_STATUS_DETAIL' as const;

/**
 * Adds types to a callback module and returns its argument: `export const { shouldMakeReq } = defineCallbacks({ … })`.
 * For an omitted function on accept the default module's is used; an omitted function at delivery does nothing.
 */
export function defineCallbacks<C extends Callbacks>(callbacks: C & Callbacks & NoOtherFunction<C>): C {
  return callbacks;
}

/** A function with any other name would never be called: it is a type error here, and an error when the module is loaded. */
export type NoOtherFunction<C> = {
  readonly [Name in Exclude<keyof C, keyof Callbacks>]: C[Name] extends (...given: never) => unknown
    ? 'not the name of a callback'
    : C[Name];
};

/** The functions of a callback module: on accept, at the gate, and at delivery. */
export interface Callbacks extends AcceptCallbacks, DeliveryCallbacks, GateCallbacks {}

/**
 * Called at each attempt in the pool's thread, which has its own instance of the module. Each may be async, within
 * `[callbacks] timeout`. If one throws, rejects, exceeds it or returns an invalid value, the failure is logged with the handler's
 * name, and the delivery does not count as delivered because of it.
 */
export interface DeliveryCallbacks {
  /** Completes `session.request`. Undefined counts as HTTP_INTERNAL_CONT, any other invalid value as HTTP_INTERNAL_FAIL. */
  buildRequest?(session: Session): Promise<InternalCode | undefined> | InternalCode | undefined;
  /** Judges `session.response`. Not called without a response. */
  handleResponse?(session: Session): Promise<InternalCode | undefined> | InternalCode | undefined;
  /** The verdict for a status; an invalid value counts as DELIVERY_TEMPFAILED. Also called for the internal statuses 590 to 596. */
  statusClassifier?(status: number, about: { readonly origin: StatusOrigin }): DeliveryVerdict | Promise<DeliveryVerdict>;
  /** The message is delivered. Called at most once, after that is on disk. */
  disposeDelivery?(message: Message): unknown;
  /** The message will be retried. */
  disposeTempfail?(message: Message): unknown;
  /** The message has become a dead letter. */
  disposePermfail?(message: Message): unknown;
  /** A connection is open, TLS included. HTTP_INTERNAL_FAIL: it must not carry messages of this handler. */
  initSession?(session: ConnectionSession): unknown;
  /** The connection is closed, for any reason. */
  destroySession?(session: ConnectionSession): unknown;
  /** A message is over: called last of the three resets, before the worker takes the next message. */
  resetSession?(session: Session): unknown;
  /** A message is over: called first, to release `session.request.userdata`. */
  resetRequest?(session: Session): unknown;
  /** A message is over: called second, to release `session.response.userdata`. */
  resetResponse?(session: Session): unknown;
}

/** HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL. */
export type InternalCode = typeof HTTP_INTERNAL_CONT | typeof HTTP_INTERNAL_DONE | typeof HTTP_INTERNAL_FAIL;

/** DELIVERY_SUCCESS, DELIVERY_TEMPFAILED, DELIVERY_PERMFAILED. */
export type DeliveryVerdict = typeof DELIVERY_SUCCESS | typeof DELIVERY_TEMPFAILED | typeof DELIVERY_PERMFAILED;

/** One connection as one handler sees it. */
export interface ConnectionSession {
  /** The module's own data, kept while the connection lasts. */
  userdata: unknown;
  readonly opts: HandlerOpts;
}

/** A connection with a message on it. */
export interface Session extends ConnectionSession {
  readonly request: SessionRequest;
  readonly response: SessionResponse;
  readonly message: Message;
}

/** The delivery's request, which `buildRequest` may change. New for each message. */
export interface SessionRequest {
  method: string;
  /** Path and query on the pool's origin. */
  path: string;
  /** Names are case-insensitive; the value set last counts. */
  headers: Record<string, string>;
  body: Body;
  /** With HTTP_INTERNAL_DONE: the complete HTTP/1.1 message, from the request line to the body. */
  data: Body | undefined;
  /** The module's own data, kept until the message is over. */
  userdata: unknown;
}

/** The response; empty until it is complete. New for each message. */
export interface SessionResponse {
  readonly statusCode: number;
  readonly statusReason: string;
  /** Names in lower case; the values of a repeated header are joined by a comma and a space. */
  readonly headers: Readonly<Record<string, string>>;
  /** Decoded as UTF-8, at most the pool's `max_response_size`. */
  readonly body: string;
  /** The body was longer than `max_response_size`. */
  readonly truncated: boolean;
  /** The module's own data, kept until the message is over. */
  userdata: unknown;
}

/** One delivery at one attempt. */
export interface Message {
  readonly id: DeliveryId;
  /** 1 for the first. */
  readonly attempt: number;
  /** The stanza; undefined if the delivery was stored before the module had callbacks at delivery. */
  readonly packet: Stanza | undefined;
  /** The whole stanza, the text of its first body, and each other child. Empty without the stanza. */
  readonly parts: readonly MessagePart[];
  readonly context: MessageContext;
}

export interface MessagePart {
  readonly kind: 'body' | 'payload' | 'stanza';
  /** The element's name as written. */
  readonly name: string;
  /** Its namespace. */
  readonly ns: string;
  /** XML; for a body its text. */
  readonly content: string;
}

/** Variables of a message, kept between its attempts except DLV_RESPONSE_STATUS and its detail. Names and values are strings. */
export interface MessageContext {
  get(name: string): string | undefined;
  /** Throws TypeError for a value that is not a string, RangeError if all variables together would exceed 16 KiB. */
  set(name: string, value: string): void;
  /** Returns whether the variable existed. */
  delete(name: string): boolean;
  keys(): string[];
}

export type { StatusOrigin } from '../src/model/attempt.ts';
export type { Body, DeliveryId, HeaderPair, OfflinePushInfo } from '../src/model/delivery.ts';
export type { Acc, Direction, Jid, Kind, PacketEvent, PacketId, Stanza } from '../src/model/packet.ts';
export type {
  AcceptCallbacks,
  GateAnswer,
  GateAsked,
  GateCallbacks,
  HandlerOpts,
  PacketAsked,
  PreparedHeaders,
  RequestPrepared,
} from './accept-callbacks.ts';
