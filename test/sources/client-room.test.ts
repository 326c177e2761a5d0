import { expect, test } from 'vitest';
import type { Stanza } from '../../src/model/packet.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import type { Archive } from '../../src/sources/client/archive.ts';
import { createRoom } from '../../src/sources/client/room.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

const named = "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='alice@localhost/phone'/></x>";

test('tells who says something where the room does', () => {
  const { room } = enter();
  expect(room.senderOf(said('alice'), { archived: false })).toBeUndefined();
  room.presence(occupant('alice', "<item jid='alice@localhost/phone'/>"));
  expect(room.senderOf(said('alice'), { archived: false })).toBe('alice@localhost');
  room.presence(occupant('alice', '', 'unavailable'));
  expect(room.senderOf(said('alice'), { archived: false })).toBeUndefined();
});

test('believes the archive about a sender only where the room is open to all, and never a live message about itself', () => {
  const open = enter(['100', '110']);
  expect(open.room.senderOf(said('alice', named), { archived: true })).toBe('alice@localhost');
  expect(open.room.senderOf(said('alice', named), { archived: false })).toBeUndefined();
  const anonymous = enter(['110']);
  expect(anonymous.room.senderOf(said('alice', named), { archived: true })).toBeUndefined();
});

test('goes in again after it was put out, and reads up what it has missed', () => {
  const { room, sent, timers, calls } = enter();
  room.presence(occupant('pusher', "<status code='110'/><status code='307'/>", 'unavailable'));
  expect(room.trouble).toBe('room ops@rooms.localhost: we were put out of it');
  timers.fire();
  room.presence(occupant('pusher', "<status code='110'/>"));
  expect(sent).toHaveLength(2);
  expect(room.trouble).toBe('');
  expect(calls).toEqual(['open', 'close', 'open']);
});

test('notices that a room which restarted no longer has us', async () => {
  const { room, sent, timers } = enter();
  timers.fire();
  await new Promise(setImmediate); // the answer to the ping is a promise
  expect(room.trouble).toBe('room ops@rooms.localhost: left: not-acceptable');
  timers.fire();
  expect(sent).toHaveLength(2);
});

test('takes the subject that it is greeted with for no message, once', () => {
  const { room } = enter();
  const subject = parseStanza("<message xmlns='jabber:client' type='groupchat'><subject>Welcome</subject></message>");
  expect(room.isWelcome(said('alice'))).toBe(false);
  expect([room.isWelcome(subject), room.isWelcome(subject)]).toEqual([true, false]);
});

/** A room that has let us in. */
function enter(codes: readonly string[] = ['110']) {
  const sent: Stanza[] = [];
  const calls: string[] = [];
  const timers = createFakeTimers();
  const archive: Archive = {
    caughtUp: true,
    trouble: '',
    open: () => void calls.push('open'),
    close: () => void calls.push('close'),
    live: () => undefined,
    item: () => undefined,
    lose: () => false,
    pull: () => undefined,
  };
  const unknown = "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
  const room = createRoom({
    room: { jid: 'ops@rooms.localhost', nick: 'pusher' },
    archive,
    send: (presence) => void sent.push(presence),
    ask: async () => parseStanza(`<iq xmlns='jabber:client' type='error'>${unknown}</iq>`),
    onChange: () => undefined,
    reconnectCapMs: 60_000,
    timers,
    random: () => 0.5,
  });
  room.join();
  room.presence(occupant('pusher', codes.map((code) => `<status code='${code}'/>`).join('')));
  return { room, sent, timers, calls };
}

function occupant(nick: string, inside: string, type?: string): Stanza {
  const kind = type === undefined ? '' : ` type='${type}'`;
  return parseStanza(
    `<presence xmlns='jabber:client' from='ops@rooms.localhost/${nick}'${kind}><x xmlns='http://jabber.org/protocol/muc#user'>${inside}</x></presence>`,
  );
}

function said(nick: string, inside = ''): Stanza {
  return parseStanza(
    `<message xmlns='jabber:client' type='groupchat' from='ops@rooms.localhost/${nick}'><body>Hi</body>${inside}</message>`,
  );
}
