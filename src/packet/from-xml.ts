import type { EpochMs } from '../kit/clock.ts';
import type { Direction, Jid, Packet, PacketId, Stanza } from '../model/packet.ts';
import { bareJid, type JidReader, type ReadJid } from './jid.ts';
import { eventOf, kindOf, type Report } from './kind.ts';
import { withoutMucSub } from './muc-sub.ts';
import { isSaidInRoom } from './room.ts';
import { findChild, findChildren } from './xml/element.ts';

/** A stanza as a source saw it, with what the source knows beside it. */
export interface SeenStanza {
  readonly stanza: Stanza;
  readonly direction: Direction;
  /** Undefined: the stanza passes by. */
  readonly report?: Report | undefined;
  readonly host: string;
  readonly session?: string | undefined;
  readonly sessions?: number | undefined;
  /** Who said it in a room, as the chat server tells. */
  readonly sender?: string | undefined;
  /** When the chat server saw it; undefined: it does not say. */
  readonly time?: EpochMs | undefined;
  readonly bytes: number;
  readonly key: string;
}

/** What the service itself knows of it. */
export interface Reception {
  readonly id: PacketId;
  readonly origin: string;
  readonly receivedAt: EpochMs;
  /** Whether the presence is known to end its receiver's stay in a room. */
  readonly endsStay?: boolean;
}

/**
 * Makes the packet of a stanza. A missing `from` is the session that sent it, or else the host; a missing `to` is the
 * session that it was written to, or else the bare JID of whoever the stanza concerns, the sender: no field is empty for
 * that reason. A message nested by ejabberd's MUC/Sub is extracted. `prepared` is false when a JID could not be prepared and is passed on as it is.
 */
export function packetFrom(
  seen: SeenStanza,
  reception: Reception,
  readJid: JidReader,
): { readonly packet: Packet; readonly prepared: boolean } {
  const { direction, report, host, session, sessions, bytes, key } = seen;
  const stanza = direction === 'out' ? withoutMucSub(seen.stanza) : seen.stanza;
  const { id, origin, receivedAt, endsStay = false } = reception;
  const from = readJid(stanza.attrs['from'] || (direction === 'in' && session) || host);
  const to = readJid(stanza.attrs['to'] || (direction === 'out' && session) || from.jid.bare);
  const sender = roomSender({ ...seen, stanza }, from.jid, readJid);
  const packet: Packet = {
    id,
    direction,
    stanza,
    event: report ?? eventOf(stanza),
    kind: report === 'status' ? 'status' : kindOf(stanza, { endsStay }),
    from: from.jid,
    to: to.jid,
    host,
    origin,
    session,
    sessions,
    sender: sender && bareJid(sender.jid),
    stanzaId: archiveId(stanza, direction === 'in' ? from.jid.bare : to.jid.bare),
    time: seen.time ?? receivedAt,
    receivedAt,
    delayed: delayedSince(stanza),
    bytes,
    key,
  };
  return { packet: Object.freeze(packet), prepared: from.prepared && to.prepared && sender?.prepared !== false };
}

/** A local user says it under the own name; from the room it comes under a nickname. */
function roomSender({ stanza, direction, sender }: SeenStanza, from: Jid, readJid: JidReader): ReadJid | undefined {
  if (!isSaidInRoom(stanza)) return undefined;
  if (direction === 'in') return { jid: from, prepared: true };
  return sender === undefined || sender === '' ? undefined : readJid(sender);
}

/**
 * The archive's id of a message (XEP-0359 §3): the one given by our own user's archive, or by the room it came from.
 * Ids by anybody else are whatever a sender wrote.
 */
function archiveId(stanza: Stanza, ourBareJid: string): string | undefined {
  const ids = findChildren(stanza, 'stanza-id', 'urn:xmpp:sid:0');
  const room = stanza.attrs['type'] === 'groupchat' ? (stanza.attrs['from'] ?? '').split('/', 1)[0] : undefined;
  return ids.find(({ attrs }) => attrs['by'] === ourBareJid || (room !== undefined && attrs['by'] === room))?.attrs['id'];
}

/** When a delayed copy was first sent (XEP-0203 §2); undefined for a live one, and for a stamp that is none. */
function delayedSince(stanza: Stanza): EpochMs | undefined {
  const stamp = findChild(stanza, 'delay', 'urn:xmpp:delay')?.attrs['stamp'];
  return stamp === undefined ? undefined : readStamp(stamp);
}

/** Reads a date and time as XEP-0082 §3.2 writes them; undefined for anything else, such as the 30th of February. */
export function readStamp(stamp: string): EpochMs | undefined {
  const date = SHAPE.exec(stamp)?.[1];
  if (date === undefined) return undefined;
  const at = Date.parse(stamp);
  return Number.isNaN(at) || !isDay(date) ? undefined : at;
}

const SHAPE = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** `Date.parse` takes up to 31 days in any month, and lets the rest run over into the next. */
function isDay(date: string): boolean {
  const midnight = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(date);
}
