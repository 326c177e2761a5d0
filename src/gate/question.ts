import type { EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import type { Packet, PacketId } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import type { JidReader } from '../packet/jid.ts';
import { createStanzaParser, type ParseStanza } from '../packet/xml/parse.ts';

/** What a chat server sends: the message's bytes, and in headers the host that asks and the session that sent it. */
export interface Posted {
  readonly body: Buffer;
  readonly host: string;
  readonly session: string | undefined;
}

export type ReadQuestion = (posted: Posted, receivedAt: EpochMs) => { readonly packet: Packet } | { readonly problem: string };

/** Reads what a chat server asks about: exactly one message of a client (RFC 6120 §4.8.2: `jabber:client`) that is no error. */
export function createQuestionReader(options: { readonly newPacketId: () => PacketId; readonly readJid: JidReader }): ReadQuestion {
  const parse: ParseStanza = createStanzaParser();

  return ({ body, host, session }, receivedAt) => {
    try {
      const stanza = parse(body);
      const { name, ns, attrs } = stanza;
      if (name !== 'message' || ns !== 'jabber:client') return { problem: 'the body must be one message in the namespace jabber:client' };
      if (attrs['type'] === 'error') return { problem: 'an error is never held' };
      const id = options.newPacketId();
      // A client that sends a blocking message again gives it the same id: the watchdog counts it as the same.
      const key = `gate ${host} ${session ?? ''} ${attrs['id'] ?? id}`;
      const seen = { stanza, direction: 'in', host, session, bytes: body.length, key } as const;
      return { packet: packetFrom(seen, { id, origin: 'gate', receivedAt }, options.readJid).packet };
    } catch (thrown) {
      return { problem: toError(thrown).message };
    }
  };
}
