import { describe, expect, test } from 'vitest';
import { enter, reportsSendersInRooms } from '../conformance/tap-rooms.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { attachTap } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

reportsSendersInRooms(prosody);

describe.skipIf(!prosody.isHere)('the rooms of Prosody', () => {
  test('history messages have no sender, because the nickname may have a new owner', async () => {
    await using prosody = await startProsody({ rooms: 'rooms.localhost' });
    await using pusher = await attachTap(prosody);
    const room = 'tea@rooms.localhost';
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    await using carol = await prosody.connect({ user: 'carol', resource: 'pad' });
    await enter(bob, room, 'Bob');
    await enter(alice, room, 'Hare');
    alice.send(`<message to='${room}' type='groupchat'><body>Twinkle</body></message>`);
    await bob.next((stanza) => stanza.text('body') === 'Twinkle');
    alice.send(`<presence to='${room}/Hare' type='unavailable'/>`);
    await bob.next(({ attrs }) => attrs['type'] === 'unavailable');
    await enter(carol, room, 'Hare');
    carol.sendChat('nobody@localhost', 'the end');

    const heard = (await pusher.itemsUntil('the end')).filter(({ stanza }) => stanza?.text('body') === 'Twinkle');
    expect(heard.map(({ direction, stanza, marks }) => [direction, stanza?.attrs['to'], marks['sender']])).toEqual([
      ['in', room, undefined],
      ['out', expect.stringMatching(/^(alice|bob)@/), 'alice@localhost'],
      ['out', expect.stringMatching(/^(alice|bob)@/), 'alice@localhost'],
      ['out', carol.jid, undefined],
    ]);
  });
});
