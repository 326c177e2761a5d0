import type { EpochMs } from '../kit/clock.ts';
import type { DeliveryId } from '../model/delivery.ts';
import type { Packet, PacketId } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import { createJidReader } from '../packet/jid.ts';
import { parseStanza } from '../packet/xml/parse.ts';

/** A chat message between two users of a host that nobody sent, for trying a handler out. Its resource says what it is. */
export function createTestPacket(host: string, { id, now }: { readonly id: DeliveryId; readonly now: EpochMs }): Packet {
  const session = `sender@${host}/event-pusher-test`;
  const xml =
    `<message xmlns='jabber:client' type='chat' from='${session}' to='receiver@${host}' id='${id}'>` +
    '<body>This is a test of xmpp-event-pusher.</body></message>';
  const seen = { stanza: parseStanza(xml), direction: 'in', host, session, sessions: 0, bytes: xml.length, key: `test ${id}` } as const;
  const reception = { id: `test-${id}` as PacketId, origin: 'event-pusher-test', receivedAt: now };
  return packetFrom(seen, reception, createJidReader({ size: 2 })).packet;
}
