import { appendFile, cp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Prosody, type ProsodyOptions, startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import {
  answered,
  attachTap,
  chatter,
  connectTapPusher,
  formatItem,
  numbered,
  type Progress,
  type TapPusher,
  type TappedItem,
} from '../support/tap-pusher.ts';

const prosody = await prosodyTap();
const long = 'x'.repeat(3900);

describe.skipIf(!prosody.isHere)('the queue of Prosody on disk', () => {
  test.each(['restart', 'kill'] as const)(
    'after a %s the items return with the same numbers and epoch, and new ones follow',
    async (end) => {
      await using prosody = await startWithDisk();
      const { epoch } = await leave(prosody, ['one', 'two', 'three', 'four'], { acknowledged: 1 });
      if (end === 'kill') await prosody.kill().then(prosody.start);
      else await prosody.restart();
      await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
      chatter(alice, ['five']);
      await answered(alice);

      await using pusher = await connectTapPusher(prosody.component);
      expect(await pusher.ask({ epoch, h: 2 })).toMatchObject({ epoch, 'from-seq': '3', pending: '3', dropped: '0' });
      expect(await numbered(pusher, 3)).toEqual(['3 three', '4 four', '5 five']);
    },
  );

  test('the selection of items applies from the start, and presence is still dropped first', async () => {
    await using prosody = await startWithDisk({ config: 'event_pusher_tap_queue_bytes = 6000' });
    await using first = await connectTapPusher(prosody.component);
    const { epoch = '' } = await first.ask(undefined, 'message presence');
    await prosody.restart();
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['one']);
    await answered(alice);
    await prosody.restart();
    await using again = await prosody.connect({ user: 'alice', resource: 'phone', available: false });
    chatter(again, ['two']);
    await answered(again);

    const before = await itemsUntil(prosody, { epoch, h: 0 }, 'two');
    expect(before.map(formatItem)).toEqual([
      'in presence alice/phone > all',
      'in alice/phone > nobody: one',
      'in presence unavailable alice/phone > all',
    ]);
    await prosody.restart();
    await using last = await prosody.connect({ user: 'alice', resource: 'phone', available: false });
    chatter(last, ['three', long]);
    await answered(last);
    expect((await itemsUntil(prosody, { epoch, h: 0 }, long)).map(({ seq, stanza }) => `${seq} ${stanza?.text('body')}`)).toEqual([
      '2 one',
      '4 two',
      '5 three',
    ]);
    await itemsUntil(prosody, { epoch, h: 2 }, long); // this makes room for a presence
    await prosody.restart();

    await using pusher = await connectTapPusher(prosody.component);
    expect(await pusher.ask({ epoch, h: 2 })).toMatchObject({ epoch, 'from-seq': '4', pending: '3', dropped: '2' });
  });

  test('dropped items leave their hole, and acknowledged items are not repeated', async () => {
    await using prosody = await startWithDisk({ config: 'event_pusher_tap_queue_bytes = 2000' });
    const { epoch } = await leave(prosody, ['one'], { acknowledged: 1 });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['two', 'three', 'four', 'five', 'six', 'seven']);
    await answered(alice);
    await prosody.restart();

    await using pusher = await connectTapPusher(prosody.component);
    expect(await pusher.ask({ epoch, h: 1 })).toMatchObject({ epoch, 'from-seq': '5', pending: '3', dropped: '3' });
    expect(await numbered(pusher, 1)).toEqual(['5 five']);
  });

  test('a reload of the module continues to write', async () => {
    await using prosody = await startWithDisk();
    const { epoch } = await leave(prosody, ['one'], { acknowledged: 0 });
    await prosody.shell('module:reload("event_pusher_tap", "localhost")');
    await leave(prosody, ['two'], { acknowledged: 0 });
    await prosody.kill();
    await prosody.start();

    await using pusher = await connectTapPusher(prosody.component);
    expect(await pusher.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '1', pending: '2' });
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);
  });

  test('an item that was half written when the server was killed is ignored', async () => {
    await using prosody = await startWithDisk();
    const { epoch } = await leave(prosody, ['one'], { acknowledged: 0 });
    await prosody.kill();
    await appendFile((await segments(prosody)).at(-1) ?? '', "item 2 0 400\n2'><tap xmlns='urn:x-");
    await prosody.start();
    await leave(prosody, ['two'], { acknowledged: 0 });

    await using pusher = await connectTapPusher(prosody.component);
    await pusher.ask({ epoch, h: 0 });
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);
  });

  test('after a crash of the machine the items on disk arrive in a new epoch, because later ones may be lost', async () => {
    await using prosody = await startWithDisk();
    const { epoch } = await leave(prosody, ['one', "epoch='x'"], { acknowledged: 0 });
    await prosody.kill();
    const [path = ''] = await segments(prosody);
    await writeFile(path, (await readFile(path, 'utf8')).replace(/^queue (\S+) \S+/, 'queue $1 another-boot'));
    await prosody.start();

    await using pusher = await connectTapPusher(prosody.component);
    const resumed = await pusher.ask({ epoch, h: 1 });
    expect(resumed).toMatchObject({ epoch: expect.not.stringContaining(epoch), 'from-seq': '1', pending: '2' });
    const [one, two] = [await pusher.item(), await pusher.item()];
    expect([one.epoch, two.epoch]).toEqual([resumed['epoch'], resumed['epoch']]);
    expect(two.stanza?.text('body')).toBe("epoch='x'");
  });

  test('data restored from a backup starts a new epoch too, because the pusher is ahead of it', async () => {
    await using prosody = await startWithDisk();
    const { epoch } = await leave(prosody, ['one'], { acknowledged: 0 });
    const [folder, backup] = [join(prosody.directory, 'localhost', 'event_pusher_tap'), join(prosody.directory, 'backup')];
    await prosody.stop();
    await cp(folder, backup, { recursive: true });
    await prosody.start();
    await leave(prosody, ['two', 'three'], { acknowledged: 0 });
    await prosody.stop();
    await rm(folder, { recursive: true });
    await cp(backup, folder, { recursive: true });
    await prosody.start();
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, ['another two', 'another three']);
    await answered(alice);

    await using pusher = await connectTapPusher(prosody.component);
    expect(await pusher.ask({ epoch, h: 3 })).toMatchObject({ epoch: expect.not.stringContaining(epoch), 'from-seq': '1', pending: '3' });
    expect(await numbered(pusher, 3)).toEqual(['1 one', '2 another two', '3 another three']);
    await eventually(() => expect(prosody.logs()).toContain('The event pusher has come further than the queue that was on disk'));
  });

  test('acknowledged items are deleted, and a few waiting items among many dropped ones are rewritten', async () => {
    await using prosody = await startWithDisk({ config: 'event_pusher_tap_queue_bytes = 1000000' });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    const first = await attachTap(prosody, 'message presence');
    await first.cut();
    for (let round = 0; round < 20; round += 1) {
      chatter(alice, [`message ${round}`]);
      for (let each = 0; each < 6; each += 1) alice.send(`<presence><status>${'x'.repeat(100_000)}</status></presence>`);
      await answered(alice);
    }
    expect(await bytesOnDisk(prosody)).toBeLessThan(5_000_000); // out of 12 MB
    await prosody.kill();
    await prosody.start();

    await using pusher = await connectTapPusher(prosody.component);
    const { epoch = '' } = await pusher.ask(undefined, 'message presence');
    const bodies = [];
    for (let seq = 0; bodies.length < 20; ) {
      const item = await pusher.item();
      expect(item.seq).toBeGreaterThan(seq);
      seq = item.seq;
      pusher.ack({ epoch, h: seq });
      if (item.stanza?.name === 'message') bodies.push(item.stanza.text('body'));
    }
    expect(bodies).toEqual(Array.from({ length: 20 }, (_, round) => `message ${round}`));
    await eventually(async () => expect(await bytesOnDisk(prosody)).toBeLessThan(2_500_000));
  });

  test('without a writable disk the feed continues in memory, and this is logged once', async () => {
    await using prosody = await startWithDisk();
    await prosody.stop();
    await rm(join(prosody.directory, 'localhost', 'event_pusher_tap'), { recursive: true });
    await writeFile(join(prosody.directory, 'localhost', 'event_pusher_tap'), 'no folder');
    await prosody.start();
    const { epoch } = await leave(prosody, ['one', 'two'], { acknowledged: 0 });

    await using pusher = await connectTapPusher(prosody.component);
    await pusher.ask({ epoch, h: 0 });
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);
    await eventually(() => expect(prosody.logs().match(/Cannot keep the event pusher's queue/g)).toHaveLength(1));
  });

  test('a failed write leaves no data that a later start would read as the newest', async () => {
    await using prosody = await startWithDisk();
    const { epoch } = await leave(prosody, ['one'], { acknowledged: 0 });
    await symlink('/dev/full', ((await segments(prosody))[0] ?? '').replace('1.log', '2.log')); // the next to be written
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    chatter(alice, [...Array.from({ length: 11 }, () => 'x'.repeat(100_000)), 'two']);
    await answered(alice);
    expect(await segments(prosody)).toEqual([]);
    await eventually(() => expect(prosody.logs().match(/Cannot keep the event pusher's queue/g)).toHaveLength(1));

    await using pusher = await connectTapPusher(prosody.component);
    expect(await pusher.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '1', pending: '13' });
    await prosody.restart();
    await using back = await connectTapPusher(prosody.component);
    expect(await back.ask({ epoch, h: 0 })).toMatchObject({ epoch: expect.not.stringContaining(epoch), pending: '0' });
  });
});

/** The items before the one with this body, read by a pusher that disconnects without an acknowledgement. */
async function itemsUntil(prosody: Prosody, from: Progress, body: string): Promise<TappedItem[]> {
  await using pusher = await connectTapPusher(prosody.component);
  await pusher.ask(from, 'message presence');
  const items: TappedItem[] = [];
  for (;;) {
    const item = await pusher.item();
    if (item.stanza?.text('body') === body) break;
    items.push(item);
  }
  await leaves(prosody, pusher);
  return items;
}

function startWithDisk({ config = '', ...options }: ProsodyOptions = {}): Promise<Prosody> {
  return startProsody({ ...options, config: `event_pusher_tap_disk = true\n${config}` });
}

/** Sends the words while a pusher is connected that acknowledges this number of items and then disconnects. */
async function leave(prosody: Prosody, words: readonly string[], { acknowledged }: { readonly acknowledged: number }) {
  await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
  await using pusher = await connectTapPusher(prosody.component);
  const { epoch = '' } = await pusher.ask();
  chatter(alice, words);
  await answered(alice);
  if (acknowledged > 0) {
    await numbered(pusher, acknowledged);
    pusher.ack({ epoch, h: acknowledged });
    await pusher.ask({ epoch, h: acknowledged });
  }
  await leaves(prosody, pusher);
  return { epoch };
}

/** Cuts the connection, and resolves when the server has detected it. */
async function leaves(prosody: Prosody, pusher: TapPusher): Promise<void> {
  const ends = () => prosody.logs().split('component disconnected: pusher.localhost').length;
  const before = ends();
  await pusher.cut();
  await eventually(() => ends() > before);
}

async function segments(prosody: Prosody): Promise<string[]> {
  const folder = join(prosody.directory, 'localhost', 'event_pusher_tap');
  return (await readdir(folder)).sort().map((name) => join(folder, name));
}

async function bytesOnDisk(prosody: Prosody): Promise<number> {
  const sizes = await Promise.all((await segments(prosody)).map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
