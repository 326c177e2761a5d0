import { describe, expect, test } from 'vitest';
import { selectsDirections } from '../conformance/tap-directions.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { connectTapPusher, numbered } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

selectsDirections(prosody);

describe.skipIf(!prosody.isHere)('the directions at Prosody', () => {
  test.each(['reload', 'restart'] as const)('are kept over a %s', async (end) => {
    await using prosody = await startProsody({ config: 'event_pusher_tap_disk = true' });
    await using first = await connectTapPusher(prosody.component);
    const { epoch = '' } = await first.request({ epoch: '', h: 0, want: 'message', dir: 'in' });
    if (end === 'restart') await prosody.restart();
    else expect(await prosody.shell('module:reload("event_pusher_tap", "localhost")')).toContain('OK');
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    for (const body of ['one', 'two']) alice.sendChat('bob@localhost', body);
    await alice.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');
    await first.cut();

    await using second = await connectTapPusher(prosody.component);
    expect(await second.ask({ epoch, h: 0 })).toMatchObject({ epoch, pending: '2' });
    expect(await numbered(second, 2)).toEqual(['1 one', '2 two']);
  });
});
