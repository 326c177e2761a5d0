import { expect, test } from 'vitest';
import { Stays } from '../../src/packet/room.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';

function presence(nick: string, codes: readonly number[], { type = '', to = 'bob@localhost/desk' } = {}) {
  const statuses = codes.map((code) => `<status code='${code}'/>`).join('');
  const kind = type === '' ? '' : ` type='${type}'`;
  return parseStanza(
    `<presence xmlns='jabber:client'${kind} from='tea@rooms.example/${nick}' to='${to}'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/>${statuses}</x></presence>`,
  );
}

const kick = { type: 'unavailable' };

test('who was seen to enter a room is known by nickname when the room says that one is removed', () => {
  const stays = new Stays();
  stays.observe(presence('Bob', [110]), 'out');
  stays.observe(presence('Al', []), 'out'); // another occupant
  expect(stays.observe(presence('Al', [307], kick), 'out')).toBe(false);
  expect(stays.observe(presence('Bob', [307], { ...kick, to: 'carol@localhost/x' }), 'out')).toBe(false);
  expect(stays.observe(presence('Bob', [307], kick), 'out')).toBe(true);
  expect(stays.observe(presence('Bob', [307], kick), 'out')).toBe(false);
});

test('a new nickname takes the place of the old one', () => {
  const stays = new Stays();
  for (const nick of ['Bob', 'Robert']) stays.observe(presence(nick, [110]), 'out');
  expect(stays.observe(presence('Bob', [301], kick), 'out')).toBe(false);
  expect(stays.observe(presence('Robert', [301], kick), 'out')).toBe(true);
});

test('what a user sends enters no room', () => {
  const stays = new Stays();
  stays.observe(presence('Bob', [110]), 'in');
  expect(stays.observe(presence('Bob', [307], kick), 'out')).toBe(false);
});
