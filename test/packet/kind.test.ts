import { describe, expect, test } from 'vitest';
import { kindOf } from '../../src/packet/kind.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

const body = '<body>hi</body>';
const correction = "<replace id='1' xmlns='urn:xmpp:message-correct:0'/>";
const omemo = "<encrypted xmlns='eu.siacs.conversations.axolotl'/>";
const reactions = "<reactions id='1' xmlns='urn:xmpp:reactions:0'><reaction>👍</reaction></reactions>";
const retraction = "<retract id='1' xmlns='urn:xmpp:message-retract:1'/>";
const fastened = "<apply-to id='1' xmlns='urn:xmpp:fasten:0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>";
const receipt = "<received id='1' xmlns='urn:xmpp:receipts'/>";
const marker = "<displayed id='1' xmlns='urn:xmpp:chat-markers:0'/>";
const composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";

describe.each([
  [
    'message',
    [body, '', '<thread>1</thread>', `${body}<active xmlns='http://jabber.org/protocol/chatstates'/>`, body + receipt, body + marker],
  ],
  [
    'message',
    ["<request xmlns='urn:xmpp:receipts'/>", "<markable xmlns='urn:xmpp:chat-markers:0'/>", '<replace/>', "<x xmlns='urn:xmpp:receipts'/>"],
  ],
  ['correction', [body + correction, correction + body]],
  ['retraction', [retraction, `${body}${retraction}`, fastened, `${fastened}<fallback xmlns='urn:xmpp:fallback:0'/>${body}`]],
  ['reaction', [reactions, body + reactions]],
  ['receipt', [receipt, `<body/>${receipt}`]],
  ['marker', [marker, "<received id='1' xmlns='urn:xmpp:chat-markers:0'/>"]],
  ['chat-state', [composing, `<body></body>${composing}`, "<p:paused xmlns:p='http://jabber.org/protocol/chatstates'/>"]],
  ['encrypted', [omemo, "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/>", "<encrypted xmlns='urn:xmpp:omemo:2'/>", omemo + body]],
] as const)('a message is of kind %s', (kind, contents) => {
  test.each(contents)('with %s', (content) => {
    expect(kindOf(parseStanza(`<message xmlns='jabber:client'>${content}</message>`))).toBe(kind);
  });
});

test.each([
  ['retraction', reactions + retraction],
  ['encrypted', correction + body + omemo],
  ['encrypted', receipt + omemo],
  ['receipt', composing + marker + receipt],
  ['marker', composing + marker],
])('of several marks %s is the stronger', (kind, content) => {
  expect(kindOf(parseStanza(`<message>${content}</message>`))).toBe(kind);
});

test.each(['iq', 'presence'])('%s is a kind of its own, whatever it holds', (name) => {
  expect(kindOf(parseStanza(`<${name}>${correction}${composing}</${name}>`))).toBe(name);
});
