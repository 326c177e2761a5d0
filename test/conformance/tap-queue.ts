import { describe, expect, test } from 'vitest';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { answered, attachTap, chatter, connectTapPusher, formatItem, items, numbered, pinged, seen } from '../support/tap-pusher.ts';
import type { TapServer } from './tap.ts';

/** The queue of a tap: numbers, storage, repetition and drops. */
export function keepsItsQueue(server: TapServer): void {
  describe.skipIf(!server.isHere)(`the queue of the tap of ${server.name}`, () => {
    test('sends nothing before the resume, and then the messages since the start', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      chatter(alice, ['before the resume']);
      await using pusher = await connectTapPusher(chat.component);
      await answered(alice);
      expect(pusher.inbox.all.map(({ name }) => name)).toEqual(['handshake']);

      expect(await pusher.ask()).toMatchObject({ 'from-seq': '1', pending: '1', dropped: '0' });
      expect(formatItem(await pusher.item())).toBe('in alice/phone > nobody: before the resume');
    });

    test('repeats all items after `h` with their numbers after a reconnect', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using first = await connectTapPusher(chat.component);
      const { epoch = '' } = await first.ask();
      chatter(alice, ['one', 'two', 'three']);
      await first.itemsUntil('three');
      first.ack({ epoch, h: 1 });
      await first.cut();
      chatter(alice, ['four']);
      await answered(alice);

      await using second = await connectTapPusher(chat.component);
      expect(await second.ask({ epoch, h: 2 })).toMatchObject({ epoch, 'from-seq': '3', pending: '2' });
      expect(await numbered(second, 2)).toEqual(['3 three', '4 four']);
    });

    test('loses nothing while the component is away, and sends no errors to users', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await using pusher = await attachTap(chat);
      await pusher.cut();
      alice.sendChat(bob.bare, 'is it back?');
      await bob.next(({ name }) => name === 'message');
      await answered(alice);

      await using back = await attachTap(chat);
      expect([formatItem(await back.item()), formatItem(await back.item())]).toEqual([
        'in alice/phone > bob: is it back?',
        'out alice/phone > bob: is it back? (1)',
      ]);
      expect(alice.received.filter(({ attrs }) => attrs['type'] === 'error')).toEqual([]);
    });

    test('sends at most one window before an acknowledgement', async () => {
      await using chat = await server.start({ window: 3 });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask();
      chatter(alice, ['one', 'two', 'three', 'four', 'five']);
      await answered(alice);
      await pinged(pusher);
      expect(await numbered(pusher, 3)).toEqual(['1 one', '2 two', '3 three']);
      expect(items(pusher)).toHaveLength(3);

      pusher.ack({ epoch, h: 1 });
      expect(await numbered(pusher, 1)).toEqual(['4 four']);
      await pinged(pusher);
      expect(items(pusher)).toHaveLength(4);

      pusher.ack({ epoch, h: 4 });
      expect(await numbered(pusher, 1)).toEqual(['5 five']);
    });

    test('when it is full, drops presence and iq first, then the oldest messages, and leaves a hole', async () => {
      await using chat = await server.start({ queueBytes: Math.round(4.12 * server.messageBytes) });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone', available: false });
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask(undefined, 'message presence iq');
      await pusher.cut();
      await chat.lostComponent();

      const text = 'x'.repeat(2000);
      chatter(alice, [`a ${text}`, `b ${text}`]);
      for (const show of ['away', 'chat', 'dnd']) alice.send(`<presence><show>${show}</show></presence>`);
      chatter(alice, [`c ${text}`, `d ${text}`, `e ${text}`]);
      await answered(alice);

      await using back = await connectTapPusher(chat.component);
      // Five messages do not fit: the three presences, the first message and the last ping are dropped.
      expect(await back.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '2', pending: '4', dropped: '5' });
      await pinged(back);
      expect(items(back)).toHaveLength(3); // more than half of the bytes are in flight
      back.ack({ epoch, h: 2 });
      expect((await numbered(back, 4)).map((item) => item.slice(0, 3))).toEqual(['2 b', '6 c', '7 d', '8 e']);
    });

    test('sends number and size of a stanza that exceeds the limit of the pusher after escaping', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask(undefined, 'message', undefined, 20_000);
      alice.sendChat('bob@localhost', "'".repeat(4000));
      chatter(alice, ["'".repeat(2000), 'and on']);

      const [sent, routed, short] = [await pusher.item(), await pusher.item(), await pusher.item()];
      expect([formatItem(sent), formatItem(routed)]).toEqual(['in too-large', 'out too-large']);
      expect([sent.seq, routed.seq, short.seq]).toEqual([1, 2, 3]);
      for (const { marks } of [sent, routed]) {
        expect(Object.keys(marks).sort()).toEqual(['bytes', 'dir', 'epoch', 'reason', 'seq', 'stamp', 'xmlns']);
        expect(Number(marks['bytes'])).toBeGreaterThan(24_000);
        expect(Number(marks['bytes'])).toBeLessThan(26_000);
        expect(Number.isNaN(Date.parse(marks['stamp'] ?? ''))).toBe(false);
      }
      expect(short.stanza?.text('body')).toBe("'".repeat(2000));
      expect(formatItem(await pusher.item())).toContain('and on');
      pusher.ack({ epoch, h: 4 });
      expect(await pusher.ask({ epoch, h: 4 })).toMatchObject({ 'from-seq': '5', pending: '0' });
    });

    test('applies the limit of the pusher to items that were queued before it', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      chatter(alice, ['&'.repeat(8000), 'and on']);
      await answered(alice);
      await using first = await connectTapPusher(chat.component);
      const { epoch = '' } = await first.ask();
      expect((await first.item()).stanza?.text('body')).toBe('&'.repeat(8000));
      await first.cut();
      await chat.lostComponent();

      await using pusher = await connectTapPusher(chat.component);
      await pusher.ask({ epoch, h: 0 }, 'message', undefined, 20_000);
      const large = await pusher.item();
      expect([formatItem(large), large.seq]).toEqual(['in too-large', 1]);
      expect(Number(large.marks['bytes'])).toBeGreaterThan(40_000);
      expect(await numbered(pusher, 1)).toEqual(['2 and on']);
      await pusher.ask({ epoch, h: 2 });
      expect(await pusher.fill({ epoch, h: 2 })).toMatchObject({ pending: '0', bytes: '0' });
    });

    test.each(['', 'much', '-1', '5'])('ignores a `max` of "%s"', async (max) => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      const resume = `<resume xmlns='${tapNs}' epoch='' h='0' max='${max}'/>`;
      pusher.send(`<iq type='set' from='pusher.localhost' to='localhost' id='x'>${resume}</iq>`);
      chatter(alice, ['as it is']);

      expect(formatItem(await pusher.item())).toBe('in alice/phone > nobody: as it is');
    });

    test('continues after a stanza of maximum size with all characters escaped, for a pusher without a limit', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      for (const sign of ["'", '"', '&lt;']) {
        const raw = sign.repeat(Math.floor(250_000 / sign.length));
        alice.send(`<message to='nobody@localhost' type='chat'><body>${raw}</body></message>`);
      }

      expect(await seen(pusher, alice)).toEqual(['in too-large', 'in too-large', expect.stringContaining('<')]);
    });

    test('reports its fill level at the resume, and to an acknowledgement that requests it', async () => {
      await using chat = await server.start({ queueBytes: 1_000_000 });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      chatter(alice, ['x'.repeat(2000), 'x'.repeat(2000), 'x'.repeat(2000)]);
      await answered(alice);
      const { epoch = '', ...resumed } = await pusher.ask();
      expect(resumed).toMatchObject({ pending: '3', 'max-bytes': '1000000' });
      expect(Number(resumed['bytes']) / (3 * server.messageBytes)).toBeCloseTo(1, 0);
      await numbered(pusher, 3);

      const queue = await pusher.fill({ epoch, h: 2 });
      expect(queue).toMatchObject({ pending: '1', 'max-bytes': '1000000' });
      expect(Number(queue['bytes']) / server.messageBytes).toBeCloseTo(1, 0);
      pusher.ack({ epoch, h: 3 });
      expect(await pusher.fill({ epoch, h: 3 })).toMatchObject({ pending: '0', bytes: '0' });
    });

    test('a reloaded module without its state answers an acknowledgement with an error, so that it is resumed again', async () => {
      await using chat = await server.start();
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask();
      await chat.loadAnew();
      pusher.ack({ epoch, h: 0 });
      const answer = await pusher.inbox.next(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');
      expect(answer.xml).toContain('item-not-found');
      expect((await pusher.ask({ epoch, h: 0 }))['epoch']).not.toBe(epoch);
    });

    test('continues its numbers after a regular restart, and repeats unacknowledged items', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      const first = await connectTapPusher(chat.component);
      const { epoch = '' } = await first.ask();
      chatter(alice, ['one', 'two', 'three']);
      await numbered(first, 3);
      first.ack({ epoch, h: 1 });
      expect(await first.fill({ epoch, h: 1 })).toMatchObject({ pending: '2' });
      await chat.restart();
      await using again = await chat.connect({ user: 'alice', resource: 'phone' });
      chatter(again, ['four']);
      await answered(again);

      await using second = await connectTapPusher(chat.component);
      expect(await second.ask({ epoch, h: 3 })).toMatchObject({ epoch, 'from-seq': '4', pending: '1' });
      expect(await numbered(second, 1)).toEqual(['4 four']);
      await chat.restart();
      await using third = await connectTapPusher(chat.component);
      expect(await third.ask({ epoch, h: 3 })).toMatchObject({ epoch, 'from-seq': '5', pending: '0' });
    });

    test('starts a new epoch after a crash, also after an earlier regular stop, and ignores acknowledgements of an old epoch', async () => {
      await using chat = await server.start();
      const first = await connectTapPusher(chat.component);
      const { epoch: old = '' } = await first.ask();
      await chat.restart();
      await chat.kill();
      await chat.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      chatter(alice, ['one', 'two']);
      await answered(alice);

      await using second = await connectTapPusher(chat.component);
      const { epoch = '', ...resumed } = await second.ask({ epoch: old, h: 2 });
      expect(epoch).not.toBe(old);
      expect(resumed).toMatchObject({ 'from-seq': '1', pending: '2' });
      second.ack({ epoch: old, h: 2 });
      expect(await second.ask({ epoch, h: 0 })).toMatchObject({ pending: '2' });
    });

    test.each(['3', '-1', '1.5', 'soon', ''])('an `h` of "%s" for two items acknowledges nothing', async (h) => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask();
      chatter(alice, ['one', 'two']);
      await pusher.itemsUntil('two');
      pusher.send(`<iq type='set' from='pusher.localhost' to='localhost' id='x'><ack xmlns='${tapNs}' epoch='${epoch}' h='${h}'/></iq>`);

      expect(await pusher.ask({ epoch, h: 0 })).toMatchObject({ 'from-seq': '1', pending: '2' });
    });

    test('`want` selects the items from then on; unknown words are ignored', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask(undefined, 'weather presence');
      chatter(alice, ['unwanted']);
      alice.send('<presence><show>dnd</show></presence>');
      expect(formatItem(await pusher.item())).toBe('in presence alice/phone > all');

      await pusher.ask({ epoch, h: 1 }, '');
      chatter(alice, ['unwanted too']);
      await answered(alice);
      await pusher.ask({ epoch, h: 1 });
      chatter(alice, ['wanted']);
      expect(await numbered(pusher, 1)).toEqual(['2 wanted']);
    });

    test('each virtual host has its own tap on one stream', async () => {
      await using chat = await server.start({ hosts: ['localhost', 'second.localhost'] });
      await using alice = await chat.connect({ user: 'alice', host: 'second.localhost', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component, 'second.localhost');
      await pusher.ask();
      alice.sendChat('bob@localhost', 'over there');

      expect(formatItem(await pusher.item())).toBe('in alice@second.localhost/phone > bob: over there');
      const resumed = pusher.inbox.all.find(({ name }) => name === 'iq');
      expect(resumed?.attrs['from']).toBe('second.localhost');
    });
  });
}
