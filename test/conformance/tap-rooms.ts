import { describe, expect, test } from 'vitest';
import { findChild } from '../../src/packet/xml/element.ts';
import { attachTap, formatItem, seen, type TapPusher, type TappedItem } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';

const tea = 'tea@rooms.localhost';

/** Items of rooms on the tapped server. */
export function reportsSendersInRooms(server: TapServer): void {
  describe.skipIf(!server.isHere)(`room items of the tap of ${server.name}`, () => {
    test('a message in a room is one `in`, and one `out` per occupant', async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost' });
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      for (const user of [alice, bob]) await enter(user, tea);
      await seen(pusher, alice);
      alice.send("<message to='tea@rooms.localhost' type='groupchat'><body>Milk?</body></message>");
      for (const user of [alice, bob]) await user.next((stanza) => stanza.text('body') === 'Milk?');

      const items = (await seen(pusher, alice)).filter((item) => item.includes('Milk?'));
      expect(items.sort()).toEqual([
        'in alice/phone > tea@rooms.localhost: Milk?',
        'out tea@rooms.localhost/alice > alice/phone: Milk? (1)',
        'out tea@rooms.localhost/alice > bob/desk: Milk? (1)',
      ]);
    });

    test('each `out` of a room names the account behind the nickname', async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost' });
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: "o'phone" });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await enter(alice, tea, 'Queen of Hearts');
      await enter(bob, tea, 'alice');
      await seen(pusher, alice);
      for (const [user, body] of [
        [alice, 'Off with his head!'],
        [bob, 'More tea?'],
      ] as const) {
        user.send(`<message to='${tea}' type='groupchat'><body>${body}</body></message>`);
        for (const one of [alice, bob]) await one.next((stanza) => stanza.text('body') === body);
      }

      expect((await itemsBefore(pusher, alice)).map(withSender).sort()).toEqual([
        "in alice/o'phone > tea@rooms.localhost: Off with his head!, no sender",
        'in bob/desk > tea@rooms.localhost: More tea?, no sender',
        "out tea@rooms.localhost/Queen of Hearts > alice/o'phone: Off with his head! (1), alice@localhost",
        'out tea@rooms.localhost/Queen of Hearts > bob/desk: Off with his head! (1), alice@localhost',
        "out tea@rooms.localhost/alice > alice/o'phone: More tea? (1), bob@localhost",
        'out tea@rooms.localhost/alice > bob/desk: More tea? (1), bob@localhost',
      ]);
    });

    test('a private message in a room, a subject and a message between users have no `sender`', async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost' });
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await enter(alice, tea, 'Alice');
      alice.send(`<message to='${tea}' type='groupchat'><subject>Manners</subject></message>`);
      await alice.next((stanza) => stanza.text('subject') === 'Manners');
      await enter(bob, tea, 'Bob'); // and receives the subject
      alice.send(`<message to='${tea}/Bob' type='chat'><body>Psst</body></message>`);
      alice.sendChat(bob.bare, 'Hello');
      for (const body of ['Psst', 'Hello']) await bob.next((stanza) => stanza.text('body') === body);

      const items = await itemsBefore(pusher, alice);
      expect(items.filter(({ stanza }) => stanza?.text('subject') === 'Manners').length).toBeGreaterThan(2);
      expect(items.filter(({ marks }) => marks['sender'] !== undefined)).toEqual([]);
    });
  });
}

/** All items before a last message of `speaker`, which has no receiver. */
function itemsBefore(pusher: TapPusher, speaker: XmppUser): Promise<TappedItem[]> {
  speaker.sendChat('nobody@localhost', 'the last word');
  return pusher.itemsUntil('the last word');
}

function withSender(item: TappedItem): string {
  return `${formatItem(item)}, ${item.marks['sender'] ?? 'no sender'}`;
}

export async function enter(user: XmppUser, room: string, nick = user.bare.split('@', 1)[0]): Promise<void> {
  user.send(`<presence to='${room}/${nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await user.next((stanza) => findChild(stanza, 'subject') !== undefined);
}
