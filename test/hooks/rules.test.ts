import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import { createGlobReader } from '../../src/hooks/globs.ts';
import { compileTests, compileWhen } from '../../src/hooks/rules.ts';
import type { Packet } from '../../src/model/packet.ts';
import { effort } from '../sources/fuzz/effort.ts';
import { arbitraryPacket, arbitraryWhen } from '../support/arbitrary-rules.ts';
import { chat, makeJid, makePacket } from '../support/make-packet.ts';

const message = (attrs: string, payload = '') => makePacket({ stanza: `<message xmlns='jabber:client' ${attrs}>${payload}</message>` });
const presence = (attrs: string) => makePacket({ stanza: `<presence xmlns='jabber:client' ${attrs}/>`, kind: 'presence' });

const status: Packet = { ...presence(''), event: 'status', kind: 'status' };
const unack: Packet = makePacket({ direction: 'out', event: 'unack', sessions: 1 });
const heard: Packet = { ...message("type='groupchat'"), direction: 'out', sessions: 1 };
const absent: Packet = { ...heard, occupant: false };
const created: Packet = { ...presence(''), event: 'room-created', kind: 'life', to: makeJid('tea@rooms.localhost') };
const inRoom = makePacket({ direction: 'out', stanza: "<message xmlns='jabber:client' type='groupchat' from='r1@rooms/al'/>" });
const stored = makePacket({ direction: 'out', sessions: 0 });

describe('a `when`', () => {
  const table: [string, When, Packet, Packet][] = [
    ['direction', { direction: ['out'] }, makePacket({ direction: 'out' }), makePacket({ direction: 'in' })],
    ['stanza', { stanza: ['presence', 'iq'] }, presence(''), message('')],
    ['type', { type: ['chat', 'groupchat'] }, message("type='groupchat'"), message("type='headline'")],
    ['type of a message without one', { type: ['normal'] }, message(''), presence('')],
    ['type of a presence without one', { type: ['available'] }, presence(''), presence("type='unavailable'")],
    ['kind', { kind: ['reaction'] }, makePacket({ kind: 'reaction' }), makePacket()],
    ['event', { event: ['groupchat', 'normal'] }, message(''), message("type='chat'")],
    ['event of another stanza', { event: ['presence'] }, presence("type='chat'"), message('')],
    ['the event status', { event: ['status'] }, status, presence('')],
    ['the event unack', { event: ['unack'] }, unack, makePacket({ direction: 'out' })],
    ['absent members', { occupant: false }, absent, heard],
    ['occupants', { event: ['groupchat'], occupant: true }, heard, absent],
    ['absent members or the offline', { any: [{ occupant: false }, { offline: true }] }, absent, heard],
    ['a life event', { event: ['room-created', 'room-left'] }, created, makePacket({ event: 'room-joined', kind: 'life' })],
    ['the kind of life events', { kind: ['life'] }, created, presence('')],
    ['a life event in a room', { kind: ['life'], room: ['tea@*'] }, created, { ...created, event: 'account-deleted' }],
    ['the kind status', { kind: ['status', 'message'] }, status, presence('')],
    ['the event offline', { event: ['offline'] }, stored, makePacket({ direction: 'out', sessions: 1 })],
    ['the event offline, of messages only', { event: ['offline'] }, stored, { ...presence(''), direction: 'out', sessions: 0 }],
    ['the event offline, of outgoing messages', { event: ['offline'] }, stored, makePacket({ sessions: 0 })],
    ['the event offline, not of a report', { event: ['offline', 'unack'], offline: true }, { ...unack, sessions: 0 }, unack],
    ['one event of several', { event: ['offline', 'chat'] }, makePacket(), message("type='groupchat'")],
    ['event and kind', { event: ['unack'], kind: ['reaction'] }, { ...unack, kind: 'reaction' }, unack],
    ['body', { body: true }, makePacket(), makePacket({ stanza: chat('') })],
    ['a body with text for people', { body: true }, makePacket(), makePacket({ kind: 'encrypted' })],
    ['no body', { body: false }, message('', '<subject>Hi</subject>'), makePacket()],
    ['the first body', { body: false }, message('', '<body/><body>second</body>'), makePacket()],
    ['from', { from: ['*@localhost'] }, message("from='al@localhost/a'"), message("from='al@localhost.example/a'")],
    ['to', { to: ['b?b@*', 'localhost'] }, message("to='bob@other'"), message("to='boob@other'")],
    ['to of a domain', { to: ['localhost'] }, message("to='localhost/resource'"), message("to='bob@localhost'")],
    ['globs with other wildcards in them', { to: ['a.c+@x'] }, message("to='a.c+@x'"), message("to='abcc@x'")],
    ['globs in upper case', { from: ['AlIcE@LocalHost'] }, makePacket(), message("from='eve@localhost'")],
    [
      'globs that are prepared as JIDs',
      { from: ['ŻÓŁĆ@*.XN--MNCHEN-3YA.example', 'STRAßE@xn--mnchen-3ya'] },
      message("from='strasse@münchen'"),
      message("from='straße@münchen'"),
    ],
    ['offline', { offline: true }, makePacket({ sessions: 0 }), makePacket({ sessions: 1 })],
    ['offline with an unknown number of sessions', { offline: false }, makePacket(), makePacket({ sessions: 0 })],
    ['delayed', { delayed: true }, makePacket({ delayed: 0 }), makePacket()],
    ['not delayed', { delayed: false }, makePacket(), makePacket({ delayed: 0 })],
    ['has', { has: ['urn:a', 'urn:b'] }, message('', "text<x xmlns='urn:b'/>"), message('', "<x xmlns='urn:c'><y xmlns='urn:a'/></x>")],
    ['the start of the text', { text: ['Hi*'] }, makePacket(), makePacket({ stanza: chat('hi, Bob!') })],
    ['text in several lines', { text: ['a*b*c'] }, makePacket({ stanza: chat('a\n\r\nb\nc') }), makePacket({ stanza: chat('a\nb\ncd') })],
    ['one of several texts', { text: ['no', '*B?b*'] }, makePacket(), makePacket({ stanza: chat('yes') })],
    ['the first text', { text: ['*second*'] }, message('', '<body>second</body>'), message('', '<body/><body>second</body>')],
    ['any text', { text: ['*'] }, makePacket({ kind: 'encrypted' }), message('', '<subject>Hi</subject>')],
    [
      'text of messages only',
      { text: ['*'] },
      makePacket(),
      makePacket({ stanza: "<presence xmlns='jabber:client'><body>Hi</body></presence>" }),
    ],
    ['sender', { sender: ['ALICE@*'] }, makePacket(), message("from='eve@localhost'")],
    ['sender in a room', { sender: ['alice@localhost'] }, { ...inRoom, sender: makeJid('alice@localhost') }, inRoom],
    ['unknown sender in a room', { sender: ['r1@rooms'] }, inRoom, { ...inRoom, sender: makeJid('alice@localhost') }],
    [
      'room of a routed message',
      { room: ['r?@rooms'] },
      inRoom,
      makePacket({ direction: 'out', stanza: chat('Hi').replace('alice@localhost', 'r1@rooms') }),
    ],
    [
      'room of a sent message',
      { room: ['r1@ROOMS'] },
      message("type='groupchat' to='r1@rooms'"),
      message("type='groupchat' to='r2@rooms'"),
    ],
    ['not', { not: { type: ['chat'] } }, message(''), makePacket()],
    ['not with several keys', { not: { type: ['chat'], text: ['x*'] } }, makePacket(), makePacket({ stanza: chat('x') })],
    ['not with a room', { not: { room: ['*'] } }, makePacket(), inRoom],
    ['not with not', { not: { not: { type: ['chat'] } } }, makePacket(), message('')],
    ['not with any', { not: { any: [{ type: ['normal'] }, { text: ['x'] }] } }, makePacket(), makePacket({ stanza: chat('x') })],
    ['any', { any: [{ type: ['normal'] }, { text: ['x'] }] }, makePacket({ stanza: chat('x') }), makePacket()],
    ['any and a key', { direction: ['in'], any: [{ type: ['chat'] }] }, makePacket(), makePacket({ direction: 'out' })],
    ['any with a report', { any: [{ event: ['status'] }, { type: ['chat'] }] }, status, unack],
    ['any of a named report', { event: ['unack', 'chat'], any: [{ to: ['bob@localhost'] }] }, unack, status],
    ['not of a named report', { event: ['unack'], not: { offline: true } }, unack, { ...unack, sessions: 0 }],
    ['several keys', { direction: ['in'], type: ['chat'] }, makePacket(), makePacket({ direction: 'out' })],
  ];

  test.each(table)('by %s matches one packet and not the other', (_, when, matching, other) => {
    const rule = compileWhen(when).matches;

    expect(rule(matching)).toBe(true);
    expect(rule(other)).toBe(false);
  });

  test('without a key matches every stanza', () => {
    expect(compileWhen({}).matches(presence(''))).toBe(true);
  });

  test.each([
    ['nothing', {}],
    ['stanza, kind and direction', { stanza: ['message', 'presence'], kind: ['message', 'presence'], direction: ['in', 'out'] }],
    ['another event', { event: ['chat', 'presence'] }],
    ['offline', { event: ['offline'], offline: true }],
    ['a report in `not`', { not: { event: ['status'], occupant: false } }],
    ['occupants', { occupant: true }],
    ['a report in another alternative', { any: [{ event: ['status', 'unack'], type: ['error'] }, {}] }],
  ] satisfies [string, When][])('that names %s matches no report and no absent member', (_, when) => {
    const rule = compileWhen(when).matches;
    expect([rule(status), rule({ ...unack, sessions: 0 }), rule(created), rule({ ...absent, sessions: 0 })]).toEqual([
      ...[false, false, false, false],
    ]);
  });

  test('that names one report does not match the other', () => {
    expect(compileWhen({ event: ['status'] }).matches(unack)).toBe(false);
    expect(compileWhen({ event: ['unack'] }).matches(status)).toBe(false);
    expect(compileWhen({ kind: ['status'], event: ['unack'] }).matches(status)).toBe(false);
  });

  test('with an empty list matches nothing', () => {
    expect(compileWhen({ kind: [] }).matches(makePacket())).toBe(false);
  });
});

/** Shared, because its tables take 5 ms. */
const readGlob = createGlobReader();

/** Nested rules from the definition: single keys are compiled, their combination is not. `named`: reports that the rules around these name. */
function oracle({ not, any, ...keys }: When, packet: Packet, named: readonly string[]): boolean {
  const all = [
    ...named,
    ...(keys.event ?? []),
    ...(keys.kind?.includes('status') === true ? ['status'] : []),
    ...(keys.occupant === false ? ['absent'] : []),
  ];
  if (!Object.entries(keys).every(([key, value]) => compileTests({ [key]: value }, readGlob).matches(packet))) return false;
  if (not !== undefined && oracle(not, packet, ['status', 'unack', 'absent'])) return false;
  if (any !== undefined) return any.some((alternative) => oracle(alternative, packet, all));
  if (packet.occupant === false && !all.includes('absent')) return false;
  return !['status', 'unack'].includes(packet.event) || all.includes(packet.event);
}

test('nested rules match as they are defined', () => {
  let matching = 0;
  fc.assert(
    fc.property(arbitraryWhen, fc.array(arbitraryPacket, { minLength: 10, maxLength: 10 }), (when, packets) => {
      const rules = compileWhen(when, readGlob);
      for (const packet of packets) {
        const expected = oracle(when, packet, []);
        matching += Number(expected);
        expect(rules.matches(packet)).toBe(expected);
        if (expected) expect(rules.matchesShape(packet)).toBe(true);
      }
    }),
    effort(600),
  );
  expect(matching).toBeGreaterThan(100);
});
