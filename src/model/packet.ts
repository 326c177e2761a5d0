/** The nouns of the intake side: stanza, JID, packet, and the receipt that acknowledges a packet to its source. */
import type { EpochMs } from '../kit/clock.ts';

/** A JID after preparation by nodeprep, nameprep and resourceprep (RFC 6122). Absent parts are empty strings. */
export interface Jid {
  readonly user: string;
  readonly server: string;
  readonly resource: string;
  /** `user@server`, or `server` without a user. */
  readonly bare: string;
  /** `bare/resource`, or `bare` without a resource. */
  readonly full: string;
}

/** One XML element, frozen before a callback module sees it. Attribute names keep their prefix; `xmlns` declarations are attributes. */
export interface Stanza {
  /** The name as written, including its prefix. */
  readonly name: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** The resolved namespace; empty for an element without one. */
  readonly ns: string;
  readonly children: readonly (Stanza | string)[];
  /** This element as XML text, with all namespace declarations it needs. */
  readonly xml: string;
  /** Text of the descendant at `path`, following the first match at each level: `text('body')`. Without a path, the element's own text. Empty if absent. */
  text(...path: readonly string[]): string;
}

/** Identifies one packet. All handlers of a packet see the same id. */
export type PacketId = string & { readonly __brand: 'PacketId' };

/** The direction as seen by the chat server, as in MongooseIM: `in` from a local user, `out` to a local user. */
export type Direction = 'in' | 'out';

/** Content of a stanza beyond its type. XEP-0308, 0424, 0425, 0444, 0184, 0333, 0085, 0384, 0045. */
export type Kind =
  | 'chat-state'
  | 'correction'
  | 'encrypted'
  | 'iq'
  | 'life'
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

/** Events in the life of a room or an account, which a tap reports on request, once for each room or account. */
export const lifeEvents = [
  ...(['room-created', 'room-joined', 'room-left', 'room-affiliation', 'room-destroyed'] as const),
  ...(['account-registered', 'account-deleted'] as const),
] as const;
export type LifeEvent = (typeof lifeEvents)[number];

/**
 * The event that a packet reports. For a message it is the message type; `normal` if the type is missing or unknown (RFC 6121
 * §5.2.2). `status`: a user's first client came online, or the last one went offline, according to the presence. `unack`: a
 * message was written to a client, and the server closed that client's session without an acknowledgement (XEP-0198).
 */
export type PacketEvent = 'chat' | 'error' | 'groupchat' | 'headline' | 'iq' | LifeEvent | 'normal' | 'presence' | 'status' | 'unack';

/** Metadata of a packet: the `acc` argument of every callback. */
export interface Acc {
  readonly id: PacketId;
  /** Time at which the chat server saw the stanza, or the time of receipt if the server does not report it. RFC 3339 with milliseconds. */
  readonly time: string;
  /** Time at which this process received the stanza. RFC 3339 with milliseconds. */
  readonly receivedAt: string;
  /** The local virtual host that saw the packet. */
  readonly host: string;
  /** Name of the attachment that received the packet. */
  readonly origin: string;
  /** Number of connected clients of the receiver (`out`); undefined if the feed does not report it. */
  readonly sessions: number | undefined;
  /**
   * Full JID of the session: the sender's for `in`; for `unack`, the session that did not acknowledge. Undefined if the feed does
   * not report it.
   */
  readonly session: string | undefined;
  /** Bare JID of the room of a `groupchat` message, or of a {@link LifeEvent}; undefined for all other packets. */
  readonly room: string | undefined;
  /**
   * Bare JID of the occupant who wrote the message, independent of the nickname, or of the user who caused a {@link LifeEvent}; undefined
   * outside rooms and if the server does not report it.
   */
  readonly sender: string | undefined;
  /** False: the receiver is a member of the room who is not in it, and gets nothing from the server. Undefined for all other packets. */
  readonly occupant: boolean | undefined;
  /** Archive id (XEP-0359) assigned by the local user's archive or by the room; undefined without one. */
  readonly stanzaId: string | undefined;
  /** Time at which a delayed message was first sent (XEP-0203), RFC 3339; undefined for a live message. */
  readonly delayed: string | undefined;
  readonly event: PacketEvent;
  readonly kind: Kind;
  /** Shared by all handlers of this packet, which run in configuration order. */
  readonly metadata: Map<string, unknown>;
}

/** One stanza, seen at one point of the chat server in one direction. Frozen, so that handlers cannot affect one another. */
export interface Packet {
  readonly id: PacketId;
  readonly direction: Direction;
  readonly stanza: Stanza;
  readonly event: PacketEvent;
  readonly kind: Kind;
  readonly from: Jid;
  readonly to: Jid;
  /** The local virtual host that saw the stanza. */
  readonly host: string;
  /** The attachment that received it. */
  readonly origin: string;
  /** See {@link Acc.session}. */
  readonly session: string | undefined;
  /** See {@link Acc.sessions}. */
  readonly sessions: number | undefined;
  /** Of a room message, whose `from` is the room and a nickname, or of a life event: see {@link Acc.sender}. */
  readonly sender: Jid | undefined;
  /** See {@link Acc.occupant}. */
  readonly occupant: boolean | undefined;
  /** See {@link Acc.stanzaId}. */
  readonly stanzaId: string | undefined;
  /** Time at which the chat server saw the stanza; `receivedAt` if the server does not report it. */
  readonly time: EpochMs;
  readonly receivedAt: EpochMs;
  /** Time at which a delayed message was first sent (XEP-0203). */
  readonly delayed: EpochMs | undefined;
  /** Size of the received stanza: the memory that it occupies until it is committed. */
  readonly bytes: number;
  /** Identifies the packet across restarts if the feed allows it (tap: host, node, epoch, sequence number). The watchdog counts strikes by it. */
  readonly key: string;
}

/** Facts about a packet that stay with its deliveries, as one text, since only an operator's search reads them; `readFacts` of `facts.ts` reads it. */
export type PacketFacts = string & { readonly __brand: 'PacketFacts' };

export function factsOf({ kind, stanza, stanzaId }: Pick<Packet, 'kind' | 'stanza' | 'stanzaId'>): PacketFacts {
  return JSON.stringify([kind, idIn(stanza.attrs['id']), idIn(stanzaId)]) as PacketFacts;
}

/** An id as the facts have it: its first 256 characters, since the client chooses the id of a stanza. */
export function idIn(id: string | undefined): string | null {
  return id?.slice(0, 256) ?? null;
}

/** The stanzas that the handlers can push: a tap need not send others. Words separated by spaces. */
export interface Subscription {
  /** Kinds of stanzas, and reports. */
  readonly want: string;
  /** Directions of stanzas; reports are independent of them. */
  readonly dir: string;
}

/** Position up to which a chat server's feed has been committed. One for each attachment, host and server node. */
export interface Mark {
  readonly attachment: string;
  readonly host: string;
  readonly node: string;
  readonly epoch: string;
  /** The last sequence number on disk. */
  readonly h: number;
}

/** Accompanies a packet and informs its source when the packet may be acknowledged. */
export interface Receipt {
  /** Packets of one stream are committed in the order of `accept`. */
  readonly stream: string;
  /** Written in the transaction of the packet's deliveries, even if there are none. */
  readonly mark: Mark | undefined;
  /** Called once, when all deliveries and dead letters of the packet are on disk. */
  committed(): void;
}

/** Hands a packet from a source to intake. Without a packet, only the mark is written, in order: the source skipped a stanza. */
export type Accept = (packet: Packet | undefined, receipt: Receipt) => void;
