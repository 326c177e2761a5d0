import { describe, expect, test } from 'vitest';
import type { PacketId } from '../../src/model/packet.ts';
import { packetFrom, type SeenStanza } from '../../src/packet/from-xml.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

const readJid = createJidReader();
const reception = { id: 'p1' as PacketId, origin: 'chat', receivedAt: 2000 };

function packetOf(xml: string, seen: Partial<SeenStanza> = {}) {
  const stanza = parseStanza(xml);
  return packetFrom({ stanza, direction: 'in', host: 'localhost', bytes: 7, key: 'k', ...seen }, reception, readJid);
}

const addressed = "from='Alice@LOCALHOST/Phone' to='BOB@LOCALHOST' type='chat'";

test('contains the facts of the source, with prepared addresses', () => {
  const { packet, prepared } = packetOf(`<message ${addressed}><body>hi</body></message>`, {
    session: 'alice@localhost/Phone',
    sessions: 2,
    time: 1000,
  });
  expect(packet).toMatchObject({
    ...{ id: 'p1', origin: 'chat', receivedAt: 2000, time: 1000, host: 'localhost', bytes: 7, key: 'k', direction: 'in', kind: 'message' },
    ...{ session: 'alice@localhost/Phone', sessions: 2, stanzaId: undefined, delayed: undefined },
    from: { full: 'alice@localhost/Phone' },
    to: { full: 'bob@localhost' },
  });
  expect(prepared).toBe(true);
  expect(Object.isFrozen(packet)).toBe(true);
});

test('without a time from the chat server the packet has the time of reception', () => {
  expect(packetOf(`<message ${addressed}/>`).packet.time).toBe(2000);
});

describe('a missing address is filled in', () => {
  const lost = { direction: 'out', report: 'unack', session: 'alice@localhost/x' } as const;

  test.each([
    ['no to: the own bare JID of the session', "<iq from='Alice@localhost/x'/>", {}, 'alice@localhost/x', 'alice@localhost'],
    ['no addresses: the session', '<iq/>', { session: 'alice@localhost/x' }, 'alice@localhost/x', 'alice@localhost'],
    ['no session either: the host', "<iq to='bob@localhost'/>", {}, 'localhost', 'bob@localhost'],
    ['to a session that has ended', "<message from='bob@localhost/x'/>", lost, 'bob@localhost/x', 'alice@localhost/x'],
    ['without addresses, to a session that has ended', '<message/>', lost, 'localhost', 'alice@localhost/x'],
    ['empty ones', "<iq from='' to=''/>", { session: '' }, 'localhost', 'localhost'],
  ])('%s', (_what, xml, seen, from, to) => {
    const { packet } = packetOf(xml, seen);
    expect([packet.from.full, packet.to.full]).toEqual([from, to]);
  });
});

describe('what happened', () => {
  test('is the type of an ordinary stanza', () => {
    expect(packetOf(`<message ${addressed}/>`).packet).toMatchObject({ event: 'chat', kind: 'message' });
  });

  test('is a status change of a user, which is a kind too', () => {
    const { packet } = packetOf("<presence type='unavailable' from='alice@localhost/x'/>", { report: 'status' });
    expect(packet).toMatchObject({ event: 'status', kind: 'status', to: { full: 'alice@localhost' } });
  });

  test('is a missing acknowledgement of a client, for any kind of message', () => {
    const receipt = `<message ${addressed}><received xmlns='urn:xmpp:receipts' id='1'/></message>`;
    expect(packetOf(receipt, { direction: 'out', report: 'unack' }).packet).toMatchObject({ event: 'unack', kind: 'receipt' });
  });
});

describe('the sender in a room', () => {
  const inRoom = "from='hall@rooms.localhost/vee' to='bob@localhost' type='groupchat'";
  const out = { direction: 'out', sender: 'Alice@localhost' } as const;

  test.each([
    ['is reported by the chat server', `<message ${inRoom}/>`, out, 'alice@localhost'],
    ['is reported without a resource', `<message ${inRoom}/>`, { ...out, sender: 'alice@localhost/phone' }, 'alice@localhost'],
    ['is unknown if the server does not report it', `<message ${inRoom}/>`, { direction: 'out' }, undefined],
    ['is unknown if the server reports an empty one', `<message ${inRoom}/>`, { ...out, sender: '' }, undefined],
    [
      'is the user who sends the message to the room',
      "<message from='bob@localhost/x' to='hall@rooms.localhost' type='groupchat'/>",
      {},
      'bob@localhost',
    ],
    ['is ignored for a message to a user', `<message ${addressed}/>`, out, undefined],
    ['is ignored for a presence', "<presence from='hall@rooms.localhost/vee' to='bob@localhost' type='groupchat'/>", out, undefined],
  ] as const)('%s', (_what, xml, seen, sender) => {
    expect(packetOf(xml, seen).packet.sender?.full).toBe(sender);
  });

  test('is passed on unchanged if it cannot be prepared, and reported', () => {
    const { packet, prepared } = packetOf(`<message ${inRoom}/>`, { ...out, sender: 'a b@localhost' });
    expect([packet.sender?.bare, prepared]).toEqual(['a b@localhost', false]);
  });
});

test.each([
  ["<message from='A b@LOCALHOST' to='Bob@LOCALHOST'/>", 'A b@LOCALHOST', 'bob@localhost'],
  ["<message from='Alice@LOCALHOST' to='@LOCALHOST'/>", 'alice@localhost', '@LOCALHOST'],
])('an address that cannot be prepared is passed on unchanged, and reported', (xml, from, to) => {
  const { packet, prepared } = packetOf(xml);
  expect([packet.from.full, packet.to.full, prepared]).toEqual([from, to, false]);
});

describe('the archive id is the one assigned by our own side', () => {
  const id = (by: string, value: string): string => `<stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${value}'/>`;

  test('of the sender for incoming messages, of the receiver for outgoing ones', () => {
    const xml = `<message ${addressed}><body>hi</body>${id('mallory@evil.example', '1')}${id('bob@localhost', '2')}${id('alice@localhost', '3')}</message>`;
    expect(packetOf(xml).packet.stanzaId).toBe('3');
    expect(packetOf(xml, { direction: 'out' }).packet.stanzaId).toBe('2');
  });

  test('of the room for its messages', () => {
    const xml = (type: string): string =>
      `<message from='hall@rooms.localhost/vee' to='bob@localhost/x' type='${type}'>${id('hall@rooms.localhost', '4')}</message>`;
    expect(packetOf(xml('groupchat'), { direction: 'out' }).packet.stanzaId).toBe('4');
    expect(packetOf(xml('chat'), { direction: 'out' }).packet.stanzaId).toBeUndefined();
  });

  test.each([
    ['a stranger', 'mallory@evil.example'],
    ['the other side', 'bob@localhost'],
    ['the host of the sender', 'localhost'],
    ['one of the sender’s sessions', 'alice@localhost/Phone'],
  ])('not %s', (_who, by) => {
    expect(packetOf(`<message ${addressed}><body>hi</body>${id(by, '6')}</message>`).packet.stanzaId).toBeUndefined();
  });

  test('not an occupant of the room, nor another room', () => {
    const ids = id('hall@rooms.localhost/vee', '7') + id('den@rooms.localhost', '8');
    const xml = `<message from='hall@rooms.localhost/vee' to='bob@localhost/x' type='groupchat'><body>hi</body>${ids}</message>`;
    expect(packetOf(xml, { direction: 'out' }).packet.stanzaId).toBeUndefined();
  });

  test('not an id within another element', () => {
    const xml = `<message ${addressed}><result xmlns='urn:xmpp:mam:2'>${id('alice@localhost', '9')}</result></message>`;
    expect(packetOf(xml).packet.stanzaId).toBeUndefined();
  });

  test('not an id with another namespace', () => {
    const xml = `<message ${addressed}><stanza-id xmlns='urn:x' by='alice@localhost' id='5'/></message>`;
    expect(packetOf(xml).packet.stanzaId).toBeUndefined();
  });
});

describe('a delayed copy contains the time of the original', () => {
  test.each([
    ['2026-03-01T01:39:04Z', Date.UTC(2026, 2, 1, 1, 39, 4)],
    ['2026-03-01T01:39:04.057382Z', Date.UTC(2026, 2, 1, 1, 39, 4, 57)],
    ['2026-03-01T01:39:04+02:00', Date.UTC(2026, 1, 28, 23, 39, 4)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['2026-02-29T00:00:00Z', undefined],
    ['2026-04-31T10:00:00Z', undefined],
    ['2026-13-01T00:00:00Z', undefined],
    ['2026-03-01T24:00:00Z', undefined],
    ['2026-03-01T00:00:60Z', undefined],
    ['2026-03-01T00:00:00', undefined],
    ['2026-03-01', undefined],
    ['20260301T01:39:04', undefined],
    ['yesterday', undefined],
    ['', undefined],
  ])('%j', (stamp, at) => {
    expect(packetOf(`<message ${addressed}><delay xmlns='urn:xmpp:delay' stamp='${stamp}'/><body>hi</body></message>`).packet.delayed).toBe(
      at,
    );
  });

  test('in a presence without other content, too', () => {
    const xml =
      "<presence from='bob@localhost/x' to='alice@localhost'><delay xmlns='urn:xmpp:delay' stamp='2026-03-01T00:00:00Z'/></presence>";
    expect(packetOf(xml, { direction: 'out' }).packet.delayed).toBe(Date.UTC(2026, 2, 1));
  });
});
