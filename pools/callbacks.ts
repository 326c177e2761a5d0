/**
 * What a callback module is written against: `xmpp-event-pusher/callbacks`. Nothing else is imported with it, so that
 * it also resolves for a module that lies outside any `node_modules`.
 */
import type { Acc, Body, Direction, HandlerOpts, HeaderPair, Jid, Stanza } from './contract.ts';

/**
 * Gives a callback module its types, and changes nothing: `export const { shouldMakeReq } = defineCallbacks({ … })`.
 * A function that is left out is the default module's.
 */
export function defineCallbacks<C extends Callbacks>(callbacks: C & Callbacks): C {
  return callbacks;
}

/**
 * The functions of a callback module, called on accept in the main thread, in this order. One that throws, rejects or
 * misses its deadline makes a dead letter of its own handler; the next handler runs as if nothing had happened.
 */
export interface Callbacks {
  /** Whether this packet makes a request for this handler. */
  shouldMakeReq?(asked: PacketAsked): Promise<boolean> | boolean;
  /** The request's headers, in their order. The names that every request carries by itself are ignored here. */
  prepareHeaders?(prepared: RequestPrepared): Promise<PreparedHeaders> | PreparedHeaders;
  /** The request's body: text is sent as UTF-8, bytes as they are. */
  prepareBody?(prepared: RequestPrepared): Body | Promise<Body>;
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

/** What `prepareHeaders` and `prepareBody` make a request of: the four texts of the default form, and where they came from. */
export interface RequestPrepared {
  readonly acc: Acc;
  readonly dir: Direction;
  /** The sender's domain. */
  readonly host: string;
  /** The text of the first `<body>`; empty without one. */
  readonly message: string;
  /** The sender's local part, prepared. */
  readonly sender: string;
  /** The receiver's local part, prepared. */
  readonly receiver: string;
  readonly opts: HandlerOpts;
  /** The packet itself and its two JIDs, as `shouldMakeReq` got them: an addition to MongooseIM's seven arguments. */
  readonly packet: Stanza;
  readonly from: Jid;
  readonly to: Jid;
}

/** Headers as a callback may give them. */
export type PreparedHeaders = readonly HeaderPair[] | Readonly<Record<string, string>>;

export type { Acc, Body, Direction, HandlerOpts, HeaderPair, Jid, Kind, PacketId, Stanza } from './contract.ts';
