import { describe, expect, test } from 'vitest';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { attachTap, seen, tell } from '../support/tap-pusher.ts';

describe.skipIf(!(await requirePackage('prosody')))('whose messages the tap of Prosody sees', () => {
  test.each(['websocket', 'bosh'] as const)('a client over %s counts like any other', async (transport) => {
    await using prosody = await startProsody();
    await using pusher = await attachTap(prosody);
    await using alice = await prosody.connect({ user: 'alice', resource: 'web', transport });
    await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    alice.sendChat(bob.bare, 'from a browser');
    await bob.next(({ name }) => name === 'message');
    bob.sendChat(alice.jid, 'to a browser');

    expect(await seen(pusher, bob)).toEqual([
      'in alice/web > bob: from a browser',
      'out alice/web > bob: from a browser (1)',
      'in bob/desk > alice/web: to a browser',
      'out bob/desk > alice/web: to a browser (1)',
    ]);
  });

  test('a message that the server itself sends is an `out`', async () => {
    await using prosody = await startProsody();
    await using pusher = await attachTap(prosody);
    await prosody.shell(
      `> prosody.core_post_stanza(prosody.hosts.localhost,
      require "util.stanza".message({ from = "localhost", to = "bob@localhost" }, "Down at noon"))`.replaceAll('\n', ' '),
    );

    expect(tell(await pusher.item())).toBe('out localhost > bob: Down at noon (0)');
  });

  test('what goes to the component or comes from it is never tapped', async () => {
    await using prosody = await startProsody();
    await using pusher = await attachTap(prosody, 'message presence iq');
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone', available: false });
    alice.sendChat('bot@pusher.localhost', 'to the pusher');
    await pusher.inbox.next((stanza) => stanza.text('body') === 'to the pusher');
    pusher.send("<message from='bot@pusher.localhost' to='alice@localhost/phone'><body>from the pusher</body></message>");
    await alice.next((stanza) => stanza.text('body') === 'from the pusher');

    expect(await seen(pusher, alice)).toEqual([]);
  });
});
