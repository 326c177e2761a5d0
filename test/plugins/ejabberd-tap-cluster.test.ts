import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { enter } from '../conformance/tap-rooms.ts';
import { nodeName } from '../support/ejabberd.ts';
import { ejabberdTap, type TappedEjabberd, type TappedEjabberdOptions } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { attachTap, chatter, connectTapPusher, pinged, seen, type TapPusher, type TappedItem } from '../support/tap-pusher.ts';
import { freePort } from '../support/target.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const ejabberd = await ejabberdTap();
const [here, there] = ['127.0.0.1', '127.0.0.2'];

describe.skipIf(!ejabberd.isHere)('a cluster of two ejabberd', () => {
  test('each node feeds the component that is connected to it, and each message is tapped once per direction', async () => {
    await using nodes = await startCluster();
    const { one, two } = nodes;
    await using onePusher = await connectTapPusher(one.component);
    await using twoPusher = await connectTapPusher(two.component);
    expect(await onePusher.ask()).toMatchObject({ node: nodeName(here) });
    expect(await twoPusher.ask()).toMatchObject({ node: nodeName(there) });
    await using alice = await one.connect({ user: 'alice', resource: 'phone' });
    await using bob = await two.connect({ user: 'bob', resource: 'desk' });
    alice.sendChat(bob.bare, 'over there?');
    await bob.next((stanza) => stanza.text('body') === 'over there?');
    alice.sendChat('carol@localhost', 'asleep?');

    expect(await seen(onePusher, alice)).toEqual([
      'in alice/phone > bob: over there?',
      'in alice/phone > carol: asleep?',
      'out alice/phone > carol: asleep? (0)',
    ]);
    expect(await seen(twoPusher, bob)).toEqual(['out alice/phone > bob: over there? (1)']);
  });

  test('clients on both nodes make one `out`, and a room names the senders on both nodes', async () => {
    await using nodes = await startCluster({ rooms: 'rooms.localhost' });
    const { one, two } = nodes;
    await using alice = await one.connect({ user: 'alice', resource: 'phone' });
    await using desk = await one.connect({ user: 'bob', resource: 'desk' });
    await using web = await two.connect({ user: 'bob', resource: 'web' });
    await desk.next(({ attrs }) => attrs['from'] === web.jid);
    await using onePusher = await attachTap(one);
    await using twoPusher = await attachTap(two);
    alice.sendChat('bob@localhost', 'wherever you are');
    for (const client of [desk, web]) await client.next((stanza) => stanza.text('body') === 'wherever you are');
    expect([...(await seen(onePusher, desk)), ...(await seen(twoPusher, web))]).toEqual([
      'in alice/phone > bob: wherever you are',
      'out alice/phone > bob: wherever you are (2)',
    ]);

    await enter(alice, 'tea@rooms.localhost', 'Hare');
    await enter(web, 'tea@rooms.localhost', 'Hatter');
    alice.send("<message to='tea@rooms.localhost' type='groupchat'><body>Milk?</body></message>");
    const [heard] = await messages(twoPusher, web, 'Milk?');
    expect([heard?.direction, heard?.marks['sender']]).toEqual(['out', 'alice@localhost']);
  });

  test('a presence is one `out`, and of the clients on all nodes only the first and the last make status items', async () => {
    await using nodes = await startCluster();
    const { one, two } = nodes;
    await using onePusher = await attachTap(one, 'message presence status');
    await using twoPusher = await attachTap(two, 'message presence status');
    await using bob = await one.connect({ user: 'bob', resource: 'desk', available: false });
    await using carol = await two.connect({ user: 'carol', resource: 'pad', available: false });
    await using phone = await one.connect({ user: 'alice', resource: 'phone' });
    await using web = await two.connect({ user: 'alice', resource: 'web' });
    await phone.next(({ attrs }) => attrs['from'] === web.jid);
    await phone.close();
    await web.next(({ attrs }) => attrs['from'] === phone.jid && attrs['type'] === 'unavailable');
    await web.close();
    bob.send("<presence to='carol@localhost/pad'/>");
    await carol.next(({ attrs }) => attrs['from'] === bob.jid);

    expect((await untilLastWord(onePusher, bob)).map(inShort)).toEqual([
      'in alice@localhost/phone',
      'online alice@localhost/phone',
      'in alice@localhost/phone',
      'in bob@localhost/desk',
      'out bob@localhost/desk',
    ]);
    expect((await untilLastWord(twoPusher, carol)).map(inShort)).toEqual([
      'in alice@localhost/web',
      'in alice@localhost/web',
      'offline alice@localhost/web',
    ]);
  });

  test('a client that resumes its session on another node does not go offline', async () => {
    await using nodes = await startCluster();
    const { one, two } = nodes;
    await using onePusher = await attachTap(one, 'message status');
    await using twoPusher = await attachTap(two, 'message status');
    await using train = await one.connect({ user: 'alice', resource: 'train' });
    train.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    const { attrs } = await train.next(({ name }) => name === 'enabled');
    await train.cut();
    await one.lostUser(train.jid);
    const lostIn = second();
    await eventually(() => second() > lostIn); // ejabberd cannot determine within one second which node has the newer session
    await using back = await two.connect({ user: 'alice', resumes: { jid: train.jid, id: attrs['id'] ?? '' } });
    await eventually(async () => expect(await two.api('connected_users_number')).toEqual({ num_sessions: 1 })); // the earlier session has ended
    await back.close();

    expect(inShort(await twoPusher.item())).toBe('offline alice@localhost/train');
    await using bob = await one.connect({ user: 'bob', resource: 'desk', available: false });
    expect((await untilLastWord(onePusher, bob)).map(inShort)).toEqual(['online alice@localhost/train']);
  });

  test('each node counts the acknowledgements of its own component, and one pusher may have both feeds', async () => {
    await using nodes = await startCluster();
    const { one, two } = nodes;
    await using onePusher = await connectTapPusher(one.component);
    await using twoPusher = await connectTapPusher(two.component);
    const { epoch: oneEpoch = '' } = await onePusher.ask(undefined, 'message', 'same');
    const { epoch: twoEpoch = '' } = await twoPusher.ask(undefined, 'message', 'same');
    await using alice = await one.connect({ user: 'alice', resource: 'phone' });
    await using bob = await two.connect({ user: 'bob', resource: 'desk' });
    chatter(alice, ['one', 'two']);
    chatter(bob, ['one']);
    await onePusher.itemsUntil('two');
    await twoPusher.itemsUntil('one');
    onePusher.ack({ epoch: oneEpoch, h: 2 });
    twoPusher.ack({ epoch: twoEpoch, h: 1 });
    for (const pusher of [onePusher, twoPusher]) await pinged(pusher);

    expect(await one.api('event_pusher_tap_info')).toMatchObject([{ node: nodeName(here), seq: 2, acknowledged: 2, attached: 1 }]);
    expect(await two.api('event_pusher_tap_info')).toMatchObject([{ node: nodeName(there), seq: 1, acknowledged: 1, attached: 1 }]);
  });
});

function second(): number {
  return Math.floor(Date.now() / 1000);
}

async function messages(pusher: TapPusher, listener: XmppUser, body: string): Promise<TappedItem[]> {
  await listener.next((stanza) => stanza.text('body') === body);
  return (await untilLastWord(pusher, listener)).filter(({ stanza }) => stanza?.text('body') === body);
}

function untilLastWord(pusher: TapPusher, speaker: XmppUser): Promise<TappedItem[]> {
  speaker.sendChat('nobody@localhost', 'the last word');
  return pusher.itemsUntil('the last word');
}

/** Kind and address of an item: `online alice@localhost/phone`, `out alice@localhost/phone`. */
function inShort({ direction, marks, stanza }: TappedItem): string {
  return `${marks['status'] ?? direction} ${stanza?.attrs['from']}`;
}

/** Two nodes with the same users. */
async function startCluster(options: TappedEjabberdOptions = {}): Promise<{ one: TappedEjabberd; two: TappedEjabberd } & AsyncDisposable> {
  const shared = { port: await freePort(), cookie: randomUUID() };
  const one = await ejabberd.startWith({ ...options, node: { ...shared, address: here } });
  const two = await ejabberd.startWith({ ...options, node: { ...shared, address: there, joins: here }, users: {} });
  return {
    one,
    two,
    [Symbol.asyncDispose]: async () => {
      await two[Symbol.asyncDispose]();
      await one[Symbol.asyncDispose]();
    },
  };
}
