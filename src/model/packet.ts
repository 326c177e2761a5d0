import type { EpochMs } from '../kit/clock.ts';

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

/** Names one packet; handlers of the same packet share it. */
export type PacketId = string & { readonly __brand: 'PacketId' };

/** The server's view, as in MongooseIM: `in` came in from a local user, `out` is routed to a local user. */
export type Direction = 'in' | 'out';

/** What a stanza is about, beyond its type. XEP-0308, 0424, 0425, 0444, 0184, 0333, 0085, 0384, 0045. */
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
  | 'room-destroyed'
  | 'room-left'
  | 'room-removed'
  | 'status';

/**
 * What happened. A message is its type, and `normal` where that is missing or unknown (RFC 6121 §5.2.2). `status`: a user's
 * first client came online, or the last one went offline, as the presence says. `unack`: a message had been written to
 * a client that was then given up without having acknowledged it (XEP-0198).
 */
export type PacketEvent = 'chat' | 'error' | 'groupchat' | 'headline' | 'iq' | 'normal' | 'presence' | 'status' | 'unack';

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
  /**
   * Full JID of the session it concerns: the sender's (`in`), of `unack` the one that acknowledged nothing; undefined where
   * the feed does not say.
   */
  readonly session: string | undefined;
  /** Bare JID of the room that a message of type `groupchat` is said in; undefined for all else. */
  readonly room: string | undefined;
  /** Bare JID of the occupant who said it, whatever the nickname; undefined where nobody tells, and outside of rooms. */
  readonly sender: string | undefined;
  /** The archive's id of the message (XEP-0359) given by our own side; undefined without one. */
  readonly stanzaId: string | undefined;
  /** When a delayed copy was first sent (XEP-0203), RFC 3339; undefined for a live one. */
  readonly delayed: string | undefined;
  readonly event: PacketEvent;
  readonly kind: Kind;
  /** Shared by the handlers of this packet, in their order. */
  readonly metadata: Map<string, unknown>;
}

/** One stanza seen at one point, with a direction. Plain and frozen: what a handler does to it harms no other. */
export interface Packet {
  readonly id: PacketId;
  readonly direction: Direction;
  readonly stanza: Stanza;
  readonly event: PacketEvent;
  readonly kind: Kind;
  readonly from: Jid;
  readonly to: Jid;
  /** The local virtual host that saw it. */
  readonly host: string;
  /** The attachment it came from. */
  readonly origin: string;
  readonly session: string | undefined;
  readonly sessions: number | undefined;
  /** Who said it in a room, as a bare JID: `from` is the room and a nickname. Undefined where not known, and outside of rooms. */
  readonly sender: Jid | undefined;
  readonly stanzaId: string | undefined;
  /** When the chat server saw it, or else we. */
  readonly time: EpochMs;
  readonly receivedAt: EpochMs;
  /** When a delayed copy was first sent (XEP-0203). */
  readonly delayed: EpochMs | undefined;
  /** Bytes of the stanza as it came: what it costs while it waits. */
  readonly bytes: number;
  /** Names the packet over restarts where the feed can (tap: host, node, epoch, seq); the watchdog counts strikes by it. */
  readonly key: string;
}

/** How far a chat server's feed has been taken in. One per attachment, host and server node. */
export interface Mark {
  readonly attachment: string;
  readonly host: string;
  readonly node: string;
  readonly epoch: string;
  /** The last sequence number on disk. */
  readonly h: number;
}

/** Travels beside a packet, so that its source learns when it may acknowledge. */
export interface Receipt {
  /** Packets of one stream are committed in the order in which they were handed over. */
  readonly stream: string;
  /** Written in the transaction of the packet's deliveries, also when there are none. */
  readonly mark: Mark | undefined;
  /** Called once, when all the packet leaves behind is on disk. */
  committed(): void;
}

/** Where sources hand packets over. Without a packet only the mark is written: something was skipped, in its turn. */
export type Accept = (packet: Packet | undefined, receipt: Receipt) => void;
