/**
 * `mod_event_pusher_http_json`: all known facts about a packet as one JSON object. Every key is always present; a missing
 * fact is null.
 */
import type { HeaderPair, Jid, OfflinePushInfo, PacketAsked, RequestPrepared, Stanza } from '../../../pools/callbacks.ts';
import type { When } from '../../config/config.ts';
import { typeOf } from '../../packet/kind.ts';
import { mucUserOf } from '../../packet/room.ts';
import { findChild, findChildren } from '../../packet/xml/element.ts';

export const headers: readonly HeaderPair[] = [['content-type', 'application/json']];
const kindsWithContent: ReadonlySet<string> = new Set(['correction', 'encrypted', 'message', 'reaction', 'retraction']);

/**
 * Messages with content from a local user, of any type but `error`: no chat states, receipts or markers. A handler's `when`
 * replaces this test.
 */
export function shouldMakeReq({ acc, dir, packet }: Omit<PacketAsked, 'opts'>): boolean {
  return dir === 'in' && packet.name === 'message' && packet.attrs['type'] !== 'error' && kindsWithContent.has(acc.kind);
}

/** Rules that match every packet that {@link shouldMakeReq} accepts. */
export const selection: When = { direction: ['in'], stanza: ['message'], kind: [...kindsWithContent] };

export function prepareHeaders(): readonly HeaderPair[] {
  return headers;
}

export function prepareBody(prepared: Omit<RequestPrepared, 'opts'>): string {
  return JSON.stringify(packetObject(prepared));
}

/** The object that is sent. */
interface PacketObject {
  readonly id: string;
  /** When the chat server handled the packet, and when it reached this service; RFC 3339. */
  readonly time: string;
  readonly receivedAt: string;
  /** When the original of a delayed copy was sent (XEP-0203). */
  readonly delayed: string | null;
  readonly direction: string;
  readonly host: string;
  readonly origin: string;
  readonly event: string;
  readonly kind: string;
  /** `message`, `presence` or `iq`. */
  readonly stanza: string;
  /** By default `normal` for a message, `available` for a presence. */
  readonly type: string;
  readonly from: Jid;
  readonly to: Jid;
  readonly session: string | null;
  readonly sessions: number | null;
  /** For a room's messages and events: the bare JID of the room, and that of the occupant, or of the user who caused the event, if known. */
  readonly room: string | null;
  readonly sender: string | null;
  /** False: the receiver is a member of the room who is not in it. */
  readonly occupant: boolean | null;
  /** For a room's events: the affiliation of the user with the room (XEP-0045 §5.2). */
  readonly affiliation: string | null;
  /** The id of the archive (XEP-0359), and the id of the sender. */
  readonly stanzaId: string | null;
  readonly messageId: string | null;
  readonly subject: string | null;
  readonly thread: string | null;
  /** The first body, and all bodies by language. */
  readonly body: string | null;
  readonly bodies: Readonly<Record<string, string>>;
  /** Namespace of the encryption. */
  readonly encrypted: string | null;
  /** Id of the message that this one corrects (XEP-0308) or retracts (XEP-0424). */
  readonly replaces: string | null;
  readonly retracts: string | null;
  readonly reactions: Reactions | null;
  /** Text of the push from the answer of a business server (`before_push`). */
  readonly offlinePushInfo: OfflinePushInfo | null;
  readonly xml: string;
}

export function packetObject(prepared: Omit<RequestPrepared, 'opts'>): PacketObject {
  const { acc, dir, packet, from, to, offlinePushInfo } = prepared;
  return {
    id: acc.id,
    time: acc.time,
    receivedAt: acc.receivedAt,
    delayed: acc.delayed ?? null,
    direction: dir,
    host: acc.host,
    origin: acc.origin,
    event: acc.event,
    kind: acc.kind,
    stanza: packet.name,
    type: typeOf(packet),
    from,
    to,
    session: acc.session ?? null,
    sessions: acc.sessions ?? null,
    room: acc.room ?? null,
    sender: acc.sender ?? null,
    occupant: acc.occupant ?? null,
    affiliation: affiliationIn(prepared),
    stanzaId: acc.stanzaId ?? null,
    messageId: packet.attrs['id'] ?? null,
    subject: textOf(packet, 'subject'),
    thread: textOf(packet, 'thread'),
    body: textOf(packet, 'body'),
    bodies: bodiesOf(packet),
    encrypted: encryptedWith(packet),
    replaces: replaces(packet),
    retracts: retracts(packet),
    reactions: reactionsOf(packet),
    offlinePushInfo: offlinePushInfo ?? null,
    xml: packet.xml,
  };
}

function affiliationIn({ acc, packet }: Pick<RequestPrepared, 'acc' | 'packet'>): string | null {
  const mucUser = acc.kind === 'life' ? mucUserOf(packet) : undefined;
  return (mucUser && findChild(mucUser, 'item', mucUser.ns))?.attrs['affiliation'] ?? null;
}

function textOf(packet: Stanza, name: string): string | null {
  return findChild(packet, name) === undefined ? null : packet.text(name);
}

/**
 * The language of a body is its own `xml:lang`, else that of the stanza, else the empty string (RFC 6120 §8.1.5). Of two bodies in
 * one language, which RFC 6121 §5.2.3 forbids, the first counts.
 */
function bodiesOf(packet: Stanza): Readonly<Record<string, string>> {
  const inherited = packet.attrs['xml:lang'] ?? '';
  const bodies = new Map<string, string>();
  for (const body of findChildren(packet, 'body')) {
    const language = body.attrs['xml:lang'] ?? inherited;
    if (!bodies.has(language)) bodies.set(language, body.text());
  }
  return Object.fromEntries(bodies);
}

/** The namespace that XEP-0380 names, else that of a known payload: OMEMO (XEP-0384, both versions), OpenPGP (XEP-0373, XEP-0027). */
function encryptedWith(message: Stanza): string | null {
  const named = findChild(message, 'encryption', 'urn:xmpp:eme:0')?.attrs['namespace'];
  if (named !== undefined) return named;
  return encryptedPayloads.find(([name, namespace]) => findChild(message, name, namespace) !== undefined)?.[1] ?? null;
}

const encryptedPayloads = [
  ['encrypted', 'urn:xmpp:omemo:2'],
  ['encrypted', 'eu.siacs.conversations.axolotl'],
  ['openpgp', 'urn:xmpp:openpgp:0'],
  ['x', 'jabber:x:encrypted'],
] as const;

/** Id of the message that this one corrects (XEP-0308). */
function replaces(message: Stanza): string | null {
  return findChild(message, 'replace', 'urn:xmpp:message-correct:0')?.attrs['id'] ?? null;
}

/**
 * Id of the message that its sender (XEP-0424) or a moderator (XEP-0425) retracts; before their versions 0.4 and 0.3 the
 * id was an attribute of an enclosing element.
 */
function retracts(message: Stanza): string | null {
  const retract = findChild(message, 'retract', 'urn:xmpp:message-retract:1');
  if (retract !== undefined) return retract.attrs['id'] ?? null;

  const fastened = findChild(message, 'apply-to', 'urn:xmpp:fasten:0');
  if (fastened === undefined) return null;
  const inside = findChild(fastened, 'moderated', 'urn:xmpp:message-moderate:0') ?? fastened;
  return findChild(inside, 'retract', 'urn:xmpp:message-retract:0') === undefined ? null : (fastened.attrs['id'] ?? null);
}

/** All reactions of the sender to one message: an empty list removes earlier ones. */
interface Reactions {
  readonly id: string | null;
  readonly emojis: readonly string[];
}

/** XEP-0444. */
function reactionsOf(message: Stanza): Reactions | null {
  const namespace = 'urn:xmpp:reactions:0';
  const reactions = findChild(message, 'reactions', namespace);
  if (reactions === undefined) return null;
  return { id: reactions.attrs['id'] ?? null, emojis: findChildren(reactions, 'reaction', namespace).map((reaction) => reaction.text()) };
}
