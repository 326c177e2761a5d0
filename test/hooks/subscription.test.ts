import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { When } from '../../src/config/config.ts';
import { createGlobReader } from '../../src/hooks/globs.ts';
import { compileWhen } from '../../src/hooks/rules.ts';
import { subscriptionOf } from '../../src/hooks/subscription.ts';
import type { Packet } from '../../src/model/packet.ts';
import { eventOf } from '../../src/packet/kind.ts';
import { effort } from '../sources/fuzz/effort.ts';
import { arbitraryPacket, arbitraryWhen } from '../support/arbitrary-rules.ts';
import { makeHandler } from '../support/make-handler.ts';

const own = { shouldMakeReq: () => true };

test.each<[string, When, string]>([
  ['stanza', { stanza: ['iq', 'message'] }, 'message iq'],
  ['types of messages', { type: ['chat', 'normal'] }, 'message'],
  ['types that other stanzas have too', { type: ['chat', 'error'] }, 'message presence iq'],
  ['a body', { body: true }, 'message'],
  ['kinds', { kind: ['reaction', 'status'] }, 'message status'],
  ['a kind that is a stanza', { kind: ['presence'] }, 'presence'],
  ['events', { event: ['iq', 'status', 'chat', 'unack'] }, 'message iq status unack'],
  ['only a report', { event: ['unack'] }, 'unack'],
  ['offline receivers', { event: ['offline'] }, 'message'],
  ['reports with a kind', { event: ['status', 'unack'], kind: ['reaction'] }, 'unack'],
  ['reports with a stanza', { event: ['status', 'unack'], stanza: ['presence'] }, 'status'],
  ['reports with a direction', { event: ['status', 'unack', 'presence'], direction: ['out'] }, 'presence unack'],
  ['reports with a body', { event: ['status', 'unack'], body: true }, 'unack'],
  ['life events', { event: ['room-left', 'account-deleted'] }, 'rooms accounts'],
  ['life events of rooms', { event: ['room-created', 'chat'], direction: ['in'] }, 'message rooms'],
  ['life events as a kind', { kind: ['life'] }, 'rooms accounts'],
  ['life events in a room', { kind: ['life'], room: ['tea@*'] }, 'rooms'],
  ['life events that no tap reports so', { event: ['room-left'], direction: ['out'] }, 'message'],
  ['a kind with the name of a life event', { kind: ['room-left'] }, 'presence'],
  ['absent members', { occupant: false }, 'members'],
  ['absent members, and other messages', { event: ['groupchat'], any: [{ occupant: false }, { offline: true }] }, 'message members'],
  ['absent members around alternatives', { occupant: false, any: [{ room: ['tea@*'] }, { body: true }] }, 'members'],
  ['absent members of a room, offline', { event: ['offline'], occupant: false, room: ['tea@*'] }, 'members'],
  ['absent members and life events', { any: [{ occupant: false, direction: ['out'] }, { kind: ['life'] }] }, 'members rooms accounts'],
  ['occupants', { event: ['groupchat'], occupant: true }, 'message'],
  ['excluded absent members', { event: ['groupchat'], not: { occupant: false } }, 'message'],
  ['text', { text: ['a*'] }, 'message'],
  ['rooms', { room: ['a@*'], event: ['presence', 'chat'] }, 'message'],
  ['senders', { sender: ['a@*'] }, 'message presence iq'],
  ['alternatives', { any: [{ event: ['unack'] }, { text: ['a'] }, { kind: ['status'] }] }, 'message status unack'],
  ['alternatives of reports', { event: ['status', 'chat'], any: [{ from: ['a'] }, { body: true }] }, 'message status'],
  ['alternatives of a stanza', { stanza: ['iq'], any: [{ type: ['get'] }, { event: ['presence'] }] }, 'iq'],
  ['excluded stanzas', { not: { stanza: ['iq'] } }, 'message presence iq'],
  ['excluded text', { stanza: ['message'], not: { text: ['a'] } }, 'message'],
  ['only a direction', { direction: ['out'] }, 'message presence iq'],
])('a handler with rules for %s subscribes to the packets that can match', (_, when, want) => {
  expect(subscriptionOf([makeHandler({ when }, own)]).want).toBe(want);
});

test.each<[string, When, string]>([
  ['no direction', { stanza: ['message'] }, 'in out'],
  ['one direction', { direction: ['out'] }, 'out'],
  ['both directions', { direction: ['out', 'in'] }, 'in out'],
  ['offline receivers', { offline: true }, 'out'],
  ['receivers that are not offline', { offline: false }, 'in out'],
  ['the event of offline receivers', { event: ['offline', 'unack'] }, 'out'],
  ['the event of offline receivers, and another', { event: ['offline', 'chat'] }, 'in out'],
  ['a kind', { kind: ['room-left', 'status'] }, 'in out'],
  ['alternatives', { any: [{ direction: ['in'] }, { offline: true }] }, 'in out'],
  ['alternatives of one direction', { any: [{ offline: true }, { direction: ['out'] }, { event: ['status'] }] }, 'out'],
  ['an excluded direction', { not: { direction: ['in'] } }, 'in out'],
  ['a report and a direction', { event: ['status', 'presence'], direction: ['in'] }, 'in'],
])('a handler with rules for %s subscribes to the directions that can match', (_, when, dir) => {
  expect(subscriptionOf([makeHandler({ when }, own)]).dir).toBe(dir);
});

test.each<[string, When]>([
  ['only reports', { event: ['status', 'unack'] }],
  ['a report as a kind', { kind: ['status'] }],
  ['absent members', { occupant: false, event: ['groupchat'] }],
  ['contradictory rules', { offline: true, direction: ['in'] }],
])('a handler with %s adds no direction to those of others', (_, when) => {
  expect(subscriptionOf([makeHandler(), makeHandler({ when }, own)]).dir).toBe('in');
});

test('without rules the built-in modules and the default `shouldMakeReq` subscribe to messages of local users', () => {
  const subscription = subscriptionOf([makeHandler(), makeHandler({}, { prepareBody: () => '' })]);
  expect(subscription).toEqual({ want: 'message', dir: 'in' });
});

test('without rules a module with its own `shouldMakeReq` subscribes to all stanzas', () => {
  expect(subscriptionOf([makeHandler(), makeHandler({}, own)])).toEqual({ want: 'message presence iq', dir: 'in out' });
});

test('contradictory rules subscribe to nothing, and do not affect other handlers', () => {
  const contradiction = makeHandler({ when: { event: ['status'], stanza: ['iq'] } });
  expect(subscriptionOf([contradiction, makeHandler({ when: { event: ['presence'] } })]).want).toBe('presence');
});

test('without handlers the subscription is messages in both directions, the default of a tap', () => {
  expect(subscriptionOf([])).toEqual({ want: 'message', dir: 'in out' });
});

/** The packet as a tap reports it: the event, the kind and the number of sessions of its stanza and direction. Undefined for other stanzas. */
function asTapped(packet: Packet): Packet | undefined {
  const tapped = asTappedOccupant(packet);
  const isCopy = tapped?.event === 'groupchat' && tapped.direction === 'out';
  return tapped?.occupant === false && !isCopy ? { ...tapped, occupant: undefined } : tapped;
}

function asTappedOccupant(packet: Packet): Packet | undefined {
  const { stanza, direction, event, kind } = packet;
  const sessions = direction === 'in' ? undefined : packet.sessions;
  if (event === 'status')
    return stanza.name === 'presence' && stanza.children.length === 0
      ? { ...packet, direction: 'in', kind: 'status', sessions: undefined }
      : undefined;
  if (event === 'unack') return stanza.name === 'message' && kind !== 'status' ? { ...packet, direction: 'out' } : undefined;
  const { name } = stanza;
  if (name === 'message')
    return { ...packet, sessions, event: eventOf(stanza), kind: kind === 'presence' || kind === 'status' ? 'message' : kind };
  if (name !== 'presence' && name !== 'iq') return undefined;
  return stanza.attrs['type'] === 'chat' ||
    stanza.attrs['type'] === 'groupchat' ||
    stanza.attrs['type'] === 'normal' ||
    stanza.children.length > 0
    ? undefined
    : { ...packet, sessions, event: name, kind: name };
}

test('every packet that matches nested rules is in the subscription', () => {
  const readGlob = createGlobReader();
  const loaded = makeHandler({}, own);
  let matching = 0;
  fc.assert(
    fc.property(arbitraryWhen, fc.array(arbitraryPacket, { minLength: 20, maxLength: 20 }), (when, packets) => {
      const { matches } = compileWhen(when, readGlob);
      const { want, dir } = subscriptionOf([{ ...loaded, config: { ...loaded.config, when } }]);
      for (const packet of packets.map(asTapped)) {
        if (packet === undefined || !matches(packet)) continue;
        matching += 1;
        const isReport = packet.event === 'status' || packet.event === 'unack';
        const word = packet.occupant === false ? 'members' : packet.stanza.name;
        expect(want.split(' ')).toContain(isReport ? packet.event : word);
        if (!isReport && packet.occupant !== false) expect(dir.split(' ')).toContain(packet.direction);
      }
    }),
    effort(600),
  );
  expect(matching).toBeGreaterThan(100);
});
