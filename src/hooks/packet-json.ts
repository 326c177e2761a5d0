import type { Jid, Packet, PacketId } from '../model/packet.ts';
import { eventOf } from '../packet/kind.ts';
import { parseStanza } from '../packet/xml/parse.ts';

/** A packet as JSON text, whole: {@link packetFromJson} gives it back, and a replay runs the hooks on that. */
export function packetToJson(packet: Packet): string {
  return JSON.stringify({ version, ...packet, stanza: packet.stanza.xml });
}

/** Reads what {@link packetToJson} wrote. Throws where the text is something else, or was written by a newer version. */
export function packetFromJson(text: string): Packet {
  const kept = JSON.parse(text) as Kept; // our own writing: the version is what tells
  if (kept.version !== version) throw new Error(`cannot read a kept packet of version ${String(kept.version)}`);

  const stanza = parseStanza(kept.stanza);
  return Object.freeze({
    id: kept.id as PacketId,
    direction: kept.direction,
    stanza,
    event: kept.event ?? eventOf(stanza),
    kind: kept.kind,
    from: Object.freeze(kept.from),
    to: Object.freeze(kept.to),
    host: kept.host,
    origin: kept.origin,
    session: kept.session,
    sessions: kept.sessions,
    sender: kept.sender && Object.freeze(kept.sender),
    stanzaId: kept.stanzaId,
    time: kept.time,
    receivedAt: kept.receivedAt,
    delayed: kept.delayed,
    bytes: kept.bytes,
    key: kept.key,
  });
}

/** Goes up when a field's meaning changes. */
const version = 1;

/** The JIDs are kept with all their parts: to read them again could only spoil those that were passed on as they came. */
interface Kept extends Omit<Packet, 'event' | 'from' | 'stanza' | 'to'> {
  readonly version: number;
  readonly from: Jid;
  readonly to: Jid;
  readonly stanza: string;
  /** Missing in what was kept before there were others than a stanza's own. */
  readonly event?: Packet['event'];
}
