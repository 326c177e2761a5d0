/**
 * What a callback module is written against: `xmpp-event-pusher/callbacks`. Nothing else is imported with it, so that
 * it also resolves for a module that lies outside any `node_modules`.
 */

import type { StatusOrigin } from '../src/model/attempt.ts';
import type { Body, DeliveryId, HeaderPair, OfflinePushInfo } from '../src/model/delivery.ts';
import type { Acc, Direction, Jid, Stanza } from '../src/model/packet.ts';
import type { HandlerOpts } from './contract.ts';

/** From `buildRequest`: send `method`, `path`, `headers` and `body`. From `handleResponse`: the status line is the status. */
export const HTTP_INTERNAL_CONT = 0 as const;
/** From `buildRequest`: `data` is the whole message. From `handleResponse`: the module has set the status. */
export const HTTP_INTERNAL_DONE = 1 as const;
/** From `buildRequest`: send nothing. From `handleResponse`: as done, after an error. */
export const HTTP_INTERNAL_FAIL = -1 as const;

/** From `statusClassifier`: delivered, whatever the status. */
export const DELIVERY_SUCCESS = 2 as const;
/** From `statusClassifier`: try again later. */
export const DELIVERY_TEMPFAILED = 3 as const;
/** From `statusClassifier`: give up. */
export const DELIVERY_PERMFAILED = 4 as const;

/** Names the variable of a message's context that `statusClassifier` is asked about: an integer, as text. */
export const DLV_RESPONSE_STATUS = 'DLV_RESPONSE_STATUS' as const;
/** Names the variable of a message's context that says the same in words. */
export const DLV_RESPONSE_STATUS_DETAIL = 'DLV_RESPONSE_STATUS_DETAIL' as const;

/**
 * Gives a callback module its types, and changes nothing: `export const { shouldMakeReq } = defineCallbacks({ … })`.
 * A function on accept that is left out is the default module's; one at delivery that is left out does nothing.
 */
export function defineCallbacks<C extends Callbacks>(callbacks: C & Callbacks & NoOtherFunction<C>): C {
  return callbacks;
}

/** Functions of other names would never be called: each is an error of its own, as it is when the module is loaded. */
export type NoOtherFunction<C> = {
  readonly [Name in Exclude<keyof C, keyof Callbacks>]: C[Name] extends (...given: never) => unknown
    ? 'not the name of a callback'
    : C[Name];
};

/** The functions of a callback module: those on accept, that of the gate, and those at delivery. */
export interface Callbacks extends AcceptCallbacks, DeliveryCallbacks, GateCallbacks {}

/**
 * Called on accept in the service's thread, in this order. One that throws, rejects or misses its deadline makes
 * a dead letter of its own handler; the next handler runs as if nothing had happened.
 */
export interface AcceptCallbacks {
  /** Whether this packet makes a request for this handler. */
  shouldMakeReq?(asked: PacketAsked): Promise<boolean> | boolean;
  /** The request's headers, in their order. The names that every request carries by itself are ignored here. */
  prepareHeaders?(prepared: RequestPrepared): Promise<PreparedHeaders> | PreparedHeaders;
  /** The request's body: text is sent as UTF-8, bytes as they are. */
  prepareBody?(prepared: RequestPrepared): Body | Promise<Body>;
}

/** Called in the service's thread while the chat server holds a message that a client has sent, and its sender waits. */
export interface GateCallbacks {
  /**
   * Whether the message may go on, and with which text. One that throws, rejects, returns what it should not or is not
   * through in `[gate] timeout` decides nothing: the chat server does what its `on_failure` says.
   */
  gate?(asked: GateAsked): GateAnswer | Promise<GateAnswer>;
}

/**
 * `true` or nothing: it may go on. `false`: refused, in words of ours. `refuse`: refused, its sender reads this text.
 * `body`: it goes on with this text, which is not empty, as its only body.
 */
export type GateAnswer = boolean | undefined | { readonly body: string } | { readonly refuse: string };

/**
 * Called at each attempt, in the pool's thread, which has an instance of the module of its own. Each may be async and has
 * `[callbacks] timeout`; one that throws, rejects, misses it or returns what it should not is logged with the handler's
 * name. Nothing is called delivered for that reason.
 */
export interface DeliveryCallbacks {
  /** Completes `session.request`. What is not a return code, undefined aside, counts as HTTP_INTERNAL_FAIL. */
  buildRequest?(session: Session): Promise<InternalCode | undefined> | InternalCode | undefined;
  /** Judges `session.response`. Not called where no answer came. */
  handleResponse?(session: Session): Promise<InternalCode | undefined> | InternalCode | undefined;
  /** Says what a status means; what is no verdict counts as DELIVERY_TEMPFAILED. Asked about our own 590 to 599 too. */
  statusClassifier?(status: number, about: { readonly origin: StatusOrigin }): DeliveryVerdict | Promise<DeliveryVerdict>;
  /** The message has been delivered. At most once, after that is on disk. */
  disposeDelivery?(message: Message): unknown;
  /** The message will be tried again. */
  disposeTempfail?(message: Message): unknown;
  /** The message is a dead letter now. */
  disposePermfail?(message: Message): unknown;
  /** A connection stands, TLS included. HTTP_INTERNAL_FAIL: no message of this handler may go over it. */
  initSession?(session: ConnectionSession): unknown;
  /** The connection is gone, for whatever reason. */
  destroySession?(session: ConnectionSession): unknown;
  /** A message is over: called last of the three, before the worker takes the next. */
  resetSession?(session: Session): unknown;
  /** A message is over: called first, for what hangs on `session.request.userdata`. */
  resetRequest?(session: Session): unknown;
  /** A message is over: called second, for what hangs on `session.response.userdata`. */
  resetResponse?(session: Session): unknown;
}

/** HTTP_INTERNAL_CONT, HTTP_INTERNAL_DONE, HTTP_INTERNAL_FAIL. */
export type InternalCode = typeof HTTP_INTERNAL_CONT | typeof HTTP_INTERNAL_DONE | typeof HTTP_INTERNAL_FAIL;

/** DELIVERY_SUCCESS, DELIVERY_TEMPFAILED, DELIVERY_PERMFAILED. */
export type DeliveryVerdict = typeof DELIVERY_SUCCESS | typeof DELIVERY_TEMPFAILED | typeof DELIVERY_PERMFAILED;

/** One connection, as one handler knows it. */
export interface ConnectionSession {
  /** Whatever the module wants to keep as long as the connection lasts. */
  userdata: unknown;
  readonly opts: HandlerOpts;
}

/** One connection with a message on it. */
export interface Session extends ConnectionSession {
  readonly request: SessionRequest;
  readonly response: SessionResponse;
  readonly message: Message;
}

/** What goes out: as the delivery has it, to be changed by `buildRequest`. A fresh one for each message. */
export interface SessionRequest {
  method: string;
  /** Path and query on the pool's origin. */
  path: string;
  /** Whatever their case, two names that differ in nothing else are one; the one set last counts. */
  headers: Record<string, string>;
  body: Body;
  /** With HTTP_INTERNAL_DONE: the complete HTTP/1.1 message, from request line to body. */
  data: Body | undefined;
  /** Whatever the module wants to keep until the message is over. */
  userdata: unknown;
}

/** What came back; empty until it has. A fresh one for each message. */
export interface SessionResponse {
  readonly statusCode: number;
  readonly statusReason: string;
  /** Names in lower case; the values of a repeated one are joined by a comma and a space. */
  readonly headers: Readonly<Record<string, string>>;
  /** As UTF-8, at most as much as the pool's `max_response_size`. */
  readonly body: string;
  /** The body was longer than that. */
  readonly truncated: boolean;
  /** Whatever the module wants to keep until the message is over. */
  userdata: unknown;
}

/** One delivery at one attempt. */
export interface Message {
  readonly id: DeliveryId;
  /** 1 for the first. */
  readonly attempt: number;
  /** The stanza it was made of; undefined where it was stored before the module had callbacks at delivery. */
  readonly packet: Stanza | undefined;
  /** The stanza as a whole, the text of its first body, and each further child. Empty without the stanza. */
  readonly parts: readonly MessagePart[];
  readonly context: MessageContext;
}

export interface MessagePart {
  readonly kind: 'body' | 'payload' | 'stanza';
  /** The element's name as written. */
  readonly name: string;
  /** Its namespace. */
  readonly ns: string;
  /** XML; of a body the text. */
  readonly content: string;
}

/** Variables of a message: kept over its attempts, the two of DLV_RESPONSE_STATUS aside. Names and values are strings. */
export interface MessageContext {
  get(name: string): string | undefined;
  /** Throws TypeError for what is no string, RangeError where all of them together would exceed 16 KiB. */
  set(name: string, value: string): void;
  /** Whether there was one. */
  delete(name: string): boolean;
  keys(): string[];
}

/** What `shouldMakeReq` is asked about. */
export interface PacketAsked {
  readonly acc: Acc;
  readonly dir: Direction;
  readonly packet: Stanza;
  readonly from: Jid;
  readonly to: Jid;
  readonly opts: HandlerOpts;
}

/** What `gate` is asked about: a message on its way in, as the answers of the handlers before have left it. */
export type GateAsked = Omit<PacketAsked, 'dir'>;

/** What `prepareHeaders` and `prepareBody` make a request of: the four texts of the default form, and where they came from. */
export interface RequestPrepared {
  readonly acc: Acc;
  readonly dir: Direction;
  /** The sender's domain: in a room that of the occupant who said it, where that is known (`acc.sender`), else the room's. */
  readonly host: string;
  /** The text of the first `<body>`; empty without one. */
  readonly message: string;
  /** The sender's local part, prepared: in a room the occupant's, where known, else the room's. */
  readonly sender: string;
  /** The receiver's local part, prepared. */
  readonly receiver: string;
  readonly opts: HandlerOpts;
  /**
   * The packet itself and its two JIDs, as `shouldMakeReq` got them: an addition to MongooseIM's seven arguments. Where a
   * business server has named the receivers (`before_push`), `to` and `receiver` are one of those.
   */
  readonly packet: Stanza;
  readonly from: Jid;
  readonly to: Jid;
  /** What a business server wants the push to say, as it answered; undefined where it said nothing, or nobody was asked. */
  readonly offlinePushInfo: OfflinePushInfo | undefined;
}

/** Headers as a callback may give them. */
export type PreparedHeaders = readonly HeaderPair[] | Readonly<Record<string, string>>;

export type { StatusOrigin } from '../src/model/attempt.ts';
export type { Body, DeliveryId, HeaderPair, OfflinePushInfo } from '../src/model/delivery.ts';
export type { Acc, Direction, Jid, Kind, PacketEvent, PacketId, Stanza } from '../src/model/packet.ts';
export type { HandlerOpts } from './contract.ts';
export type {
  Bytes,
  ExitMsgInfo,
  HttpExit,
  HttpExitPar,
  HttpInfo,
  HttpRequestParts,
  ProgramUnit,
  ProgramUnitCall,
  UnitAcc,
} from './exits.ts';
