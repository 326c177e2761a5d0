/**
 * `mod_event_pusher_http_json`: everything that is known of a packet, as one JSON object. Every key is always there;
 * what a packet does not have is null.
 */
import type { HeaderPair, Jid, OfflinePushInfo, PacketAsked, RequestPrepared, Stanza } from '../../../pools/callbacks.ts';
import { findChild, findChildren } from '../../packet/xml/element.ts';
import { typeOf } from '../stanza-type.ts';
import { encryptedWith, type Reactions, reactionsOf, replaces, retracts } from './references.ts';

const headers: readonly HeaderPair[] = [['content-type', 'application/json']];
const worthTelling: ReadonlySet<string> = new Set(['correction', 'encrypted', 'message', 'reaction', 'retraction']);

/**
 * Messages that a local user sent, of any type but `error`, that say something: no chat states, receipts or markers. A
 * handler's `when` takes this test's place.
 */
export function shouldMakeReq({ acc, dir, packet }: PacketAsked): boolean {
  return dir === 'in' && packet.name === 'message' && packet.attrs['type'] !== 'error' && worthTelling.has(acc.kind);
}

export function prepareHeaders(): readonly HeaderPair[] {
  return headers;
}

export function prepareBody(prepared: RequestPrepared): string {
  return JSON.stringify(tell(prepared));
}

/** The object that is sent. */
export interface PacketTold {
  readonly id: string;
  /** When the chat server saw it, and when it reached us; RFC 3339. */
  readonly time: string;
  readonly receivedAt: string;
  /** When a delayed copy was first sent (XEP-0203). */
  readonly delayed: string | null;
  readonly direction: string;
  readonly host: string;
  readonly origin: string;
  readonly event: string;
  readonly kind: string;
  /** `message`, `presence` or `iq`. */
  readonly stanza: string;
  /** `normal` for a message without one, `available` for a presence without one. */
  readonly type: string;
  readonly from: Jid;
  readonly to: Jid;
  readonly session: string | null;
  readonly sessions: number | null;
  /** Of what is said in a room: its bare JID, and that of the occupant who said it, where that is known. */
  readonly room: string | null;
  readonly sender: string | null;
  /** The archive's id (XEP-0359), and the one the sender gave it. */
  readonly stanzaId: string | null;
  readonly messageId: string | null;
  readonly subject: string | null;
  readonly thread: string | null;
  /** The first body, and all of them by language. */
  readonly body: string | null;
  readonly bodies: Readonly<Record<string, string>>;
  /** The namespace of what it is encrypted with. */
  readonly encrypted: string | null;
  /** The id of the message that this one corrects (XEP-0308), or takes back (XEP-0424). */
  readonly replaces: string | null;
  readonly retracts: string | null;
  readonly reactions: Reactions | null;
  /** What a business server wants the push to say (`before_push`), as it answered. */
  readonly offlinePushInfo: OfflinePushInfo | null;
  readonly xml: string;
}

export function tell({ acc, dir, packet, from, to, offlinePushInfo }: RequestPrepared): PacketTold {
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

function textOf(packet: Stanza, name: string): string | null {
  return findChild(packet, name) === undefined ? null : packet.text(name);
}

/**
 * A body's language is its own `xml:lang`, else the stanza's, else the empty string (RFC 6120 §8.1.5). Of two bodies in
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
