import { expect, test } from 'vitest';
import type { PacketId } from '../../src/model/packet.ts';
import { packetFrom, type SeenStanza } from '../../src/packet/from-xml.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { hasText } from '../../src/packet/kind.ts';
import { roomOf, withoutMucSub } from '../../src/packet/room.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

const said =
  "<message xmlns='jabber:client' type='groupchat' id='g1' from='tea@rooms.localhost/Queen' to='bob@localhost'><body>Milk?</body></message>";

/** As ejabberd sends it to a subscriber who is not in the room. */
function nested(
  message = said,
  { from = 'tea@rooms.localhost', node = 'urn:xmpp:mucsub:nodes:messages', around = '', type = '' } = {},
): string {
  const event = `<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='${node}'><item id='7'>${message}</item></items></event>`;
  return `<message xmlns='jabber:client' from='${from}' to='bob@localhost' id='7'${type}>${event}${around}</message>`;
}

function packetOf(xml: string, seen: Partial<SeenStanza> = {}) {
  const at = { stanza: parseStanza(xml), direction: 'out', host: 'localhost', bytes: 7, key: 'k', ...seen } as const;
  return packetFrom(at, { id: 'p' as PacketId, origin: 'chat', receivedAt: 1 }, createJidReader()).packet;
}

test('what was said in a room is the same packet for a subscriber who is absent as for an occupant', () => {
  const packet = packetOf(nested(), { sender: 'alice@localhost/x' });
  expect(packet).toEqual({ ...packetOf(said, { sender: 'alice@localhost/x' }), stanza: expect.anything() });
  expect(packet).toMatchObject({
    event: 'groupchat',
    kind: 'message',
    from: { full: 'tea@rooms.localhost/Queen' },
    sender: { bare: 'alice@localhost' },
  });
  expect([packet.stanza.text('body'), roomOf(packet), hasText(packet)]).toEqual(['Milk?', 'tea@rooms.localhost', true]);
});

test('what the server has noted around the event is kept', () => {
  const around =
    "<archived xmlns='urn:xmpp:mam:tmp' by='bob@localhost' id='a1'/><stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='a1'/><delay xmlns='urn:xmpp:delay' stamp='2026-11-28T10:00:00Z'/>";
  const packet = packetOf(nested(said, { around }));
  expect(packet).toMatchObject({ stanzaId: 'a1', delayed: Date.parse('2026-11-28T10:00:00Z') });
  expect(parseStanza(packet.stanza.xml).text('body')).toBe('Milk?');
});

test.each([
  ['an event that another address has sent', nested(said, { from: 'mallory@localhost/x' })],
  ['one of another node', nested(said, { node: 'urn:xmpp:mucsub:nodes:subject' })],
  ['one with a text beside it', nested(said, { around: '<body>other</body>' })],
  ['one that came back as an error', nested(said, { type: " type='error'" })],
  ['a message that is not said to all', nested(said.replace('groupchat', 'chat'))],
  ['two messages', nested(said + said)],
  ['no message', nested('<x xmlns="urn:x"/>')],
  ['a message without an event', said],
])('%s stays what it is', (_what, xml) => {
  const stanza = parseStanza(xml);
  expect(withoutMucSub(stanza)).toBe(stanza);
});

test('what a user sends is not taken apart', () => {
  expect(packetOf(nested(), { direction: 'in' }).stanza.text('body')).toBe('');
});
