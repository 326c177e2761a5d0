import type { Jid, PacketId } from '../../pools/contract.ts';
import type { Packet } from '../packet/packet.ts';
import { parseStanza } from '../packet/xml/parse.ts';

/** A packet as JSON text, whole: {@link packetFromJson} gives it back, and a replay runs the hooks on that. */
export function packetToJson({ stanza, from, to, ...rest }: Packet): string {
  return JSON.stringify({ version, ...rest, from: partsOf(from), to: partsOf(to), stanza: stanza.xml });
}

/** Reads what {@link packetToJson} wrote. Throws where the text is something else, or was written by a newer version. */
export function packetFromJson(text: string): Packet {
  const kept = JSON.parse(text) as Kept; // our own writing: the version is what tells
  if (kept.version !== version) throw new Error(`cannot read a kept packet of version ${String(kept.version)}`);

  return Object.freeze({
    id: kept.id as PacketId,
    direction: kept.direction,
    stanza: parseStanza(kept.stanza),
    kind: kept.kind,
    from: jidOf(kept.from),
    to: jidOf(kept.to),
    host: kept.host,
    origin: kept.origin,
    session: kept.session,
    sessions: kept.sessions,
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

type JidParts = Pick<Jid, 'resource' | 'server' | 'user'>;

interface Kept extends Omit<Packet, 'from' | 'stanza' | 'to'> {
  readonly version: number;
  readonly from: JidParts;
  readonly to: JidParts;
  readonly stanza: string;
}

function partsOf({ user, server, resource }: Jid): JidParts {
  return { user, server, resource };
}

/** The parts are prepared already; preparing them again could only spoil those that no preparation would take. */
function jidOf({ user, server, resource }: JidParts): Jid {
  const bare = user === '' ? server : `${user}@${server}`;
  return Object.freeze({ user, server, resource, bare, full: resource === '' ? bare : `${bare}/${resource}` });
}
