/** The part of the API for callback modules that the service's thread calls, types only; `callbacks.ts` exports it too. */
import type { Body, HeaderPair, OfflinePushInfo } from '../src/model/delivery.ts';
import type { Acc, Direction, Jid, Stanza } from '../src/model/packet.ts';

/** A handler as its callbacks see it: its identity, and the `options` of its configuration as further members. */
export interface HandlerOpts {
  readonly name: string;
  readonly poolName: string;
  readonly path: string;
  readonly callbackModule: string;
  readonly [option: string]: unknown;
}

/**
 * Called on accept in the service's thread, in this order. If one throws, rejects or exceeds its time limit, the packet becomes a
 * dead letter of this handler; other handlers are not affected.
 */
export interface AcceptCallbacks {
  /** Whether this packet causes a request for this handler. */
  shouldMakeReq?(asked: PacketAsked): Promise<boolean> | boolean;
  /** The request's headers, in order. Headers that every request has are ignored here. */
  prepareHeaders?(prepared: RequestPrepared): Promise<PreparedHeaders> | PreparedHeaders;
  /** The request's body: text is sent as UTF-8, bytes unchanged. */
  prepareBody?(prepared: RequestPrepared): Body | Promise<Body>;
}

/** Called in the service's thread while the chat server holds a message of a client, whose sender waits. */
export interface GateCallbacks {
  /**
   * Whether the message is passed on, and with which text. If the callback throws, rejects, returns an invalid value or exceeds
   * `[gate] timeout`, the chat server applies its `on_failure` setting.
   */
  gate?(asked: GateAsked): GateAnswer | Promise<GateAnswer>;
}

/**
 * `true` or undefined: passed on. `false`: refused with a default text. `refuse`: refused with this text, which its sender reads.
 * `body`: passed on with this text, which must not be empty, as its only body.
 */
export type GateAnswer = boolean | undefined | { readonly body: string } | { readonly refuse: string };

/** Argument of `shouldMakeReq`. */
export interface PacketAsked {
  readonly acc: Acc;
  readonly dir: Direction;
  readonly packet: Stanza;
  readonly from: Jid;
  readonly to: Jid;
  readonly opts: HandlerOpts;
}

/** Argument of `gate`: an incoming message, with the changes of the handlers before. */
export type GateAsked = Omit<PacketAsked, 'dir'>;

/** Argument of `prepareHeaders` and `prepareBody`: the four texts of the default form, and their source. */
export interface RequestPrepared {
  readonly acc: Acc;
  readonly dir: Direction;
  /** The sender's domain; in a room the occupant's if known (`acc.sender`), otherwise the room's. */
  readonly host: string;
  /** The text of the first `<body>`; empty without one. */
  readonly message: string;
  /** The sender's local part, prepared; in a room the occupant's if known, otherwise the room's. */
  readonly sender: string;
  /** The receiver's local part, prepared. */
  readonly receiver: string;
  readonly opts: HandlerOpts;
  /**
   * The packet and its two JIDs, as `shouldMakeReq` got them; an addition to MongooseIM's seven arguments. If a business server
   * has named the receivers (`before_push`), `to` and `receiver` are one of them.
   */
  readonly packet: Stanza;
  readonly from: Jid;
  readonly to: Jid;
  /** Push text of a business server's answer (`before_push`); undefined without such an answer or text. */
  readonly offlinePushInfo: OfflinePushInfo | undefined;
}

/** Headers as a callback returns them. */
export type PreparedHeaders = readonly HeaderPair[] | Readonly<Record<string, string>>;
