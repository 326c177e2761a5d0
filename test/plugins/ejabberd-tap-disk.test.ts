import { copyFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { answered, chatter, connectTapPusher, formatItem, numbered, pinged } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

/** A queue of three items, one without its stanza; later versions have another format. */
const storedByFormat1 = fileURLToPath(new URL('../fixtures/ejabberd/format-1.queue', import.meta.url));

describe.skipIf(!ejabberd.isHere)('the queue of ejabberd on disk', () => {
  test('a clean restart loses nothing: waiting items arrive with their old numbers', async () => {
    await using chat = await ejabberd.startWith({ disk: true });
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    const first = await connectTapPusher(chat.component);
    const { epoch = '' } = await first.ask();
    chatter(alice, ['one', 'two', 'three']);
    await first.itemsUntil('three');
    first.ack({ epoch, h: 1 });
    await first.cut();
    chatter(alice, ['four', 'five']);
    await answered(alice);
    await chat.restart();

    await using second = await connectTapPusher(chat.component);
    expect(await second.ask({ epoch, h: 2 })).toMatchObject({ epoch, 'from-seq': '3', pending: '3' });
    expect(await numbered(second, 3)).toEqual(['3 three', '4 four', '5 five']);
    await using back = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(back, ['six']);
    expect(await numbered(second, 1)).toEqual(['6 six']);
  });

  test('numbers continue after all items are acknowledged, and acknowledged items are not repeated', async () => {
    await using chat = await ejabberd.startWith({ disk: true });
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    const first = await connectTapPusher(chat.component);
    const { epoch = '' } = await first.ask();
    chatter(alice, ['one', 'two']);
    await first.itemsUntil('two');
    first.ack({ epoch, h: 2 });
    await pinged(first);
    await chat.restart();

    await using second = await connectTapPusher(chat.component);
    expect(await second.ask()).toMatchObject({ epoch, 'from-seq': '3', pending: '0' });
  });

  test('a kill loses no sent message, and assigns no number twice', async () => {
    await using chat = await ejabberd.startWith({ disk: true, window: 1000 });
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    const first = await connectTapPusher(chat.component);
    const { epoch = '' } = await first.ask();
    const words = Array.from({ length: 400 }, (_, index) => `word ${index + 1}`);
    chatter(alice, words);
    const sent = await numbered(first, 100);
    await chat.kill();
    await chat.start();
    await using back = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(back, ['afterwards']);

    await using second = await connectTapPusher(chat.component);
    const { pending } = await second.ask({ epoch, h: 0 });
    const again = (await second.itemsUntil('afterwards')).map(({ seq, stanza }) => `${seq} ${stanza?.text('body')}`);
    expect(Number(pending)).toBeGreaterThanOrEqual(100);
    expect(again.slice(0, 100)).toEqual(sent);
    expect(again).toEqual(words.slice(0, again.length).map((word, index) => `${index + 1} ${word}`));
  });

  test('a file restored from a backup starts a new epoch, because the pusher is ahead of it', async () => {
    await using chat = await ejabberd.startWith({ disk: true });
    const file = join(chat.dataPath, 'event_pusher_tap', 'localhost.queue');
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    const first = await connectTapPusher(chat.component);
    const { epoch = '' } = await first.ask();
    chatter(alice, ['one']);
    await numbered(first, 1);
    await copyFile(file, `${file}.backup`);
    chatter(alice, ['two', 'three']);
    await numbered(first, 2);
    await chat.kill();
    await copyFile(`${file}.backup`, file);
    await chat.start();
    await using back = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(back, ['another two', 'another three']);
    await answered(back);

    await using second = await connectTapPusher(chat.component);
    expect(await second.ask({ epoch, h: 3 })).toMatchObject({ epoch: expect.not.stringContaining(epoch), 'from-seq': '1', pending: '3' });
    expect(await numbered(second, 3)).toEqual(['1 one', '2 another two', '3 another three']);
    await eventually(() => expect(chat.logs()).toContain('has come further than the queue on disk'));
  });

  test('items that an earlier version has stored are sent', async () => {
    await using chat = await ejabberd.startWith({ disk: true });
    await chat.stop();
    await copyFile(storedByFormat1, join(chat.dataPath, 'event_pusher_tap', 'localhost.queue'));
    await chat.start();
    await using pusher = await connectTapPusher(chat.component);
    expect(await pusher.ask()).toMatchObject({ epoch: '5edbbf93-fb56-9a5f-1ecb-dd1b50f78439', pending: '3' });
    const [malformed, one, two] = [await pusher.item(), await pusher.item(), await pusher.item()];

    expect([malformed, one, two].map(formatItem)).toEqual([
      'in malformed',
      'in alice/phone > nobody: one',
      "in alice/phone > nobody: two & 'three'",
    ]);
    expect(malformed.marks).toMatchObject({ seq: '1', stamp: expect.stringMatching(/^2026-11-28T17:1\d:\d\d\.\d{3}Z$/) });
    expect(two.marks).toMatchObject({ seq: '3', session: 'alice@localhost/phone' });
  });

  test('the selection of items survives a restart, before any pusher resumes', async () => {
    await using chat = await ejabberd.startWith({ disk: true });
    const first = await connectTapPusher(chat.component);
    const { epoch = '' } = await first.ask(undefined, 'status');
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await first.item();
    await chat.restart();
    await using back = await chat.connect({ user: 'alice', resource: 'phone' });
    await answered(back);

    await using second = await connectTapPusher(chat.component);
    await second.ask({ epoch, h: 1 }, 'status');
    const received = [await second.item(), await second.item()];
    expect(received.map(({ seq, marks }) => `${seq} ${marks['status']} ${marks['session']}`)).toEqual([
      `2 offline ${alice.jid}`,
      `3 online ${back.jid}`,
    ]);
  });

  test('the limits apply after a restart too', async () => {
    await using chat = await ejabberd.startWith({ disk: true, queueItems: 3 });
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['one', 'two', 'three', 'four', 'five']);
    await answered(alice);
    await chat.restart();

    await using pusher = await connectTapPusher(chat.component);
    expect(await pusher.ask()).toMatchObject({ 'from-seq': '3', pending: '3' });
    expect(await numbered(pusher, 3)).toEqual(['3 three', '4 four', '5 five']);
  });

  test('the queue survives a reload of the module, a crash of its process, and changed options', async () => {
    await using chat = await ejabberd.startWith({ disk: true, ...inTrouble('crashing') });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['one']);
    await answered(alice);
    await chat.api('restart_module', { host: 'localhost', module: 'mod_event_pusher_tap' });
    chatter(alice, ['two']);
    await answered(alice);
    await chat.api('event_pusher_tap_info'); // the queue process has stored it
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    await eventually(async () => expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ queued: 2, seq: 2 }]));
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();

    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);
    await chat.reconfigure({ disk: true, window: 1 });
    expect(await pusher.ask({ epoch, h: 1 })).toMatchObject({ epoch, 'from-seq': '2' });
  });

  test('switched on at runtime it stores the waiting items; switched off it leaves no file', async () => {
    await using chat = await ejabberd.startWith();
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['one']);
    await answered(alice);
    await chat.reconfigure({ disk: true });
    await chat.restart();
    const pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    expect(await numbered(pusher, 1)).toEqual(['1 one']);

    await chat.reconfigure({ disk: false });
    await chat.reconfigure({ disk: true });
    await chat.reconfigure({ disk: false });
    await chat.restart();
    await using latter = await connectTapPusher(chat.component);
    expect(await latter.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '2', pending: '0' });
  });

  test('a disk failure is logged, and the queue continues in memory with a new epoch', async () => {
    await using chat = await ejabberd.startWith({ disk: true, ...inTrouble('diskless') });
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['one']);
    expect(await numbered(pusher, 1)).toEqual(['1 one']);
    await chat.api('unregister', { user: 'carol', host: 'localhost' });
    chatter(alice, ['two']);
    await answered(alice);
    await eventually(() => chat.logs().includes('queue of localhost cannot be kept on disk'));
    pusher.ack({ epoch, h: 1 });
    const answer = await pusher.inbox.next(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');

    expect(answer.xml).toContain('item-not-found');
    expect(await pusher.ask({ epoch, h: 1 })).toMatchObject({ epoch: expect.not.stringContaining(epoch), pending: '2' });
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);
  });

  test('the file does not grow with acknowledged items', async () => {
    await using chat = await ejabberd.startWith({ disk: true, modules: { mod_mam: { default: 'never' } } });
    const alice = await chat.connect({ user: 'alice', resource: 'phone' });
    const pusher = await connectTapPusher(chat.component);
    const { epoch = '' } = await pusher.ask();
    const text = 'x'.repeat(50_000);
    for (let number = 1; number <= 250; number += 1) {
      chatter(alice, [`${number} ${text}`]);
      await pusher.item();
      pusher.ack({ epoch, h: number });
    }
    await pinged(pusher);
    const { size } = await stat(join(chat.dataPath, 'event_pusher_tap/localhost.queue'));
    expect(size).toBeLessThan(9 * 1024 * 1024); // 12.5 MB have been written

    await chat.restart();
    await using latter = await connectTapPusher(chat.component);
    expect(await latter.ask({ epoch, h: 250 })).toMatchObject({ epoch, 'from-seq': '251', pending: '0' });
  });
});
