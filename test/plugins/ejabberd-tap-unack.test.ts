import { describe, expect, test } from 'vitest';
import { reportsUnacknowledgedMessages } from '../conformance/tap-unack.ts';
import { ejabberdTap, type TappedEjabberd } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { answered, attachTap, formatItem, seen, type TapPusher } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const ejabberd = await ejabberdTap();

reportsUnacknowledgedMessages(ejabberd);

/** The ways in which mod_stream_mgmt handles its unacknowledged stanzas when a session ends. */
describe.skipIf(!ejabberd.isHere)('an unacknowledged message on ejabberd', () => {
  test('that is routed again and stored makes one item', async () => {
    await using chat = await ejabberd.startWith({ modules: { mod_stream_mgmt: { resume_timeout: 1, resend_on_timeout: true } } });
    await using pusher = await attachTap(chat, 'message unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await loseInTunnel(chat, alice);
    expect(await untilUnack(pusher)).toEqual(lostItems);
    await eventually(async () => expect(await chat.api('get_offline_count', { user: 'bob', server: 'localhost' })).toEqual({ value: 2 }));
    await using home = await chat.connect({ user: 'bob', resource: 'home' });
    await home.next((stanza) => stanza.text('body') === 'before the tunnel');

    expect(await seen(pusher, alice)).toEqual([]);
  });

  test('that is routed again to another client makes no second `out`', async () => {
    await using chat = await ejabberd.startWith({ modules: { mod_stream_mgmt: { resume_timeout: 1, resend_on_timeout: true } } });
    await using pusher = await attachTap(chat, 'message unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using home = await chat.connect({ user: 'bob', resource: 'home', available: false });
    await loseInTunnel(chat, alice, async () => {
      home.send('<presence/>');
      await home.next(({ attrs }) => attrs['from'] === home.jid);
    });
    await home.next((stanza) => stanza.text('body') === 'before the tunnel');

    expect(await seen(pusher, alice)).toEqual([
      ...lostItems.slice(0, 3),
      'out alice/phone > bob: in the tunnel (1)',
      'unack alice/phone > bob: before the tunnel (1)',
    ]);
  });

  test('that is bounced makes an item, and the error to its sender does not', async () => {
    await using chat = await ejabberd.startWith({
      modules: { mod_stream_mgmt: { resume_timeout: 1, resend_on_timeout: false }, mod_mam: { default: 'never' } },
    });
    await using pusher = await attachTap(chat, 'message unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await loseInTunnel(chat, alice);
    for (let errors = 0; errors < 2; errors += 1) await alice.next(({ attrs }) => attrs['type'] === 'error');

    expect(await untilUnack(pusher)).toEqual(lostItems);
    expect(await seen(pusher, alice)).toEqual([]);
  });

  test('that was sent after the client had resumed, and was lost again, makes an item', async () => {
    await using chat = await ejabberd.startWith({ resumptionSeconds: 3 });
    await using pusher = await attachTap(chat, 'message unack');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'train' });
    bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    const { attrs } = await bob.next(({ name }) => name === 'enabled');
    await bob.cut();
    await chat.lostUser(bob.jid);
    alice.sendChat(bob.bare, 'in the tunnel');
    await answered(alice);
    await using back = await chat.connect({ user: 'bob', resumes: { jid: bob.jid, id: attrs['id'] ?? '' } });
    await back.next((stanza) => stanza.text('body') === 'in the tunnel');
    await back.cut();

    expect(await untilUnack(pusher)).toEqual([
      'in alice/phone > bob: in the tunnel',
      'out alice/phone > bob: in the tunnel (0)',
      'unack alice/phone > bob: in the tunnel (0)',
    ]);
  });
});

/** A message that arrives in the resumption timeout makes no unack item: its `out` did not count that client. */
const lostItems = [
  'in alice/phone > bob: before the tunnel',
  'out alice/phone > bob: before the tunnel (1)',
  'in alice/phone > bob: in the tunnel',
  'out alice/phone > bob: in the tunnel (0)',
  'unack alice/phone > bob: before the tunnel (0)',
];

/** Sends bob's client a message, cuts its connection, and sends another message in the resumption timeout. */
async function loseInTunnel(chat: TappedEjabberd, alice: XmppUser, meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
  const bob = await chat.connect({ user: 'bob', resource: 'train' });
  bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
  await bob.next(({ name }) => name === 'enabled');
  alice.sendChat(bob.bare, 'before the tunnel');
  await bob.next((stanza) => stanza.text('body') === 'before the tunnel');
  await bob.cut();
  await chat.lostUser(bob.jid);
  await meanwhile();
  alice.sendChat(bob.bare, 'in the tunnel');
}

async function untilUnack(pusher: TapPusher): Promise<string[]> {
  const lines: string[] = [];
  while (!lines.at(-1)?.startsWith('unack')) lines.push(formatItem(await pusher.item()));
  return lines;
}
