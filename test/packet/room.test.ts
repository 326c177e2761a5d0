import { describe, expect, test } from 'vitest';
import type { PacketId } from '../../src/model/packet.ts';
import { packetFrom, type SeenStanza } from '../../src/packet/from-xml.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { hasText, kindOf } from '../../src/packet/kind.ts';
import { roomOf, Stays, withoutMucSub } from '../../src/packet/room.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { keptBytes } from '../support/kept-bytes.ts';

const codes = (...list: readonly number[]): string => list.map((code) => `<status code='${code}'/>`).join('');

const presence = (news: string, type = 'unavailable'): string =>
  `<presence xmlns='jabber:client' type='${type}' from='tea@rooms.localhost/bob' to='bob@localhost/desk'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='none'/>${news}</x></presence>`;

describe('a presence from a room', () => {
  test.each([
    ['room-left', 'an occupant who leaves', codes(110)],
    ['room-removed', 'an occupant who is kicked', codes(110, 307)],
    ['room-removed', 'an occupant who is banned', codes(301, 110)],
    ['room-removed', 'an occupant who is no longer a member', codes(110, 321)],
    ['room-removed', 'a non-member after the room became members-only', codes(110, 322)],
    ['room-removed', 'an occupant of a room whose service shuts down', codes(110, 332)],
    ['room-destroyed', 'an occupant of a room that is destroyed', '<destroy jid="coffee@rooms.localhost"/>'],
    ['room-destroyed', 'an occupant of a destroyed room, with the status for self-presence', `${codes(110)}<destroy/>`],
    ['presence', 'the presence of another occupant who leaves', ''],
    ['presence', 'the presence of another occupant who is kicked', codes(307)],
    ['presence', 'an occupant who changes the nickname', codes(110, 303)],
  ])('is %s for %s', (kind, _, news) => {
    expect(kindOf(parseStanza(presence(news)))).toBe(kind);
  });

  test.each([
    ['room-removed', 'an occupant who is kicked', 'bob@localhost/desk', 307],
    ['room-removed', 'an occupant who is banned', 'Bob@Localhost/desk', 301],
    ['room-removed', 'an occupant whose resource is not shown', 'bob@localhost', 307],
    ['presence', 'another client of the kicked user', 'bob@localhost/phone', 307],
    ['presence', 'another occupant who is kicked', 'carol@localhost/desk', 307],
    ['presence', 'another nickname', 'bob@localhost/desk', 303],
  ])('without status 110 is %s for %s, if the room shows the address', (kind, _, jid, code) => {
    const kicked = presence(codes(code)).replace('<item', `<item jid='${jid}'`);
    expect(kindOf(parseStanza(kicked))).toBe(kind);
  });

  test('without type unavailable is a presence', () => {
    expect(kindOf(parseStanza(presence(codes(110), 'probe')))).toBe('presence');
  });
});

test('a user cannot impersonate a room of the same domain', () => {
  const forged = presence('<destroy/>').replace('tea@rooms.localhost/bob', 'mallory@Localhost/tea');
  expect(kindOf(parseStanza(forged))).toBe('presence');
});

test('a presence without a room element is a presence', () => {
  expect(kindOf(parseStanza("<presence xmlns='jabber:client' type='unavailable'><x xmlns='urn:other'><destroy/></x></presence>"))).toBe(
    'presence',
  );
});

function occupantPresence(nick: string, codes: readonly number[], { type = '', to = 'bob@localhost/desk', padding = '' } = {}) {
  const statuses = codes.map((code) => `<status code='${code}'/>`).join('');
  const kind = type === '' ? '' : ` type='${type}'`;
  return parseStanza(
    `<presence xmlns='jabber:client'${kind} from='tea@rooms.example/${nick}' to='${to}'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/>${statuses}</x>${padding}</presence>`,
  );
}

const kick = { type: 'unavailable' };

test('recognises the removal of a user by the nickname of their entry', () => {
  const stays = new Stays();
  stays.observe(occupantPresence('Bob', [110]), 'out');
  stays.observe(occupantPresence('Al', []), 'out'); // another occupant
  expect(stays.observe(occupantPresence('Al', [307], kick), 'out')).toBe(false);
  expect(stays.observe(occupantPresence('Bob', [307], { ...kick, to: 'carol@localhost/x' }), 'out')).toBe(false);
  expect(stays.observe(occupantPresence('Bob', [307], kick), 'out')).toBe(true);
  expect(stays.observe(occupantPresence('Bob', [307], kick), 'out')).toBe(false);
});

test('a new nickname replaces the old one', () => {
  const stays = new Stays();
  for (const nick of ['Bob', 'Robert']) stays.observe(occupantPresence(nick, [110]), 'out');
  expect(stays.observe(occupantPresence('Bob', [301], kick), 'out')).toBe(false);
  expect(stays.observe(occupantPresence('Robert', [301], kick), 'out')).toBe(true);
});

test('the nicknames of users do not keep the presences in memory', () => {
  const stays = new Stays();
  const padding = `<pad>${'x'.repeat(1_000_000)}</pad>`;
  const enter = (user: string) =>
    stays.observe(occupantPresence('a long nickname', [110], { to: `${user}@localhost/desk`, padding }), 'out');
  const kept = keptBytes(() => {
    for (let user = 0; user < 50; user += 1) enter(`user-${user}`);
  });

  expect(kept).toBeLessThan(10_000_000);
  expect(stays.observe(occupantPresence('a long nickname', [307], { ...kick, to: 'user-7@localhost/desk' }), 'out')).toBe(true);
});

test('presence sent by a user does not enter a room', () => {
  const stays = new Stays();
  stays.observe(occupantPresence('Bob', [110]), 'in');
  expect(stays.observe(occupantPresence('Bob', [307], kick), 'out')).toBe(false);
});

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

test('a room message is the same packet for an absent subscriber as for an occupant', () => {
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

test('keeps the annotations of the server around the event', () => {
  const around =
    "<archived xmlns='urn:xmpp:mam:tmp' by='bob@localhost' id='a1'/><stanza-id xmlns='urn:xmpp:sid:0' by='bob@localhost' id='a1'/><delay xmlns='urn:xmpp:delay' stamp='2026-11-28T10:00:00Z'/>";
  const packet = packetOf(nested(said, { around }));
  expect(packet).toMatchObject({ stanzaId: 'a1', delayed: Date.parse('2026-11-28T10:00:00Z') });
  expect(parseStanza(packet.stanza.xml).text('body')).toBe('Milk?');
});

test.each([
  ['an event from another address', nested(said, { from: 'mallory@localhost/x' })],
  ['an event of another node', nested(said, { node: 'urn:xmpp:mucsub:nodes:subject' })],
  ['an event with a text next to it', nested(said, { around: '<body>other</body>' })],
  ['an event that was returned as an error', nested(said, { type: " type='error'" })],
  ['a message that is not a groupchat', nested(said.replace('groupchat', 'chat'))],
  ['two messages', nested(said + said)],
  ['no message', nested('<x xmlns="urn:x"/>')],
  ['a message without an event', said],
])('returns %s unchanged', (_what, xml) => {
  const stanza = parseStanza(xml);
  expect(withoutMucSub(stanza)).toBe(stanza);
});

test('does not extract a message from a stanza that a user sends', () => {
  expect(packetOf(nested(), { direction: 'in' }).stanza.text('body')).toBe('');
});
