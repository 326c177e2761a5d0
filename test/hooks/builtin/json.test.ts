import { describe, expect, test } from 'vitest';
import * as json from '../../../src/hooks/builtin/json.ts';
import { createContexts } from '../../../src/hooks/context.ts';
import type { Packet } from '../../../src/model/packet.ts';
import { makeHandler } from '../../support/make-handler.ts';
import { makeJid, makePacket } from '../../support/make-packet.ts';

const moderated = "<moderated xmlns='urn:xmpp:message-moderate:1' by='hall@rooms.localhost/moderator'/>";

describe('the JSON module', () => {
  test('contains all known facts about a packet', () => {
    const stanza =
      "<message xmlns='jabber:client' type='groupchat' id='m1' xml:lang='en' from='alice@localhost/phone' to='room@muc.localhost'>" +
      "<subject>Lunch</subject><thread>t1</thread><body>Hi</body><body xml:lang='pl'>Cześć</body><body xml:lang='en'>second</body></message>";
    const packet = makePacket({
      stanza,
      delayed: 0,
      session: 'alice@localhost/phone',
      sessions: 0,
      stanzaId: 's1',
      sender: makeJid('alice@localhost'),
    });

    expect(objectOf(packet)).toEqual({
      id: 'packet-1',
      time: '2026-11-22T10:30:00.125Z',
      receivedAt: '2026-11-22T10:30:00.250Z',
      delayed: '1970-01-01T00:00:00.000Z',
      direction: 'in',
      host: 'localhost',
      origin: 'chat',
      event: 'groupchat',
      kind: 'message',
      stanza: 'message',
      type: 'groupchat',
      from: makeJid('alice@localhost/phone'),
      to: makeJid('room@muc.localhost'),
      session: 'alice@localhost/phone',
      sessions: 0,
      room: 'room@muc.localhost',
      sender: 'alice@localhost',
      occupant: null,
      affiliation: null,
      stanzaId: 's1',
      messageId: 'm1',
      subject: 'Lunch',
      thread: 't1',
      body: 'Hi',
      bodies: { en: 'Hi', pl: 'Cześć' },
      encrypted: null,
      replaces: null,
      retracts: null,
      reactions: null,
      offlinePushInfo: null,
      xml: packet.stanza.xml,
    });
  });

  test('has null for missing facts', () => {
    expect(objectOf(makePacket({ stanza: "<presence xmlns='jabber:client'/>", kind: 'presence' }))).toMatchObject({
      type: 'available',
      delayed: null,
      session: null,
      sessions: null,
      room: null,
      sender: null,
      occupant: null,
      affiliation: null,
      stanzaId: null,
      messageId: null,
      subject: null,
      thread: null,
      body: null,
      bodies: {},
    });
  });

  test('lists a body without a language under the empty key', () => {
    expect(objectOfMessage("<body>a</body><body xml:lang='__proto__'>b</body>")['bodies']).toEqual(
      JSON.parse('{"": "a", "__proto__": "b"}'),
    );
  });

  test.each([
    ['a correction', "<replace xmlns='urn:xmpp:message-correct:0' id='m0'/>", { replaces: 'm0' }],
    ['a retraction', "<retract xmlns='urn:xmpp:message-retract:1' id='m0'/>", { retracts: 'm0' }],
    [
      'an older retraction',
      "<apply-to xmlns='urn:xmpp:fasten:0' id='m0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
      { retracts: 'm0' },
    ],
    ['a retraction by a moderator', `<retract xmlns='urn:xmpp:message-retract:1' id='m0'>${moderated}</retract>`, { retracts: 'm0' }],
    [
      'an older retraction by a moderator',
      `<apply-to xmlns='urn:xmpp:fasten:0' id='m0'><moderated xmlns='urn:xmpp:message-moderate:0'><retract xmlns='urn:xmpp:message-retract:0'/></moderated></apply-to>`,
      { retracts: 'm0' },
    ],
    ['another fastened element', "<apply-to xmlns='urn:xmpp:fasten:0' id='m0'><edit xmlns='e'/></apply-to>", { retracts: null }],
    [
      'reactions',
      "<reactions xmlns='urn:xmpp:reactions:0' id='m0'><reaction>👍</reaction><reaction>🐢</reaction></reactions>",
      { reactions: { id: 'm0', emojis: ['👍', '🐢'] } },
    ],
    ['removed reactions', "<reactions xmlns='urn:xmpp:reactions:0' id='m0'/>", { reactions: { id: 'm0', emojis: [] } }],
    ['a named encryption', "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/>", { encrypted: 'urn:x' }],
    ['OMEMO', "<encrypted xmlns='eu.siacs.conversations.axolotl'/>", { encrypted: 'eu.siacs.conversations.axolotl' }],
    ['an unknown `encrypted`', "<encrypted xmlns='urn:other'/>", { encrypted: null }],
  ])('reads %s', (_, payload, expected) => {
    expect(objectOfMessage(payload)).toMatchObject(expected);
  });

  test.each([
    ['a message', {}, true],
    ['a correction', { kind: 'correction' }, true],
    ['a chat state', { kind: 'chat-state' }, false],
    ['a receipt', { kind: 'receipt' }, false],
    ['a presence', { stanza: "<presence xmlns='jabber:client'/>", kind: 'presence' }, false],
    ['an error', { stanza: "<message xmlns='jabber:client' type='error'><body>Hi</body></message>" }, false],
    ['an outgoing message', { direction: 'out' }, false],
  ] as const)('without a `when` its `shouldMakeReq` decides about %s as documented', (_, given, expected) => {
    expect(json.shouldMakeReq(createContexts()(makePacket(given)).packetAsked(makeHandler()))).toBe(expected);
  });

  test('sets the content type JSON', () => {
    expect(json.prepareHeaders()).toEqual([['content-type', 'application/json']]);
  });
});

function objectOfMessage(payload: string): Record<string, unknown> {
  return objectOf(makePacket({ stanza: `<message xmlns='jabber:client'>${payload}</message>` }));
}

function objectOf(packet: Packet): Record<string, unknown> {
  return JSON.parse(json.prepareBody(createContexts()(packet).requestPrepared(makeHandler())));
}
