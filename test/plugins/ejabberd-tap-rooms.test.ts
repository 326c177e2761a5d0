import { describe, expect, test } from 'vitest';
import { enter, reportsSendersInRooms } from '../conformance/tap-rooms.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { attachTap } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

reportsSendersInRooms(ejabberd);

describe.skipIf(!ejabberd.isHere)('the rooms of ejabberd', () => {
  test('history messages have no sender', async () => {
    await using chat = await ejabberd.startWith({ modules: { mod_muc: { hosts: ['rooms.localhost'], history_size: 5 } } });
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    await enter(alice, 'tea@rooms.localhost', 'Hare');
    alice.send("<message to='tea@rooms.localhost' type='groupchat'><body>Twinkle</body></message>");
    await alice.next((stanza) => stanza.text('body') === 'Twinkle');
    await enter(bob, 'tea@rooms.localhost', 'Hatter');
    await bob.next((stanza) => stanza.text('body') === 'Twinkle');
    bob.sendChat('nobody@localhost', 'the end');

    const heard = (await pusher.itemsUntil('the end')).filter(({ stanza }) => stanza?.text('body') === 'Twinkle');
    expect(heard.map(({ direction, stanza, marks }) => [direction, stanza?.attrs['to'], marks['sender']])).toEqual([
      ['in', 'tea@rooms.localhost', undefined],
      ['out', alice.jid, 'alice@localhost'],
      ['out', bob.jid, undefined],
    ]);
  });
});
