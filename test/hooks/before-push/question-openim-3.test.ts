/** The questions in the form of OpenIM 3, compared with the structs of its sources. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { questionOfOpenIm3 } from '../../../src/hooks/before-push/question-openim-3.ts';
import type { DeliveryId } from '../../../src/model/delivery.ts';
import type { Packet } from '../../../src/model/packet.ts';
import { createJidReader } from '../../../src/packet/jid.ts';
import { kindOf } from '../../../src/packet/kind.ts';
import { makePacket } from '../../support/make-packet.ts';

const source = await readFile(new URL('../../fixtures/openim/callbackstruct.go', import.meta.url), 'utf8');

/** Name and Go type of each field of a struct, in the order of its JSON: embedded structs in their place. */
function fieldsOf(struct: string): readonly [name: string, type: string][] {
  const [, body] = new RegExp(`^type ${struct} struct \\{\\n([^}]*)\\}`, 'm').exec(source) ?? [];
  if (body === undefined) throw new Error(`the sources have no struct ${struct}`);
  const lines = body.split('\n').map((line) => line.trim());
  return lines.flatMap((line): readonly [string, string][] => {
    const [, type = '', name = ''] = /^\w+\s+(\S+)\s+`json:"(\w+)"`$/.exec(line) ?? [];
    if (name !== '') return [[name, type]];
    return line === '' ? [] : fieldsOf(line.replace(/^\*?(?:\w+\.)?/, ''));
  });
}

function goTypeOf(value: unknown): RegExp {
  if (Array.isArray(value)) return /^\[\]string$/;
  return typeof value === 'number' ? /^int/ : new RegExp(`^${typeof value === 'boolean' ? 'bool' : 'string'}$`);
}

type Given = Partial<Pick<Packet, 'direction' | 'kind' | 'sessions'>>;

function ask(stanza: string, given: Given = {}) {
  const packet = makePacket({ stanza, ...given });
  const kind = given.kind ?? kindOf(packet.stanza);
  return questionOfOpenIm3(Object.freeze({ ...packet, kind }), 'q1' as DeliveryId, createJidReader());
}

const message = (content: string, { type = 'chat', from = 'alice@localhost/phone', to = 'bob@localhost' } = {}): string =>
  `<message xmlns='jabber:client' id='m1' type='${type}' from='${from}' to='${to}'>${content}</message>`;

const ended = (news: string): string =>
  `<presence xmlns='jabber:client' id='p1' type='unavailable' from='tea@rooms.localhost/bob' to='bob@localhost/web.1'><x xmlns='http://jabber.org/protocol/muc#user'>${news}</x></presence>`;

const toRoom = message('<body>Tea?</body>', { type: 'groupchat', to: 'tea@rooms.localhost' });

describe('the fields of a question are those of OpenIM, in its order and of its types', () => {
  const online = fieldsOf('CallbackBeforePushReq').filter(([name]) => !fieldsOf('OfflinePushInfo').some(([other]) => other === name));

  test.each([
    ['callbackBeforeOfflinePushCommand', message('<body>Hi</body>'), { direction: 'out', sessions: 0 }, fieldsOf('CallbackBeforePushReq')],
    ['callbackBeforeOnlinePushCommand', message('<body>Hi</body>'), { direction: 'out', sessions: 2 }, online],
    ['callbackBeforeOnlinePushCommand', message('<body>Hi</body>'), {}, online],
    ['callbackBeforeGroupOnlinePushCommand', toRoom, {}, fieldsOf('CallbackBeforeSuperGroupOnlinePushReq')],
  ] as const)('%s', (command, stanza, given, fields) => {
    const question = ask(stanza, given);
    expect(question.callbackCommand).toBe(command);
    expect(source).toContain(`= "${command}"`);
    expect(Object.keys(question)).toEqual(fields.map(([name]) => name));
    for (const [name, value] of Object.entries(question)) {
      expect(fields.find(([field]) => field === name)?.[1], name).toMatch(goTypeOf(value));
    }
  });
});

test('the question about a message to a user who is offline', () => {
  const stanza = message('<subject>Tea</subject><body>Hello</body>', { from: 'alice@localhost/macOS.1' });
  expect(ask(stanza, { direction: 'out', sessions: 0 })).toEqual({
    ...{ callbackCommand: 'callbackBeforeOfflinePushCommand', operationID: 'q1', platformID: 4, platform: 'OSX', userIDList: ['bob'] },
    ...{ title: 'Tea', desc: 'Hello', ex: '', iOSPushSound: '', iOSBadgeCount: false, signalInfo: '' },
    ...{ clientMsgID: 'm1', sendID: 'alice', groupID: '', contentType: 101, sessionType: 1, atUserIDList: [] },
    content: '{"content":"Hello"}',
  });
});

test('the question about a message to a room names no receivers', () => {
  expect(ask(toRoom)).toMatchObject({ sendID: 'alice', groupID: 'tea@rooms.localhost', sessionType: 3, seq: 0, contentType: 101 });
});

test('the question about its copy to an occupant names the receiver and the room', () => {
  const copy = message('<body>Tea?</body>', { type: 'groupchat', from: 'tea@rooms.localhost/al' });
  expect(ask(copy, { direction: 'out', sessions: 1 })).toMatchObject({
    ...{ callbackCommand: 'callbackBeforeOnlinePushCommand', groupID: 'tea@rooms.localhost', sessionType: 3, userIDList: ['bob'] },
  });
});

const mention = "<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:bob@localhost'/>";
const group = { groupID: 'tea@rooms.localhost' };
const bob = { ...group, userID: 'bob' };
const room = { ...group, userID: 'tea@rooms.localhost' };
const operationTime = makePacket().time;

test.each([
  ['a text', message('<body>"Hi"</body>'), {}, 101, { content: '"Hi"' }],
  ['a text with mentions', message(`<body>Hi bob</body>${mention}`), {}, 106, { text: 'Hi bob', atUserList: ['bob'], isAtSelf: false }],
  ['an encrypted message', message('<body>cannot be read</body>'), { kind: 'encrypted' }, 0, { content: 'cannot be read' }],
  ['a message without text', message(''), {}, 0, { content: '' }],
  ['a member who left', ended(''), { direction: 'out', kind: 'room-left' }, 1504, { group, quitUser: bob, operationTime }],
  [
    'a removed member',
    ended(''),
    { direction: 'out', kind: 'room-removed' },
    1508,
    { group, opUser: room, kickedUserList: [bob], operationTime },
  ],
  ['a destroyed room', ended('<destroy/>'), { direction: 'out', kind: 'room-destroyed' }, 1511, { group, opUser: room, operationTime }],
] as const)('the content of %s is the JSON of its element', (_, stanza, given, contentType, element) => {
  const question = ask(stanza, given);
  expect([question.contentType, JSON.parse(question.content)]).toEqual([contentType, element]);
});

test.each([
  ['iOS-17', 1, 'IOS'],
  ['android', 2, 'Android'],
  ['HarmonyOS', 11, 'HarmonyOS'],
  ['phone', 0, ''],
])('a client with the resource %s has the platform %i', (resource, platformID, platform) => {
  expect(ask(message('', { from: `alice@localhost/${resource}` }))).toMatchObject({ platformID, platform });
});
