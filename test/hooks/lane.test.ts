import { expect, test } from 'vitest';
import { laneOf } from '../../src/hooks/lane.ts';
import { makeJid, makePacket } from '../support/make-packet.ts';

test('question and answer share the lane of their conversation', () => {
  const question = laneOf(makePacket({ stanza: between('alice@localhost/a', 'bob@localhost') }), 'h', 'conversation');
  const answer = laneOf(makePacket({ stanza: between('bob@localhost/b', 'alice@localhost/a'), direction: 'out' }), 'h', 'conversation');

  expect(question).toBe('h alice@localhost bob@localhost');
  expect(answer).toBe(question);
});

test('all messages of a room share its lane, coming in and going out', () => {
  const sent = makePacket({ stanza: between('alice@localhost/a', 'room@muc', 'groupchat') });
  const heard = makePacket({ stanza: between('room@muc/bob', 'alice@localhost/a', 'groupchat'), direction: 'out' });

  expect(laneOf(sent, 'h', 'conversation')).toBe('h room@muc');
  expect(laneOf(heard, 'h', 'conversation')).toBe('h room@muc');
});

test('each handler has lanes of its own', () => {
  expect(laneOf(makePacket(), 'a', 'conversation')).not.toBe(laneOf(makePacket(), 'b', 'conversation'));
});

test('by sender, all that one person sends shares a lane', () => {
  const toBob = makePacket({ stanza: between('alice@localhost/a', 'bob@localhost') });
  const toEve = makePacket({ stanza: between('alice@localhost/b', 'eve@localhost') });

  expect(laneOf(toBob, 'h', 'sender')).toBe('h alice@localhost');
  expect(laneOf(toEve, 'h', 'sender')).toBe('h alice@localhost');
});

test('by sender, what is known to be said in a room by that person is among it', () => {
  const heard = between('room@muc/nick', 'bob@localhost', 'groupchat');

  expect(laneOf(makePacket({ stanza: heard, direction: 'out', sender: makeJid('alice@localhost') }), 'h', 'sender')).toBe(
    'h alice@localhost',
  );
  expect(laneOf(makePacket({ stanza: heard, direction: 'out' }), 'h', 'sender')).toBe('h room@muc');
});

test('without an order there is no lane', () => {
  expect(laneOf(makePacket(), 'h', 'none')).toBeNull();
});

function between(from: string, to: string, type = 'chat'): string {
  return `<message xmlns='jabber:client' type='${type}' from='${from}' to='${to}'><body>Hi</body></message>`;
}
