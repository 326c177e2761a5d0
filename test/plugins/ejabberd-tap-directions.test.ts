import { describe, expect, test } from 'vitest';
import { selectsDirections } from '../conformance/tap-directions.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { answered, connectTapPusher, numbered } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

selectsDirections(ejabberd);

describe.skipIf(!ejabberd.isHere)('the directions at ejabberd', () => {
  test.each(['reload', 'restart'] as const)('are kept over a %s', async (end) => {
    await using chat = await ejabberd.startWith({ disk: true });
    await using first = await connectTapPusher(chat.component);
    const { epoch = '' } = await first.request({ epoch: '', h: 0, want: 'message', dir: 'in' });
    if (end === 'restart') await chat.restart();
    else await chat.api('restart_module', { host: 'localhost', module: 'mod_event_pusher_tap' });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    for (const body of ['one', 'two']) alice.sendChat('bob@localhost', body);
    await answered(alice);

    await using second = await connectTapPusher(chat.component);
    expect(await second.ask({ epoch, h: 0 })).toMatchObject({ epoch, pending: '2' });
    expect(await numbered(second, 2)).toEqual(['1 one', '2 two']);
  });
});
