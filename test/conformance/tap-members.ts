import { describe, expect, test } from 'vitest';
import { connectTapPusher, formatItem, type TapPusher, type TappedItem } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';
import { adminQuery, leave } from './tap-life.ts';
import { enter } from './tap-rooms.ts';

const tea = 'tea@rooms.localhost';

/** Items for members of a room who are not in it. */
export function copiesForAbsentMembers(server: TapServer): void {
  describe.skipIf(!server.isHere)(`items for absent members from the tap of ${server.name}`, () => {
    test('each member has one `out` of a message, by the room or by the tap, with its speaker and the number of clients', async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost' });
      await using pusher = await connectTapPusher(chat.component);
      await pusher.request({ epoch: '', h: 0, want: 'message members', dir: 'out' });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await enter(alice, tea, 'Queen of Hearts');
      await enter(bob, tea, 'Bob');
      for (const jid of ['bob@localhost', 'nobody@localhost', 'dinah@elsewhere']) await affiliate(alice, jid, 'member');
      await affiliate(alice, 'carol@localhost', 'admin');
      await say(alice, 'both here', "<active xmlns='http://jabber.org/protocol/chatstates'/>");
      await leave(bob, `${tea}/Bob`);
      await say(alice, "bob isn't <here>");
      await affiliate(alice, 'carol@localhost', 'none');
      await say(alice, 'carol is gone');

      const heard = (await untilTheEnd(pusher, alice)).filter(({ stanza }) => stanza?.text('body') !== '');
      expect(heard.map(inShort).sort()).toEqual([
        "alice/phone: bob isn't <here> (1)",
        'alice/phone: both here (1)',
        'alice/phone: carol is gone (1)',
        "bob, absent: bob isn't <here> (1)",
        'bob, absent: carol is gone (1)',
        'bob/desk: both here (1)',
        "carol, absent: bob isn't <here> (0)",
        'carol, absent: both here (0)',
      ]);
      expect(new Set(heard.map(({ marks }) => marks['sender']))).toEqual(new Set(['alice@localhost']));
      const [heardInside, heardOutside] = ['alice@localhost/phone', 'carol@localhost'].map(
        (to) => heard.find(({ stanza }) => stanza?.attrs['to'] === to)?.stanza,
      );
      expect(heardOutside?.attrs).toEqual({ ...heardInside?.attrs, to: 'carol@localhost' });
      expect(heardOutside?.children.map((child) => (typeof child === 'string' ? child : child.xml))).toEqual(
        heardInside?.children.map((child) => (typeof child === 'string' ? child : child.xml)),
      );

      await pusher.request({ epoch: '', h: 0, want: 'members', dir: 'in' });
      await untilTheEnd(pusher); // all are sent again
      await affiliate(alice, 'carol@localhost', 'owner');
      await affiliate(alice, 'bob@localhost', 'none');
      await say(alice, 'only for carol');
      expect(inShort(await pusher.item())).toBe('carol, absent: only for carol (0)');
    });

    test('are dropped before messages when the queue is full: any user can make as many members as there are accounts', async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost', queueBytes: Math.round(5.5 * server.messageBytes) });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await enter(alice, tea);
      for (const user of ['bob', 'carol']) await affiliate(alice, `${user}@localhost`, 'member');
      const request = { h: 0, want: 'message members', dir: 'out' };
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.request({ ...request, epoch: '' });
      await pusher.cut();
      await chat.lostComponent();
      alice.sendChat('carol@localhost', `kept ${'x'.repeat(2000)}`);
      for (const number of [1, 2]) await say(alice, `tea ${number} ${'x'.repeat(2000)}`); // with two copies each

      await using back = await connectTapPusher(chat.component);
      await back.request({ ...request, epoch });
      const isOurs = ({ stanza }: TappedItem) => /^(kept|tea)/.test(stanza?.text('body') ?? '');
      let item = await back.item();
      while (!isOurs(item)) item = await back.item();
      expect(item.stanza?.text('body')).toMatch(/^kept/);
    });
  });
}

export async function say(user: XmppUser, body: string, extra = ''): Promise<void> {
  const text = body.replaceAll('<', '&lt;');
  user.send(`<message to='${tea}' type='groupchat' id='${body.length}'><body>${text}</body>${extra}</message>`);
  await user.next((stanza) => stanza.text('body') === body);
}

async function affiliate(owner: XmppUser, jid: string, affiliation: string): Promise<void> {
  await owner.ask(adminQuery(`<item affiliation='${affiliation}' jid='${jid}'/>`), tea);
}

/** The items before a last message of the user, or of the one who sent it before. */
async function untilTheEnd(pusher: TapPusher, user?: XmppUser): Promise<TappedItem[]> {
  user?.sendChat(user.bare, 'the end');
  return pusher.itemsUntil('the end');
}

/** `carol, absent: Hi (0)` */
function inShort(item: TappedItem): string {
  const [, to = ''] = formatItem(item).split(' > ');
  return item.occupant === false ? to.replace(':', ', absent:') : to;
}
