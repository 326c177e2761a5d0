import { describe, expect, test } from 'vitest';
import { findChild } from '../../src/packet/xml/element.ts';
import { attachTap, formatItem, seen, type TapPusher, type TappedItem } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';

/** Messages that were sent to a client and not acknowledged before its connection was lost (XEP-0198). */
export function reportsUnacknowledgedMessages(server: TapServer): void {
  describe.skipIf(!server.isHere)(`unack items of the tap of ${server.name}`, () => {
    test('each unacknowledged message of a lost client is one item when its session ends, and no second `out`', async () => {
      await using chat = await server.start({ resumptionSeconds: 1 });
      await using pusher = await attachTap(chat, 'message unack');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'train' });
      await manage(bob);
      for (const body of ['acknowledged', 'one', 'two']) alice.sendChat(bob.bare, body);
      await bob.next((stanza) => stanza.text('body') === 'two');
      bob.send("<a xmlns='urn:xmpp:sm:3' h='1'/>");
      await bob.cut();

      const lost = await unacked(pusher, 2);
      expect(lost.map(formatItem)).toEqual(['unack alice/phone > bob: one (0)', 'unack alice/phone > bob: two (0)']);
      expect(lost.map(({ session }) => session)).toEqual(['bob@localhost/train', 'bob@localhost/train']);
      expect(lost.map(({ stanza }) => stanza && findChild(stanza, 'delay', 'urn:xmpp:delay'))).toEqual([undefined, undefined]);
      expect(await seen(pusher, alice)).toEqual([]);
    });

    test('`sessions` is the number of remaining clients of the receiver', async () => {
      await using chat = await server.start({ resumptionSeconds: 1 });
      await using pusher = await attachTap(chat, 'message unack');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
      await using train = await chat.connect({ user: 'bob', resource: 'train' });
      await manage(train);
      alice.sendChat('bob@localhost', 'to both');
      for (const client of [desk, train]) await client.next((stanza) => stanza.text('body') === 'to both');
      await train.cut();

      expect((await unacked(pusher, 1)).map(formatItem)).toEqual(['unack alice/phone > bob: to both (1)']);
    });

    test('the session of a client without resumption ends at once, and is not counted', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message unack');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'train' });
      await manage(bob, '');
      alice.sendChat(bob.jid, 'gone');
      await bob.next((stanza) => stanza.text('body') === 'gone');
      await bob.cut();

      expect((await unacked(pusher, 1)).map(formatItem)).toEqual(['unack alice/phone > bob/train: gone (0)']);
    });

    test('there are no items for carbon copies, archive results and errors, nor for a client without XEP-0198', async () => {
      await using chat = await server.start({ resumptionSeconds: 1 });
      await using pusher = await attachTap(chat, 'message unack');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
      await using train = await chat.connect({ user: 'bob', resource: 'train' });
      await train.ask("<enable xmlns='urn:xmpp:carbons:2'/>");
      alice.sendChat(desk.jid, 'to the desk');
      await desk.next((stanza) => stanza.text('body') === 'to the desk');
      await train.next((stanza) => findChild(stanza, 'received') !== undefined);
      await manage(train);
      desk.sendChat(alice.bare, 'from the desk');
      await train.next((stanza) => findChild(stanza, 'sent') !== undefined);
      await train.ask("<query xmlns='urn:xmpp:mam:2'/>");
      const error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
      alice.send(`<message type='error' to='${train.jid}'>${error}</message>`);
      await train.next(({ attrs }) => attrs['type'] === 'error');
      alice.sendChat(train.jid, 'unacknowledged');
      await train.next((stanza) => stanza.text('body') === 'unacknowledged');
      await train.cut();
      await desk.cut();

      expect((await unacked(pusher, 1)).map(formatItem)).toEqual(['unack alice/phone > bob/train: unacknowledged (0)']);
      expect((await seen(pusher, alice)).filter((item) => item.startsWith('unack'))).toEqual([]);
    });

    test('there are no unack items without `unack` in `want`', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message status');
      await using bob = await chat.connect({ user: 'bob', resource: 'train' });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await manage(bob, '');
      alice.sendChat(bob.jid, 'gone');
      await bob.next((stanza) => stanza.text('body') === 'gone');
      await bob.cut();

      const items = [];
      do items.push(await pusher.item());
      while (items.at(-1)?.marks['status'] !== 'offline');
      expect(items.map(({ direction }) => direction)).not.toContain('unack');
      expect((await seen(pusher, alice)).filter((item) => item.startsWith('unack'))).toEqual([]);
    });
  });
}

/** Enables stream management with resumption. */
async function manage(user: XmppUser, keep = "resume='true'"): Promise<void> {
  user.send(`<enable xmlns='urn:xmpp:sm:3' ${keep}/>`);
  await user.next(({ name }) => name === 'enabled');
}

/** The next `count` items of the kind; other items are ignored. */
async function unacked(pusher: TapPusher, count: number): Promise<TappedItem[]> {
  const found: TappedItem[] = [];
  while (found.length < count) {
    const item = await pusher.item();
    if (item.direction === 'unack') found.push(item);
  }
  return found;
}
