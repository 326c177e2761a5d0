import { describe, expect, test } from 'vitest';
import { givesTheFeedToOne } from '../conformance/tap-takeover.ts';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { chatter, connectTapPusher, numbered, pinged } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

givesTheFeedToOne(ejabberd);

describe.skipIf(!ejabberd.isHere)('several pushers on ejabberd', () => {
  test('a pusher that is silent beyond the timeout loses the feed to the next that resumes', async () => {
    await using chat = await ejabberd.startWith(inTrouble('silenced'));
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using silent = await connectTapPusher(chat.component);
    const { epoch = '' } = await silent.ask(undefined, 'message', 'silent');
    await using other = await connectTapPusher(chat.component);
    await expect(other.ask({ epoch, h: 0 }, 'message', 'other')).rejects.toThrow('conflict');
    await chat.api('unregister', { user: 'carol', host: 'localhost' });

    expect(await other.ask({ epoch, h: 0 }, 'message', 'other')).toMatchObject({ epoch, 'from-seq': '1' });
    chatter(alice, ['one']);
    expect(await numbered(other, 1)).toEqual(['1 one']);
  });

  test('a pusher that continues after a freeze learns from its acknowledgement that another has the feed, and removes no item', async () => {
    await using chat = await ejabberd.startWith(inTrouble('silenced'));
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using frozen = await connectTapPusher(chat.component);
    const { epoch = '' } = await frozen.ask(undefined, 'message', 'frozen');
    chatter(alice, ['one']);
    await numbered(frozen, 1);
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    await using other = await connectTapPusher(chat.component);
    await other.ask({ epoch, h: 0 }, 'message', 'other');

    frozen.ack({ epoch, h: 1 });
    const answer = await frozen.inbox.next(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');
    expect(answer.xml).toContain('<conflict ');
    await expect(frozen.ask({ epoch, h: 1 }, 'message', 'frozen')).rejects.toThrow('conflict');
    expect(await other.ask({ epoch, h: 0 }, 'message', 'other')).toMatchObject({ 'from-seq': '1', pending: '1' });
  });

  test('an acknowledgement extends the ownership of the feed', async () => {
    await using chat = await ejabberd.startWith(inTrouble('silenced'));
    await using active = await connectTapPusher(chat.component);
    const { epoch = '' } = await active.ask(undefined, 'message', 'active');
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    active.ack({ epoch, h: 0 });
    await pinged(active);
    await using other = await connectTapPusher(chat.component);
    await expect(other.ask({ epoch, h: 0 }, 'message', 'other')).rejects.toThrow('conflict');

    expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ attached: 1, standby: 1 }]);
  });
});
