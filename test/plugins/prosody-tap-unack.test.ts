import { describe, expect, test } from 'vitest';
import { reportsUnacknowledgedMessages } from '../conformance/tap-unack.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { attachTap, formatItem } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

reportsUnacknowledgedMessages(prosody);

describe.skipIf(!prosody.isHere)('an unacknowledged message on Prosody', () => {
  test('that arrived in the resumption timeout makes no item: its `out` did not count that client', async () => {
    await using chat = await prosody.start({ resumptionSeconds: 1 });
    await using pusher = await attachTap(chat, 'message status unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'train' });
    bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    await bob.next(({ name }) => name === 'enabled');
    alice.sendChat(bob.bare, 'before the tunnel');
    await bob.next((stanza) => stanza.text('body') === 'before the tunnel');
    await bob.cut();
    await chat.lostUser(bob.jid);
    alice.sendChat(bob.bare, 'in the tunnel');

    const items = [];
    do items.push(await pusher.item());
    while (items.at(-1)?.marks['status'] !== 'offline');
    expect(items.filter(({ stanza }) => stanza?.name === 'message').map(formatItem)).toEqual([
      'in alice/phone > bob: before the tunnel',
      'out alice/phone > bob: before the tunnel (1)',
      'in alice/phone > bob: in the tunnel',
      'out alice/phone > bob: in the tunnel (0)',
      'unack alice/phone > bob: before the tunnel (0)',
    ]);
  });

  test('that was sent after the client had resumed, and was lost again, makes an item', async () => {
    await using chat = await prosody.start({ resumptionSeconds: 3 });
    await using pusher = await attachTap(chat, 'message unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'train' });
    bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    const { attrs } = await bob.next(({ name }) => name === 'enabled');
    await bob.cut();
    await chat.lostUser(bob.jid);
    alice.sendChat(bob.bare, 'in the tunnel');
    await using back = await chat.connect({ user: 'bob', resumes: { jid: bob.jid, id: attrs['id'] ?? '' } });
    await back.next((stanza) => stanza.text('body') === 'in the tunnel');
    await back.cut();

    const items = [];
    do items.push(await pusher.item());
    while (items.at(-1)?.direction !== 'unack');
    expect(items.map(formatItem)).toEqual([
      'in alice/phone > bob: in the tunnel',
      'out alice/phone > bob: in the tunnel (0)',
      'unack alice/phone > bob: in the tunnel (0)',
    ]);
  });

  test('makes no item for the error that Prosody returns to the sender', async () => {
    await using chat = await prosody.start();
    await using pusher = await attachTap(chat, 'message unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'train' });
    bob.send("<enable xmlns='urn:xmpp:sm:3'/>");
    await bob.next(({ name }) => name === 'enabled');
    alice.send(`<message to='${bob.jid}' type='headline'><body>Breaking</body></message>`);
    await bob.next((stanza) => stanza.text('body') === 'Breaking');
    await bob.cut();
    await alice.next(({ attrs }) => attrs['type'] === 'error');
    alice.sendChat('nobody@localhost', 'the end');

    expect((await pusher.itemsUntil('the end')).map(formatItem)).toEqual([
      'in alice/phone > bob/train: Breaking',
      'out alice/phone > bob/train: Breaking (1)',
      'unack alice/phone > bob/train: Breaking (0)',
    ]);
  });
});
