import { describe, expect, test } from 'vitest';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { chatter, connectTapPusher, items, numbered, pinged } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

describe.skipIf(!ejabberd.isHere)('several connections of the component to one ejabberd', () => {
  test('the last connection that resumed receives the whole feed, and the others receive no items', async () => {
    await using chat = await ejabberd.startWith();
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using former = await connectTapPusher(chat.component);
    const { epoch = '' } = await former.ask();
    chatter(alice, ['one', 'two']);
    await former.itemsUntil('two');
    await using latter = await connectTapPusher(chat.component);
    expect(await latter.ask({ epoch, h: 1 })).toMatchObject({ epoch, 'from-seq': '2', pending: '1' });
    former.ack({ epoch, h: 2 });
    chatter(alice, ['three', 'four']);

    expect(await numbered(latter, 3)).toEqual(['2 two', '3 three', '4 four']);
    expect(items(former)).toHaveLength(2);
    expect(former.inbox.all.filter(({ attrs }) => attrs['type'] === 'error')).toEqual([]);
    expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ attached: 1, standby: 1, acknowledged: 1 }]);
  });

  test('when that connection closes, an acknowledgement from another is answered with an error, so that it resumes', async () => {
    await using chat = await ejabberd.startWith();
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using standby = await connectTapPusher(chat.component);
    const { epoch = '' } = await standby.ask();
    await using active = await connectTapPusher(chat.component);
    await active.ask({ epoch, h: 0 });
    standby.ack({ epoch, h: 0 });
    await pinged(standby);
    chatter(alice, ['one']);
    expect(await numbered(active, 1)).toEqual(['1 one']);
    await active.cut();

    const answer = await standby.inbox.next(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');
    expect(answer.xml).toContain('item-not-found');
    expect(await standby.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '1', pending: '1' });
    expect(await numbered(standby, 1)).toEqual(['1 one']);
    expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ attached: 1, standby: 0 }]);
  });

  test('each connection receives the answers to its own pings', async () => {
    await using chat = await ejabberd.startWith();
    await using one = await connectTapPusher(chat.component);
    await using other = await connectTapPusher(chat.component);
    for (let round = 0; round < 5; round += 1) for (const pusher of [one, other]) await pinged(pusher);

    for (const { inbox } of [one, other]) expect(inbox.all.filter(({ name }) => name === 'iq')).toHaveLength(5);
  });
});

describe.skipIf(!ejabberd.isHere)('the writer of ejabberd to a component', () => {
  test('keeps a bounded amount for a connection that resumes repeatedly and does not read', async () => {
    await using chat = await ejabberd.startWith({ queueBytes: 4_000_000 });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    const long = 'x'.repeat(20_000);
    chatter(
      alice,
      Array.from({ length: 80 }, (_nothing, index) => `${index} ${long}`),
    );
    await numbered(pusher, 80);
    pusher.pause();
    const resume = `<iq type='set' id='again' from='pusher.localhost' to='localhost'><resume xmlns='${tapNs}' epoch='${epoch}' h='0'/></iq>`;
    for (let count = 0; count < 40; count += 1) pusher.send(resume);
    const resumed = () => chat.logs().split('The event pusher of localhost has resumed').length - 1;
    await eventually(() => resumed() === 41);
    pusher.resume();
    await pusher.ask({ epoch, h: 0 });

    expect(await numbered(pusher, 80)).toHaveLength(80);
    expect(items(pusher).length).toBeLessThan(20 * 80);
  });

  test('is replaced, with the connection, if its process dies', async () => {
    await using chat = await ejabberd.startWith(inTrouble('writerless'));
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    await eventually(() => chat.logs().includes('The event pusher of localhost has gone'));
    chatter(alice, ['one']);

    await using successor = await connectTapPusher(chat.component);
    await successor.ask({ epoch, h: 0 });
    expect(await numbered(successor, 1)).toEqual(['1 one']);
  });
});
