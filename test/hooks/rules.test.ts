import { describe, expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import { compileWhen } from '../../src/hooks/rules.ts';
import type { Packet } from '../../src/model/packet.ts';
import { chat, makePacket } from '../support/make-packet.ts';

const message = (attrs: string, payload = '') => makePacket({ stanza: `<message xmlns='jabber:client' ${attrs}>${payload}</message>` });
const presence = (attrs: string) => makePacket({ stanza: `<presence xmlns='jabber:client' ${attrs}/>`, kind: 'presence' });

const status: Packet = { ...presence(''), event: 'status', kind: 'status' };
const unack: Packet = makePacket({ direction: 'out', event: 'unack', sessions: 1 });
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
  ] satisfies [string, When][])('that names %s matches no report', (_, when) => {
    const rule = compileWhen(when).matches;
    expect([rule(status), rule({ ...unack, sessions: 0 })]).toEqual([false, false]);
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
