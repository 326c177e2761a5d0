import { describe, expect, test } from 'vitest';
import { keepsItsQueue } from '../conformance/tap-queue.ts';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { answered, chatter, connectTapPusher, items, numbered, pinged } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

keepsItsQueue(ejabberd);

describe.skipIf(!ejabberd.isHere)('the queue in ejabberd', () => {
  test('a number of items limits it too, and the operator can read its fill level', async () => {
    await using chat = await ejabberd.startWith({ queueItems: 3 });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['one', 'two', 'three', 'four', 'five']);
    await answered(alice);

    expect(await chat.api('event_pusher_tap_info')).toMatchObject([
      { name: 'localhost', attached: 0, seq: 5, acknowledged: 0, queued: 3, in_flight: 0, dropped: 2, failed: 0 },
    ]);
    await eventually(() => expect(chat.logs().match(/The event pusher's queue of localhost is full/g)).toHaveLength(1));
    await using pusher = await connectTapPusher(chat.component);
    expect(await pusher.ask()).toMatchObject({ 'from-seq': '3', pending: '3', dropped: '2' });
    expect(await numbered(pusher, 3)).toEqual(['3 three', '4 four', '5 five']);
  });

  test('the backlog of its process is limited too, no user waits, and a dropped message leaves a hole', async () => {
    await using chat = await ejabberd.startWith({ ...inTrouble('stalled'), queueBytes: Math.round(4.12 * ejabberd.messageBytes) });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(
      alice,
      [...'abcdefgh'].map((letter) => `${letter} ${'x'.repeat(2000)}`),
    );
    await answered(alice);
    await chat.api('unregister', { user: 'carol', host: 'localhost' });

    await using pusher = await connectTapPusher(chat.component);
    expect(await pusher.ask()).toMatchObject({ 'from-seq': '1', pending: '4', dropped: '4' });
    expect((await numbered(pusher, 3)).map((item) => item.slice(0, 3))).toEqual(['1 a', '6 b', '7 c']);
  });

  test('a backlog of its process that exceeds the queue is sent, not dropped, if the pusher has the feed', async () => {
    await using chat = await ejabberd.startWith({ ...inTrouble('stalled'), queueItems: 3 });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(chat.component);
    const resumed = pusher.ask();
    await pinged(pusher);
    chatter(alice, ['one', 'two', 'three', 'four', 'five']);
    await answered(alice);
    await chat.api('unregister', { user: 'carol', host: 'localhost' });

    expect(await resumed).toMatchObject({ 'from-seq': '1', dropped: '0' });
    expect(await numbered(pusher, 5)).toEqual(['1 one', '2 two', '3 three', '4 four', '5 five']);
  });

  test('a crash of its process starts a new epoch, and no message appears in the log', async () => {
    await using chat = await ejabberd.startWith(inTrouble('crashing'));
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['between us']);
    await pusher.itemsUntil('between us');
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    await eventually(async () => expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ attached: 0, seq: 0 }]));
    alice.sendChat(bob.bare, 'still there?');
    await bob.next(({ name }) => name === 'message');
    pusher.ack({ epoch, h: 1 });
    const answer = await pusher.inbox.next(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');

    expect(answer.xml).toContain('item-not-found');
    expect(await pusher.ask({ epoch, h: 1 })).toMatchObject({ epoch: expect.not.stringContaining(epoch), 'from-seq': '1' });
    expect(chat.logs()).not.toMatch(/between us|the last item/);
  });

  test('an option that assigns the feed to another component takes it from the previous one', async () => {
    await using chat = await ejabberd.startWith({ otherComponent: 'other.localhost' });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using former = await connectTapPusher(chat.component);
    const { epoch = '' } = await former.ask();
    await chat.reconfigure({ component: 'other.localhost' });
    chatter(alice, ['for the other']);
    await answered(alice);
    await using other = await connectTapPusher({ ...chat.component, domain: 'other.localhost' });

    expect(await other.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '1', pending: '1' });
    expect(await numbered(other, 1)).toEqual(['1 for the other']);
    await expect(former.ask({ epoch, h: 0 })).rejects.toThrow('forbidden');
    expect(items(former)).toEqual([]);
  });

  test('a reload of the configuration keeps queue, numbers, epoch and the stream, and applies new options', async () => {
    await using chat = await ejabberd.startWith({ window: 2 });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['one', 'two', 'three']);
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);

    await chat.reconfigure({ window: 3 });
    expect(await numbered(pusher, 1)).toEqual(['3 three']);
    chatter(alice, ['four']);
    pusher.ack({ epoch, h: 2 });
    expect(await numbered(pusher, 1)).toEqual(['4 four']);
    expect(await pusher.ask({ epoch, h: 4 })).toMatchObject({ epoch, 'from-seq': '5', pending: '0' });
  });

  test.each([
    ['window', { window: 0 }],
    ['queue_bytes', { queueBytes: -1 }],
  ])('an error in %s is named and ejabberd does not start', async (option, settings) => {
    await expect(ejabberd.startWith(settings)).rejects.toThrow(new RegExp(`mod_event_pusher_tap.*${option}`, 's'));
  });
});
