import { describe, expect, test } from 'vitest';
import { attachTap, type TapPusher } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';

/** Items for users who come online or go offline. */
export function reportsStatusChanges(server: TapServer): void {
  describe.skipIf(!server.isHere)(`status items of the tap of ${server.name}`, () => {
    test('a user is online from the first available client to the end of the last', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using watcher = await chat.connect({ user: 'carol', resource: 'watch' });
      await using phone = await chat.connect({ user: 'alice', resource: 'phone', available: false });
      phone.send('<presence><show>chat</show><priority>3</priority></presence>');
      await phone.next(({ name }) => name === 'presence');
      await using desk = await chat.connect({ user: 'alice', resource: 'desk' });
      await phone.close();
      await desk.close();

      const items = [];
      for (let left = 3; left > 0; left -= 1) items.push(await pusher.item());
      expect(items.map(({ marks }) => `${marks['dir']} ${marks['status']} ${marks['session']}`)).toEqual([
        'status online carol@localhost/watch',
        'status online alice@localhost/phone',
        'status offline alice@localhost/desk',
      ]);
      const [, online, offline] = items.map(({ stanza }) => stanza);
      expect([online?.name, online?.attrs['from'], online?.attrs['type'], online?.attrs['to']]).toEqual([
        'presence',
        'alice@localhost/phone',
        undefined,
        undefined,
      ]);
      expect([online?.text('show'), online?.text('priority')]).toEqual(['chat', '3']);
      expect([offline?.name, offline?.attrs['from'], offline?.attrs['type']]).toEqual(['presence', 'alice@localhost/desk', 'unavailable']);
      expect(await statuses(pusher, watcher)).toEqual([]);
    });

    test('a client that becomes unavailable and available again takes its user offline and back; other presence changes do not', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      for (const presence of ['<presence><show>away</show></presence>', "<presence type='unavailable'/>", '<presence/>'])
        alice.send(presence);
      alice.send("<presence to='bob@localhost' type='unavailable'/>");

      expect(await statuses(pusher, alice)).toEqual(['online alice/phone', 'offline alice/phone', 'online alice/phone']);
    });

    test('a lost connection takes its user offline', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await alice.cut();

      expect((await pusher.item()).marks).toMatchObject({ dir: 'status', status: 'online' });
      expect((await pusher.item()).marks).toMatchObject({ dir: 'status', status: 'offline', session: 'alice@localhost/phone' });
    });

    test('a user in the resumption timeout is online until the timeout ends', async () => {
      await using chat = await server.start({ resumptionSeconds: 2 });
      await using pusher = await attachTap(chat, 'message status');
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await using alice = await chat.connect({ user: 'alice', resource: 'train' });
      alice.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
      await alice.next(({ name }) => name === 'enabled');
      await alice.cut();
      await chat.lostUser(alice.jid);

      expect(await statuses(pusher, bob)).toEqual(['online bob/desk', 'online alice/train']);
      expect((await pusher.item()).marks).toMatchObject({ dir: 'status', status: 'offline', session: 'alice@localhost/train' });
    });

    test('a client without presence has no status items', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using mute = await chat.connect({ user: 'alice', resource: 'mute', available: false });
      mute.send("<presence type='unavailable'/>");
      await mute.close();
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });

      expect(await statuses(pusher, bob)).toEqual(['online bob/desk']);
    });

    test('there are no status items without `status` in `want`', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.send("<presence type='unavailable'/>");

      expect(await statuses(pusher, alice)).toEqual([]);
    });
  });
}

/** The status items before a last message of `speaker`, in short. */
async function statuses(pusher: TapPusher, speaker: XmppUser): Promise<string[]> {
  speaker.sendChat('nobody@localhost', 'the last word');
  const items = await pusher.itemsUntil('the last word');
  return items.map(({ marks }) => `${marks['status']} ${marks['session']?.replace('@localhost', '')}`);
}
