import type { Jid, Packet, PacketId } from '../../src/model/packet.ts';
import { eventOf } from '../../src/packet/kind.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

type Given = Omit<Partial<Packet>, 'from' | 'id' | 'stanza' | 'to'> & { readonly id?: string; readonly stanza?: string };

/** A packet of `localhost`, as if one of its users had just sent it; `from` and `to` are those of the stanza. */
export function makePacket({ stanza = chat('Hi, Bob!'), id = 'packet-1', ...given }: Given = {}): Packet {
  const parsed = parseStanza(stanza);
  return Object.freeze({
    id: id as PacketId,
    direction: 'in',
    stanza: parsed,
    event: eventOf(parsed),
    kind: 'message',
    from: makeJid(parsed.attrs['from'] ?? 'alice@localhost/phone'),
    to: makeJid(parsed.attrs['to'] ?? 'alice@localhost'),
    host: 'localhost',
    origin: 'chat',
    session: undefined,
    sessions: undefined,
    sender: undefined,
    occupant: undefined,
    stanzaId: undefined,
    time: Date.UTC(2026, 10, 22, 10, 30, 0, 125),
    receivedAt: Date.UTC(2026, 10, 22, 10, 30, 0, 250),
    delayed: undefined,
    bytes: Buffer.byteLength(stanza),
    key: 'chat/1',
    ...given,
  });
}

/** A chat message from alice's phone to bob. */
export function chat(body: string): string {
  return `<message xmlns='jabber:client' type='chat' from='alice@localhost/phone' to='bob@localhost' id='m1'><body>${escapeText(body)}</body></message>`;
}

/** Splits the text, which must already be prepared, into its parts. */
export function makeJid(full: string): Jid {
  const [, user = '', server = '', resource = ''] = /^(?:([^@/]*)@)?([^/]*)(?:\/(.*))?$/s.exec(full) ?? [];
  const bare = user === '' ? server : `${user}@${server}`;
  return Object.freeze({ user, server, resource, bare, full: resource === '' ? bare : `${bare}/${resource}` });
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
