import { describe, expect, test } from 'vitest';
import { attachTap, type TapPusher } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';

/** When a tap says that a user came online or went offline. */
export function tellsWhoComesAndGoes(server: TapServer): void {
  describe.skipIf(!server.isHere)(`who comes and goes, as the tap of ${server.name} tells it`, () => {
    test('the first available client makes its user online, and the last one that ends makes the user offline', async () => {
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

    test('a client that hides and shows itself takes its user offline and back, and a change of its presence does not', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      for (const presence of ['<presence><show>away</show></presence>', "<presence type='unavailable'/>", '<presence/>'])
        alice.send(presence);
      alice.send("<presence to='bob@localhost' type='unavailable'/>");

      expect(await statuses(pusher, alice)).toEqual(['online alice/phone', 'offline alice/phone', 'online alice/phone']);
    });

    test('a connection that is lost makes its user offline', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await alice.cut();

      expect((await pusher.item()).marks).toMatchObject({ dir: 'status', status: 'online' });
      expect((await pusher.item()).marks).toMatchObject({ dir: 'status', status: 'offline', session: 'alice@localhost/phone' });
    });

    test('a user whose place is kept is online until the server gives it up', async () => {
      await using chat = await server.start({ keepsPlaceSeconds: 2 });
      await using pusher = await attachTap(chat, 'message status');
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await using alice = await chat.connect({ user: 'alice', resource: 'train' });
      alice.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
      await alice.next(({ name }) => name === 'enabled');
      await alice.cut();
      await chat.missesUser(alice.jid);

      expect(await statuses(pusher, bob)).toEqual(['online bob/desk', 'online alice/train']);
      expect((await pusher.item()).marks).toMatchObject({ dir: 'status', status: 'offline', session: 'alice@localhost/train' });
    });

    test('a client that never showed itself is nobody who comes or goes', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using mute = await chat.connect({ user: 'alice', resource: 'mute', available: false });
      mute.send("<presence type='unavailable'/>");
      await mute.close();
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });

      expect(await statuses(pusher, bob)).toEqual(['online bob/desk']);
    });

    test('without `status` in `want` nothing of it is told', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.send("<presence type='unavailable'/>");

      expect(await statuses(pusher, alice)).toEqual([]);
    });
  });
}

/** What was told of comings and goings before a last word of `speaker`, in short. */
async function statuses(pusher: TapPusher, speaker: XmppUser): Promise<string[]> {
  speaker.sendChat('nobody@localhost', 'the last word');
  const items = await pusher.itemsUntil('the last word');
  return items.map(({ marks }) => `${marks['status']} ${marks['session']?.replace('@localhost', '')}`);
}
