import { describe, expect, test } from 'vitest';
import { keepsItsQueue } from '../conformance/tap-queue.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { answered, chatter, connectTapPusher, numbered } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

keepsItsQueue(prosody);

describe.skipIf(!prosody.isHere)('the queue in Prosody', () => {
  test('a reload of the module keeps queue, numbers, epoch and the stream', async () => {
    await using prosody = await startProsody({ config: 'event_pusher_tap_window = 2' });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(prosody.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['one', 'two', 'three']);
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);

    expect(await prosody.shell('module:reload("event_pusher_tap", "localhost")')).toContain('OK');
    chatter(alice, ['four']);
    await answered(alice);
    pusher.ack({ epoch, h: 2 });
    expect(await numbered(pusher, 2)).toEqual(['3 three', '4 four']);
    expect(await pusher.ask({ epoch, h: 4 })).toMatchObject({ epoch, 'from-seq': '5', pending: '0' });
  });
});
