import type { EpochMs } from '../kit/clock.ts';
import type { Direction, Packet, PacketId, Stanza } from '../model/packet.ts';
import { bareJid, type JidReader, type ReadJid } from './jid.ts';
import { eventOf, kindOf, kindOfReport, type Report } from './kind.ts';
import { isGroupchat, withoutMucSub } from './room.ts';
import { findChild, findChildren } from './xml/element.ts';

/** A stanza as seen by a source, with the source's metadata. */
export interface SeenStanza {
  readonly stanza: Stanza;
  readonly direction: Direction;
  /** Undefined: the stanza is on its way. */
  readonly report?: Report | undefined;
  readonly host: string;
  readonly session?: string | undefined;
  readonly sessions?: number | undefined;
  /** Address of the author of a room message, as reported by the chat server. */
  readonly sender?: string | undefined;
  /** See {@link Packet.occupant}. */
  readonly occupant?: boolean | undefined;
  /** Time at which the chat server saw the stanza; undefined if it does not report it. */
  readonly time?: EpochMs | undefined;
  readonly bytes: number;
  readonly key: string;
}

/** Metadata that the service adds to a received stanza. */
interface Reception {
  readonly id: PacketId;
  readonly origin: string;
  readonly receivedAt: EpochMs;
  /** Whether the presence is known to end its receiver's stay in a room. */
  readonly endsStay?: boolean;
}

/**
 * Creates the packet of a stanza. A missing `from` is replaced by the sending session, or by the host. A missing `to` is replaced by
 * the receiving session, or by the bare JID of the sender. A message nested by ejabberd's MUC/Sub is extracted. `prepared` is false
 * if a JID could not be prepared and is passed on unchanged.
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
  const ofReport = report && kindOfReport(report);
  const sender = isGroupchat(stanza) || ofReport === 'life' ? roomSender(seen, from, readJid) : undefined;
  const packet: Packet = {
    id,
    direction,
    stanza,
    event: report ?? eventOf(stanza),
    kind: ofReport ?? kindOf(stanza, { endsStay }),
    from: from.jid,
    to: to.jid,
    host,
    origin,
    session,
    sessions,
    sender: sender && bareJid(sender.jid),
    occupant: seen.occupant,
    stanzaId: archiveId(stanza, direction === 'in' ? from.jid.bare : to.jid.bare),
    time: seen.time ?? receivedAt,
    receivedAt,
    delayed: delayedSince(stanza),
    bytes,
    key,
  };
  return { packet: Object.freeze(packet), prepared: from.prepared && to.prepared && sender?.prepared !== false };
}

/** On its way in, `from` is the author; from the room, `from` is a nickname. A report names the user who caused the event. */
function roomSender({ direction, report, sender }: SeenStanza, from: ReadJid, readJid: JidReader): ReadJid | undefined {
  if (direction === 'in' && report === undefined) return from;
  return sender === undefined || sender === '' ? undefined : readJid(sender);
}

/**
 * The archive id of a message (XEP-0359 §3), if it was assigned by the local user's archive or by the room. Any other id may have
 * been written by the sender.
 */
function archiveId(stanza: Stanza, ourBareJid: string): string | undefined {
  const ids = findChildren(stanza, 'stanza-id', 'urn:xmpp:sid:0');
  if (ids.length === 0) return undefined;
  const room = stanza.attrs['type'] === 'groupchat' ? (stanza.attrs['from'] ?? '').split('/', 1)[0] : undefined;
  return ids.find(({ attrs }) => attrs['by'] === ourBareJid || (room !== undefined && attrs['by'] === room))?.attrs['id'];
}

/** Time at which a delayed message was first sent (XEP-0203 §2); undefined for a live message and for an invalid timestamp. */
function delayedSince(stanza: Stanza): EpochMs | undefined {
  const stamp = findChild(stanza, 'delay', 'urn:xmpp:delay')?.attrs['stamp'];
  return stamp === undefined ? undefined : readStamp(stamp);
}

/** Parses a date and time of XEP-0082 §3.2; undefined for anything else, such as the 30th of February. */
export function readStamp(stamp: string): EpochMs | undefined {
  const date = SHAPE.exec(stamp)?.[1];
  if (date === undefined) return undefined;
  const at = Date.parse(stamp);
  return Number.isNaN(at) || !isDay(date) ? undefined : at;
}

const SHAPE = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Whether the day exists. `Date.parse` accepts 31 days in any month and counts the excess into the next. */
function isDay(date: string): boolean {
  const midnight = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(date);
}
