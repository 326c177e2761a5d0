import { describe, expect, test } from 'vitest';
import { adminQuery, reportsLifeEvents } from '../conformance/tap-life.ts';
import { enter } from '../conformance/tap-rooms.ts';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { attachTap } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();
reportsLifeEvents(ejabberd);

describe.skipIf(!ejabberd.isHere)('affiliations in ejabberd', () => {
  test('are compared only after requests of owners and admins: a comparison copies the whole state of the room', async () => {
    await using chat = await ejabberd.startWith({ rooms: 'rooms.localhost', ...inTrouble('busy') });
    await using _pusher = await attachTap(chat, 'rooms');
    await using alice = await chat.connect({ user: 'alice' });
    await using bob = await chat.connect({ user: 'bob' });
    await enter(alice, 'tea@rooms.localhost');
    const request = adminQuery("<item affiliation='owner' jid='bob@localhost'/>");
    for (let count = 0; count < 5; count += 1) await bob.ask(request, 'tea@rooms.localhost');
    await alice.ask(request, 'tea@rooms.localhost');
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    await eventually(() => expect(/(\d+) messages wait for the process of rooms/.exec(chat.logs())?.[1]).toBe('1'));
  });
});
