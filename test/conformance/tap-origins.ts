import { describe, expect, test } from 'vitest';
import { attachTap, formatItem, seen } from '../support/tap-pusher.ts';
import type { TapServer } from './tap.ts';

/** The origins and transports whose stanzas a tap covers. */
export function coversAllOrigins(server: TapServer): void {
  describe.skipIf(!server.isHere)(`the origins that the tap of ${server.name} covers`, () => {
    test.each(['websocket', 'bosh'] as const)('a client over %s is covered like any other', async (transport) => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'web', transport });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      alice.sendChat(bob.bare, 'from a browser');
      await bob.next(({ name }) => name === 'message');
      bob.sendChat(alice.jid, 'to a browser');
      await alice.next(({ name }) => name === 'message');

      expect(await seen(pusher, bob)).toEqual([
        'in alice/web > bob: from a browser',
        'out alice/web > bob: from a browser (1)',
        'in bob/desk > alice/web: to a browser',
        'out bob/desk > alice/web: to a browser (1)',
      ]);
    });

    test('a message of the server itself is an `out`', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await chat.announce('bob@localhost', 'Down at noon');

      expect(formatItem(await pusher.item())).toBe('out localhost > bob: Down at noon (0)');
    });

    test('stanzas to and from the component are never tapped', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message presence iq');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone', available: false });
      alice.sendChat('bot@pusher.localhost', 'to the pusher');
      await pusher.inbox.next((stanza) => stanza.text('body') === 'to the pusher');
      pusher.send("<message from='bot@pusher.localhost' to='alice@localhost/phone'><body>from the pusher</body></message>");
      await alice.next((stanza) => stanza.text('body') === 'from the pusher');

      expect(await seen(pusher, alice)).toEqual([]);
    });
  });
}
