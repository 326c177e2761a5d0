import { describe, expect, test } from 'vitest';
import { hasText, kindOf } from '../../src/packet/kind.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

const body = '<body>hi</body>';
const correction = "<replace id='1' xmlns='urn:xmpp:message-correct:0'/>";
const omemo = "<encrypted xmlns='eu.siacs.conversations.axolotl'/>";
const reactions = "<reactions id='1' xmlns='urn:xmpp:reactions:0'><reaction>👍</reaction></reactions>";
const retraction = "<retract id='1' xmlns='urn:xmpp:message-retract:1'/>";
const fastened = "<apply-to id='1' xmlns='urn:xmpp:fasten:0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>";
const moderated =
  "<retract id='1' xmlns='urn:xmpp:message-retract:1'><moderated by='a@b/c' xmlns='urn:xmpp:message-moderate:1'/></retract>";
const moderatedBefore =
  "<apply-to id='1' xmlns='urn:xmpp:fasten:0'><moderated by='a@b/c' xmlns='urn:xmpp:message-moderate:0'><retract xmlns='urn:xmpp:message-retract:0'/></moderated></apply-to>";
const tombstone = "<moderated by='a@b/c' xmlns='urn:xmpp:message-moderate:0'><retracted xmlns='urn:xmpp:message-retract:0'/></moderated>";
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
  ['retraction', [moderated, moderatedBefore]],
  ['message', [tombstone, tombstone + body]],
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

describe('a fallback body of a mark', () => {
  const fallback = (attrs: string, content = '') => `<fallback xmlns='urn:xmpp:fallback:0' ${attrs}>${content}</fallback>`;
  const forMarker = "for='urn:xmpp:chat-markers:0'";

  test.each([
    ['the whole message', fallback(forMarker), false],
    ['the body by name', fallback(forMarker, '<body/>'), false],
    ['every character of the body', fallback(forMarker, "<body start='0' end='3'/>"), false],
    ['an indication of the first version', fallback(''), false],
    ['a part of the body', fallback(forMarker, "<body start='1' end='3'/>"), true],
    ['the beginning of the body', fallback(forMarker, "<body end='2'/>"), true],
    ['an invalid part of the body', fallback(forMarker, "<body start='x' end='3'/>"), true],
    ['the subject', fallback(forMarker, '<subject/>'), true],
    ['a fallback that is not for a mark', fallback("for='urn:xmpp:reply:0'"), true],
    ['another namespace', "<fallback xmlns='urn:x'/>", true],
  ])('counts as text or not, for a fallback of: %s', (_what, indication, says) => {
    const stanza = parseStanza(`<message xmlns='jabber:client'><body>h😀i</body>${marker}${indication}</message>`);
    expect([kindOf(stanza), hasText({ stanza, kind: kindOf(stanza) })]).toEqual(says ? ['message', true] : ['marker', false]);
  });

  test.each([
    ['no body', '', false],
    ['a body', body, true],
    ['a fallback body for a file', body + fallback("for='urn:xmpp:sfs:0'"), true],
    ['a body and an indication of the first version', body + fallback(''), true],
    ['the OMEMO note for clients that cannot decrypt', body + omemo, false],
    ['a corrected body', body + correction, true],
    ['a reaction with a fallback body', body + reactions + fallback("for='urn:xmpp:reactions:0'", '<body/>'), false],
    ['a reaction and a body', body + reactions, true],
    ['a retraction', body + retraction + fallback("for='urn:xmpp:message-retract:1'"), false],
    ['a receipt', receipt, false],
  ])('is text for people or not: %s', (_what, content, says) => {
    const stanza = parseStanza(`<message xmlns='jabber:client'>${content}</message>`);
    expect(hasText({ stanza, kind: kindOf(stanza) })).toBe(says);
  });
});

test('a body is measured once, for any number of indications', () => {
  const indications = `<fallback xmlns='urn:xmpp:fallback:0'>${"<body end='1'/>".repeat(50)}</fallback>`.repeat(2);
  const stanza = parseStanza(`<message xmlns='jabber:client'>${body}${marker}${indications}</message>`);
  let readings = 0;
  const text = (...path: string[]) => {
    readings += 1;
    return stanza.text(...path);
  };
  const watched = { ...stanza, text };
  expect(kindOf(watched)).toBe('message');
  expect(readings).toBeLessThan(5);
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

test.each(['iq', 'presence'])('%s is a kind of its own, with any content', (name) => {
  expect(kindOf(parseStanza(`<${name}>${correction}${composing}</${name}>`))).toBe(name);
});

/** Every mark, strongest first. */
const marks = [
  ['retraction', "<retract xmlns='urn:xmpp:message-retract:0'/>"],
  ['retraction', retraction],
  ['retraction', fastened],
  ['retraction', moderatedBefore],
  ['reaction', reactions],
  ['encrypted', omemo],
  ['encrypted', "<encrypted xmlns='urn:xmpp:omemo:1'/>"],
  ['encrypted', "<encrypted xmlns='urn:xmpp:omemo:2'/>"],
  ['encrypted', "<openpgp xmlns='urn:xmpp:openpgp:0'/>"],
  ['encrypted', "<x xmlns='jabber:x:encrypted'/>"],
  ['encrypted', "<encryption xmlns='urn:xmpp:eme:0'/>"],
  ['correction', correction],
  ['receipt', receipt],
  ...['received', 'displayed', 'acknowledged'].map((name) => ['marker', `<${name} xmlns='urn:xmpp:chat-markers:0'/>`] as const),
  ...['active', 'composing', 'gone', 'inactive', 'paused'].map(
    (name) => ['chat-state', `<${name} xmlns='http://jabber.org/protocol/chatstates'/>`] as const,
  ),
] as const;
const countsOnlyWithoutBody: ReadonlySet<string> = new Set(['receipt', 'marker', 'chat-state']);

describe.each(marks)('%s by %s', (kind, mark) => {
  const inMessage = (content: string): string => kindOf(parseStanza(`<message xmlns='jabber:client'>${content}</message>`));

  test('alone, and among elements that are not marks', () => {
    expect(inMessage(mark)).toBe(kind);
    expect(inMessage(` <thread>1</thread>${mark}<no-store xmlns='urn:xmpp:hints'/>`)).toBe(kind);
  });

  test('with a body', () => {
    expect(inMessage(body + mark)).toBe(countsOnlyWithoutBody.has(kind) ? 'message' : kind);
  });

  test('is stronger than all marks below it, in either order', () => {
    const weaker = marks.slice(marks.findIndex(([, other]) => other === mark)).map(([, other]) => other);
    expect(inMessage(weaker.join(''))).toBe(kind);
    expect(inMessage(weaker.toReversed().join(''))).toBe(kind);
  });

  test('is ignored when it is quoted in another element', () => {
    expect(inMessage(`${body}<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>${mark}</message></forwarded>`)).toBe(
      'message',
    );
  });
});
