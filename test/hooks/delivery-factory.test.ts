import fc from 'fast-check';
import { expect, test } from 'vitest';
import { laneOf, packetFromJson, packetToJson } from '../../src/hooks/delivery-factory.ts';
import type { Packet } from '../../src/model/packet.ts';
import { chat, makeJid, makePacket } from '../support/make-packet.ts';

test('both directions of a conversation share a lane', () => {
  const first = laneOf(makePacket({ stanza: between('alice@localhost/a', 'bob@localhost') }), 'h', 'conversation');
  const reply = laneOf(makePacket({ stanza: between('bob@localhost/b', 'alice@localhost/a'), direction: 'out' }), 'h', 'conversation');

  expect(first).toBe('h alice@localhost bob@localhost');
  expect(reply).toBe(first);
});

test('all messages to a room share a lane', () => {
  const sent = makePacket({ stanza: between('alice@localhost/a', 'room@muc', 'groupchat') });
  expect(laneOf(sent, 'h', 'conversation')).toBe('h room@muc');
});

test('the copies of the messages of a room share a lane for each receiver', () => {
  const copyFor = (to: string) => makePacket({ stanza: between('room@muc/bob', to, 'groupchat'), direction: 'out' });
  expect(laneOf(copyFor('alice@localhost/a'), 'h', 'conversation')).toBe('h room@muc alice@localhost');
  expect(laneOf(copyFor('alice@localhost/b'), 'h', 'conversation')).toBe('h room@muc alice@localhost');
  expect(laneOf(copyFor('carol@localhost/a'), 'h', 'conversation')).toBe('h room@muc carol@localhost');
});

test('handlers do not share lanes', () => {
  expect(laneOf(makePacket(), 'a', 'conversation')).not.toBe(laneOf(makePacket(), 'b', 'conversation'));
});

test('by sender, all packets of one user share a lane', () => {
  const toBob = makePacket({ stanza: between('alice@localhost/a', 'bob@localhost') });
  const toEve = makePacket({ stanza: between('alice@localhost/b', 'eve@localhost') });

  expect(laneOf(toBob, 'h', 'sender')).toBe('h alice@localhost');
  expect(laneOf(toEve, 'h', 'sender')).toBe('h alice@localhost');
});

test('by sender, room messages of a known author share the lane of that user', () => {
  const received = between('room@muc/nick', 'bob@localhost', 'groupchat');

  expect(laneOf(makePacket({ stanza: received, direction: 'out', sender: makeJid('alice@localhost') }), 'h', 'sender')).toBe(
    'h alice@localhost',
  );
  expect(laneOf(makePacket({ stanza: received, direction: 'out' }), 'h', 'sender')).toBe('h room@muc');
});

test('without ordering there is no lane', () => {
  expect(laneOf(makePacket(), 'h', 'none')).toBeNull();
});

test('a packet is read from JSON unchanged', () => {
  const body = fc.string({ unit: 'grapheme-ascii' });
  const known = fc.record(
    { session: fc.constant('a@b/c'), sessions: fc.nat(), stanzaId: fc.string(), delayed: fc.nat() },
    { requiredKeys: [] },
  );

  fc.assert(
    fc.property(body, known, (text, given) => {
      const packet = makePacket({ stanza: chat(text), ...given });

      expect(fields(packetFromJson(packetToJson(packet)))).toEqual(fields(packet));
    }),
  );
});

test('namespaces that a stanza inherits from its stream are kept', () => {
  const packet = makePacket({ stanza: "<message xmlns='jabber:client' xmlns:x='urn:x'><x:y a='1'/></message>" });

  const [child] = packetFromJson(packetToJson(packet)).stanza.children;

  expect(child).toMatchObject({ name: 'x:y', ns: 'urn:x', attrs: { a: '1' } });
});

test('a JID that could not be prepared is kept unchanged', () => {
  const from = { user: '', server: 'localhost', resource: '', bare: '@localhost', full: '@localhost/' };

  expect(packetFromJson(packetToJson({ ...makePacket(), from })).from).toEqual(from);
});

test('the author of a room message is kept', () => {
  const packet = makePacket({ sender: makeJid('alice@localhost') });

  expect(packetFromJson(packetToJson(packet)).sender).toEqual(packet.sender);
});

test('the event is kept, and derived from the stanza in packets of older versions', () => {
  const { event, ...before } = JSON.parse(packetToJson(makePacket({ event: 'unack' })));

  expect(event).toBe('unack');
  expect(packetFromJson(packetToJson(makePacket({ event: 'unack' }))).event).toBe('unack');
  expect(packetFromJson(JSON.stringify(before)).event).toBe('chat');
});

test('the format of a newer version is refused', () => {
  const newer = JSON.stringify({ ...JSON.parse(packetToJson(makePacket())), version: 2 });

  expect(() => packetFromJson(newer)).toThrow('version 2');
});

function between(from: string, to: string, type = 'chat'): string {
  return `<message xmlns='jabber:client' type='${type}' from='${from}' to='${to}'><body>Hi</body></message>`;
}

function fields({ stanza, ...rest }: Packet) {
  return { ...rest, stanza: stanza.xml };
}
