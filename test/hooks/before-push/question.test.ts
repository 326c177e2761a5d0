import { describe, expect, test } from 'vitest';
import { questionOf } from '../../../src/hooks/before-push/question.ts';
import type { Packet } from '../../../src/model/packet.ts';
import { createJidReader } from '../../../src/packet/jid.ts';
import { kindOf } from '../../../src/packet/kind.ts';
import { makeJid, makePacket } from '../../support/make-packet.ts';

const readJid = createJidReader();

function ask(stanza: string, given: Partial<Pick<Packet, 'direction' | 'kind'>> = {}) {
  const packet = makePacket({ stanza, ...given });
  return questionOf(Object.freeze({ ...packet, kind: given.kind ?? kindOf(packet.stanza) }), readJid);
}

const message = (content: string, { type = 'chat', from = 'alice@localhost/phone', to = 'bob@localhost' } = {}): string =>
  `<message xmlns='jabber:client' id='m1' type='${type}' from='${from}' to='${to}'>${content}</message>`;

const mention = (uri: string, type = 'mention'): string =>
  `<reference xmlns='urn:xmpp:reference:0' type='${type}' begin='0' end='3' uri='${uri}'/>`;

const ended = (news: string, content = ''): string =>
  `<presence xmlns='jabber:client' id='p1' type='unavailable' from='tea@rooms.localhost/bob' to='bob@localhost/web.1'>${content}<x xmlns='http://jabber.org/protocol/muc#user'>${news}</x></presence>`;

test('the question about a chat message has every field, in OpenIM’s order', () => {
  const asked = ask(message('<subject>Tea</subject><body>Hello, this is a test message</body>', { from: 'alice@localhost/ios' }));
  expect(Object.entries(asked)).toEqual([
    ['callbackCommand', 'callbackBeforePushCommand'],
    ['platformID', 1],
    ['platform', 'iOS'],
    ['userIDList', ['bob']],
    ['title', 'Tea'],
    ['desc', 'Hello, this is a test message'],
    ['ex', ''],
    ['iOSPushSound', ''],
    ['iOSBadgeCount', false],
    ['signalInfo', ''],
    ['clientMsgID', 'm1'],
    ['sendID', 'alice'],
    ['groupID', ''],
    ['contentType', 1],
    ['sessionType', 1],
    ['atUserIDList', []],
    ['content', 'Hello, this is a test message'],
  ]);
});

test('the question about a minimal stanza has every field, with its type', () => {
  expect(ask("<message xmlns='jabber:client' type='chat'/>")).toMatchObject({
    ...{ platformID: 0, platform: '', title: '', desc: '', clientMsgID: '', content: '', contentType: 0, atUserIDList: [] },
    ...{ sendID: 'alice', userIDList: ['alice'] },
  });
});

describe('the id of a user', () => {
  test.each([
    ['of the packet’s host is the local part', 'bob@localhost/desk', 'bob'],
    ['of another host is the bare JID', 'bob@elsewhere.example/desk', 'bob@elsewhere.example'],
    ['of a host is its domain', 'localhost', 'localhost'],
  ])('%s', (_, to, id) => {
    expect(ask(message('', { to })).userIDList).toEqual([id]);
  });
});

describe('the platform of a client', () => {
  test.each([
    ['ios', 1, 'iOS'],
    ['iOS-17', 1, 'iOS'],
    ['Android.3f', 2, 'Android'],
    ['windows', 3, 'Windows'],
    ['macOS', 4, 'macOS'],
    ['web1', 5, 'Web'],
    ['Linux/x', 7, 'Linux'],
    ['phone', 0, ''],
    ['iosish', 0, ''],
    ['', 0, ''],
  ])('with the resource %s is %i %s', (resource, platformID, platform) => {
    expect(ask(message('', { from: `alice@localhost${resource === '' ? '' : `/${resource}`}` }))).toMatchObject({ platformID, platform });
  });
});

describe('a message of a room', () => {
  test('that a user sends has no known receiver', () => {
    const asked = ask(message('<body>Tea?</body>', { type: 'groupchat', to: 'tea@rooms.localhost' }));
    expect(asked).toMatchObject({ sendID: 'alice', groupID: 'tea@rooms.localhost', sessionType: 2, contentType: 1, userIDList: [] });
  });

  test('that a user receives is from an occupant with a nickname', () => {
    const stanza = message('<body>Tea?</body>', { type: 'groupchat', from: 'tea@rooms.localhost/ios', to: 'bob@localhost/desk' });
    expect(ask(stanza, { direction: 'out' })).toMatchObject({
      ...{ sendID: 'tea@rooms.localhost/ios', groupID: 'tea@rooms.localhost', sessionType: 2 },
      ...{ userIDList: ['bob'], platformID: 0, platform: '' },
    });
  });
});

describe('a private message in a room keeps the nickname, so that two occupants are different', () => {
  const marks = ["<x xmlns='http://jabber.org/protocol/muc#user'/>", "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o1'/>"];

  test.each(marks)('to its receiver, marked %s', (mark) => {
    const stanza = message(`<body>psst</body>${mark}`, { from: 'tea@rooms.localhost/ios', to: 'bob@localhost/desk' });
    expect(ask(stanza, { direction: 'out' })).toMatchObject({
      ...{ sendID: 'tea@rooms.localhost/ios', userIDList: ['bob'], groupID: '', sessionType: 1, platformID: 0, platform: '' },
    });
  });

  test('from its sender', () => {
    const stanza = message(`<body>psst</body>${marks[0]}`, { from: 'bob@localhost/ios', to: 'tea@rooms.localhost/Al' });
    expect(ask(stanza)).toMatchObject({ sendID: 'bob', userIDList: ['tea@rooms.localhost/Al'], platform: 'iOS' });
  });

  test('in mentions', () => {
    const stanza = message(`<body>psst</body>${marks[0]}${mention('xmpp:tea@rooms.localhost/Eve')}`, { to: 'tea@rooms.localhost/Al' });
    expect(ask(stanza).atUserIDList).toEqual(['tea@rooms.localhost/Eve']);
  });

  test('but a user of the host with a false mark stays a user of the host', () => {
    expect(ask(message(`<body>psst</body>${marks[0]}`), { direction: 'out' })).toMatchObject({ sendID: 'alice', userIDList: ['bob'] });
  });
});

test('the user behind a nickname is named if the feed knows it', () => {
  const stanza = message('<body>Tea?</body>', { type: 'groupchat', from: 'tea@rooms.localhost/Al', to: 'bob@localhost/desk' });
  const packet = makePacket({ stanza, direction: 'out', sender: makeJid('alice@localhost') });
  expect(questionOf(packet, readJid)).toMatchObject({ sendID: 'alice', groupID: 'tea@rooms.localhost' });
});

describe('mentioned users', () => {
  test('are listed once each, in the order of the references, by user ID', () => {
    const stanza = message(
      ['xmpp:carol@localhost', 'xmpp:dave@elsewhere.example/phone', 'xmpp:carol@LOCALHOST?message', 'xmpp:tea@rooms.localhost/Eve%20E']
        .map((uri) => mention(uri))
        .join(''),
      { type: 'groupchat', to: 'tea@rooms.localhost' },
    );
    expect(ask(stanza).atUserIDList).toEqual(['carol', 'dave@elsewhere.example', 'tea@rooms.localhost/Eve E']);
  });

  test.each([
    ['a reference of another type', mention('xmpp:carol@localhost', 'data')],
    ['another scheme', mention('https://carol@localhost')],
    ['an invalid JID', mention('xmpp:@localhost')],
    ['a stray %', mention('xmpp:car%ol@localhost')],
    ['an authority', mention('xmpp://carol@localhost/dave@localhost')],
    ['no URI', "<reference xmlns='urn:xmpp:reference:0' type='mention'/>"],
  ])('are none for %s', (_, content) => {
    expect(ask(message(content)).atUserIDList).toEqual([]);
  });
});

describe('the content type', () => {
  test.each([
    ['a correction', '<body>hi</body><replace xmlns="urn:xmpp:message-correct:0" id="1"/>', 1],
    ['an encrypted message', '<body>cannot read?</body><encrypted xmlns="urn:xmpp:omemo:2"/>', 0],
    ['a reaction', '<reactions xmlns="urn:xmpp:reactions:0" id="1"/>', 0],
  ])('%s: %#', (_, content, contentType) => {
    expect(ask(message(content)).contentType).toBe(contentType);
  });
});

describe('a room change', () => {
  const room = { groupID: 'tea@rooms.localhost', sessionType: 2, userIDList: ['bob'], clientMsgID: 'p1' };

  test('by which a member left names the member', () => {
    expect(ask(ended("<status code='110'/>", '<status>Bye</status>'), { direction: 'out' })).toMatchObject({
      ...room,
      ...{ contentType: 1504, sendID: 'bob', content: 'Bye', platform: 'Web' },
    });
  });

  test.each([
    ['by JID', "<actor jid='alice@localhost/phone' nick='Al'/>", 'alice'],
    ['by nickname', "<actor nick='Al'/>", 'tea@rooms.localhost/Al'],
    ['not at all', '', 'tea@rooms.localhost'],
  ])('by which a member was removed names the actor: given %s', (_, actor, sendID) => {
    const asked = ask(ended(`<item role='none'>${actor}<reason>Enough</reason></item><status code='110'/><status code='307'/>`));
    expect(asked).toMatchObject({ ...room, contentType: 1508, sendID, content: 'Enough', desc: 'Enough' });
  });

  test('by which the room was destroyed is from the room', () => {
    const asked = ask(ended('<destroy><reason>Over</reason></destroy>'));
    expect(asked).toMatchObject({ ...room, contentType: 1511, sendID: 'tea@rooms.localhost', content: 'Over', platform: '' });
  });
});
