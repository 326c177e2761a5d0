import { expect, test } from 'vitest';
import type { Stanza } from '../../src/model/packet.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { Room, type RoomOptions } from '../../src/sources/client/room.ts';
import { createFakeTimers } from '../support/fake-timers.ts';

const named = "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='alice@localhost/phone'/></x>";

test('knows the sender of a message if the room reveals it', () => {
  const { room } = enter();
  expect(room.senderOf(said('alice'), { archived: false })).toBeUndefined();
  room.presence(occupant('alice', "<item jid='alice@localhost/phone'/>"));
  expect(room.senderOf(said('alice'), { archived: false })).toBe('alice@localhost');
  room.presence(occupant('alice', '', 'unavailable'));
  expect(room.senderOf(said('alice'), { archived: false })).toBeUndefined();
});

test('trusts the JID in an archived message only in a room that is not anonymous, and never the JID in a live message', () => {
  const open = enter(['100', '110']);
  expect(open.room.senderOf(said('alice', named), { archived: true })).toBe('alice@localhost');
  expect(open.room.senderOf(said('alice', named), { archived: false })).toBeUndefined();
  const anonymous = enter(['110']);
  expect(anonymous.room.senderOf(said('alice', named), { archived: true })).toBeUndefined();
});

test('joins again after a removal, and reads missed messages', () => {
  const { room, sent, timers, calls } = enter();
  room.presence(occupant('pusher', "<status code='110'/><status code='307'/>", 'unavailable'));
  expect(room.trouble).toBe('room ops@rooms.localhost: we were removed from it');
  timers.fire();
  room.presence(occupant('pusher', "<status code='110'/>"));
  expect(sent).toHaveLength(2);
  expect(room.trouble).toBe('');
  expect(calls).toEqual(['open', 'close', 'open']);
});

test('detects that it is no longer in a restarted room', async () => {
  const { room, sent, timers } = enter();
  timers.fire();
  await new Promise(setImmediate); // the answer to the ping is a promise
  expect(room.trouble).toBe('room ops@rooms.localhost: left: not-acceptable');
  timers.fire();
  expect(sent).toHaveLength(2);
});

test('ignores the subject that a room sends to a new occupant, once', () => {
  const { room } = enter();
  const subject = parseStanza("<message xmlns='jabber:client' type='groupchat'><subject>Welcome</subject></message>");
  expect(room.isWelcome(said('alice'))).toBe(false);
  expect([room.isWelcome(subject), room.isWelcome(subject)]).toEqual([true, false]);
});

/** A room that we have joined. */
function enter(codes: readonly string[] = ['110']) {
  const sent: Stanza[] = [];
  const calls: string[] = [];
  const timers = createFakeTimers();
  const archive: RoomOptions['archive'] = {
    caughtUp: true,
    trouble: '',
    open: () => void calls.push('open'),
    close: () => void calls.push('close'),
  };
  const unknown = "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
  const room = new Room({
    jid: 'ops@rooms.localhost',
    nick: 'pusher',
    archive,
    send: (presence) => void sent.push(presence),
    request: async () => parseStanza(`<iq xmlns='jabber:client' type='error'>${unknown}</iq>`),
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
