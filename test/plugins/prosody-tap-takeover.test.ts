import { describe, expect, test } from 'vitest';
import { givesTheFeedToOne } from '../conformance/tap-takeover.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { answered, chatter, connectTapPusher, numbered } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

givesTheFeedToOne(prosody);

describe.skipIf(!prosody.isHere)('a second connection of the component to Prosody', () => {
  test('is refused while the first one exists, and gets the feed afterwards', async () => {
    await using prosody = await startProsody();
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using first = await connectTapPusher(prosody.component);
    const { epoch = '' } = await first.ask(undefined, 'message', 'first');
    await expect(connectTapPusher(prosody.component)).rejects.toThrow('<conflict ');
    chatter(alice, ['one', 'two']);
    expect(await numbered(first, 2)).toEqual(['1 one', '2 two']);
    first.ack({ epoch, h: 1 });
    await first.cut();
    chatter(alice, ['three']);
    await answered(alice);

    await using second = await connectTapPusher(prosody.component);
    expect(await second.ask({ epoch, h: 0 }, 'message', 'second')).toMatchObject({ epoch, 'from-seq': '2', pending: '2' });
    expect(await numbered(second, 2)).toEqual(['2 two', '3 three']);
  });

  test('ends the first one and gets the feed immediately with kick_old, for any pusher', async () => {
    await using prosody = await startProsody({ config: 'component_conflict_resolve = "kick_old"' });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using first = await connectTapPusher(prosody.component);
    const { epoch = '' } = await first.ask(undefined, 'message', 'first');
    chatter(alice, ['one']);
    expect(await numbered(first, 1)).toEqual(['1 one']);
    await using second = await connectTapPusher(prosody.component);

    expect((await first.inbox.next(({ name }) => name === 'stream:error')).xml).toContain('<conflict ');
    expect(await second.ask({ epoch, h: 0 }, 'message', 'second')).toMatchObject({ epoch, 'from-seq': '1', pending: '1' });
    expect(await numbered(second, 1)).toEqual(['1 one']);
  });
});
