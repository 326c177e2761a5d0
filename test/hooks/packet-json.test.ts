import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packetFromJson, packetToJson } from '../../src/hooks/packet-json.ts';
import type { Packet } from '../../src/model/packet.ts';
import { chat, makeJid, makePacket } from '../support/make-packet.ts';

test('a packet comes back from JSON as it was', () => {
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

test('namespaces that a stanza took from its stream come back with it', () => {
  const packet = makePacket({ stanza: "<message xmlns='jabber:client' xmlns:x='urn:x'><x:y a='1'/></message>" });

  const [child] = packetFromJson(packetToJson(packet)).stanza.children;

  expect(child).toMatchObject({ name: 'x:y', ns: 'urn:x', attrs: { a: '1' } });
});

test('a JID that could not be prepared comes back as it was passed on', () => {
  const from = { user: '', server: 'localhost', resource: '', bare: '@localhost', full: '@localhost/' };

  expect(packetFromJson(packetToJson({ ...makePacket(), from })).from).toEqual(from);
});

test('who said it in a room comes back', () => {
  const packet = makePacket({ sender: makeJid('alice@localhost') });

  expect(packetFromJson(packetToJson(packet)).sender).toEqual(packet.sender);
});

test('what happened comes back, and what was kept before it was told is told by the stanza', () => {
  const { event, ...before } = JSON.parse(packetToJson(makePacket({ event: 'unack' })));

  expect(event).toBe('unack');
  expect(packetFromJson(packetToJson(makePacket({ event: 'unack' }))).event).toBe('unack');
  expect(packetFromJson(JSON.stringify(before)).event).toBe('chat');
});

test('what a newer version wrote is not guessed at', () => {
  const newer = JSON.stringify({ ...JSON.parse(packetToJson(makePacket())), version: 2 });

  expect(() => packetFromJson(newer)).toThrow('version 2');
});

function fields({ stanza, ...rest }: Packet) {
  return { ...rest, stanza: stanza.xml };
}
