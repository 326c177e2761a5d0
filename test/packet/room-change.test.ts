import { describe, expect, test } from 'vitest';
import { kindOf } from '../../src/packet/kind.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

const codes = (...list: readonly number[]): string => list.map((code) => `<status code='${code}'/>`).join('');

const presence = (news: string, type = 'unavailable'): string =>
  `<presence xmlns='jabber:client' type='${type}' from='tea@rooms.localhost/bob' to='bob@localhost/desk'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='none'/>${news}</x></presence>`;

describe('a presence from a room', () => {
  test.each([
    ['room-left', 'one who leaves', codes(110)],
    ['room-removed', 'one who is kicked', codes(110, 307)],
    ['room-removed', 'one who is banned', codes(301, 110)],
    ['room-removed', 'one who is no member any more', codes(110, 321)],
    ['room-removed', 'one who never was, once the room is for members alone', codes(110, 322)],
    ['room-removed', 'one whose room shuts down with its service', codes(110, 332)],
    ['room-destroyed', 'one whose room is destroyed', '<destroy jid="coffee@rooms.localhost"/>'],
    ['room-destroyed', 'the same where the room says to whom it talks', `${codes(110)}<destroy/>`],
    ['presence', 'what others hear of who leaves', ''],
    ['presence', 'what others hear of who is kicked', codes(307)],
    ['presence', 'one who takes another nickname', codes(110, 303)],
  ])('is %s for %s', (kind, _, news) => {
    expect(kindOf(parseStanza(presence(news)))).toBe(kind);
  });

  test.each([
    ['room-removed', 'one who is kicked', 'bob@localhost/desk', 307],
    ['room-removed', 'one who is banned', 'Bob@Localhost/desk', 301],
    ['room-removed', 'one whose client is not shown', 'bob@localhost', 307],
    ['presence', 'another client of the user that is kicked', 'bob@localhost/phone', 307],
    ['presence', 'another occupant who is kicked', 'carol@localhost/desk', 307],
    ['presence', 'another nickname', 'bob@localhost/desk', 303],
  ])('without status 110 is %s for %s, where the room shows the address', (kind, _, jid, code) => {
    const kicked = presence(codes(code)).replace('<item', `<item jid='${jid}'`);
    expect(kindOf(parseStanza(kicked))).toBe(kind);
  });

  test('that is available ends nothing', () => {
    expect(kindOf(parseStanza(presence(codes(110), 'probe')))).toBe('presence');
  });
});

test('a user cannot pretend to be a room of the same domain', () => {
  const forged = presence('<destroy/>').replace('tea@rooms.localhost/bob', 'mallory@Localhost/tea');
  expect(kindOf(parseStanza(forged))).toBe('presence');
});

test('a presence that says nothing of rooms is a presence', () => {
  expect(kindOf(parseStanza("<presence xmlns='jabber:client' type='unavailable'><x xmlns='urn:other'><destroy/></x></presence>"))).toBe(
    'presence',
  );
});
