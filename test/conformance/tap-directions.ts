import { describe, expect, test } from 'vitest';
import { answered, connectTapPusher, formatItem, numbered, type TapPusher } from '../support/tap-pusher.ts';
import type { TapServer } from './tap.ts';

const everything = { epoch: '', h: 0, want: 'message' };
const sent = 'in alice/phone > bob: Hi';
const routed = 'out alice/phone > bob: Hi (0)';

/** The directions that a pusher can select. */
export function selectsDirections(server: TapServer): void {
  describe.skipIf(!server.isHere)(`the directions at the tap of ${server.name}`, () => {
    test.each([
      ['in', [sent]],
      ['out', [routed]],
      ['in out', [sent, routed]],
      ['out  sideways', [routed]],
      ['sideways', [sent, routed]],
      ['', [sent, routed]],
      [undefined, [sent, routed]],
    ])('a pusher that requests the directions "%s" gets them only', async (dir, expected) => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      await pusher.request({ ...everything, ...(dir === undefined ? {} : { dir }) });
      alice.sendChat('bob@localhost', 'Hi');
      alice.sendChat('bob@localhost', 'Hi');

      expect([...(await formatted(pusher, expected.length)), ...(await formatted(pusher, expected.length))]).toEqual([
        ...expected,
        ...expected,
      ]);
    });

    test('numbers only the items of a requested direction', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      await pusher.request({ ...everything, dir: 'in' });
      for (const body of ['one', 'two', 'three']) alice.sendChat('bob@localhost', body);

      expect(await numbered(pusher, 3)).toEqual(['1 one', '2 two', '3 three']);
    });

    test('taps the requested directions from each resume on, and both for a pusher that requests none', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using newer = await connectTapPusher(chat.component);
      const { epoch = '' } = await newer.request({ ...everything, dir: 'in' });
      alice.sendChat('bob@localhost', 'Hi');
      expect(await formatted(newer, 1)).toEqual([sent]);
      await answered(alice); // the message has been routed
      await newer.request({ ...everything, epoch, h: 1, dir: 'out' });
      alice.sendChat('bob@localhost', 'Hi');
      expect(await formatted(newer, 1)).toEqual([routed]);
      await newer.cut();
      await chat.lostComponent();

      await using older = await connectTapPusher(chat.component);
      expect(await older.ask({ epoch, h: 1 }, 'message')).toMatchObject({ epoch, 'from-seq': '2', pending: '1' });
      expect(await formatted(older, 1)).toEqual([routed]);
      alice.sendChat('bob@localhost', 'Hi');
      expect(await formatted(older, 2)).toEqual([sent, routed]);
    });

    test('keeps the items that are in the queue when the direction changes', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.sendChat('bob@localhost', 'Hi');
      await answered(alice);
      await using pusher = await connectTapPusher(chat.component);

      expect(await pusher.request({ ...everything, dir: 'in' })).toMatchObject({ 'from-seq': '1', pending: '2' });
      expect(await formatted(pusher, 2)).toEqual([sent, routed]);
    });

    test.each([
      ['in', ['in presence alice/phone > bob/desk', 'in iq alice/phone > bob/desk']],
      ['out', ['out presence alice/phone > bob/desk (1)', 'out iq alice/phone > bob/desk (1)']],
    ])('the direction "%s" applies to presence and iq, too', async (dir, expected) => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using _bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await using pusher = await connectTapPusher(chat.component);
      await pusher.request({ ...everything, want: 'presence iq', dir });
      alice.send("<presence to='bob@localhost/desk'/>");
      alice.send("<iq type='get' id='v' to='bob@localhost/desk'><query xmlns='jabber:iq:version'/></iq>");

      expect(await formatted(pusher, 2)).toEqual(expected);
    });

    test('reports users who come online and go offline, independent of the directions', async () => {
      await using chat = await server.start();
      await using pusher = await connectTapPusher(chat.component);
      await pusher.request({ ...everything, want: 'message status', dir: 'out' });
      await using _alice = await chat.connect({ user: 'alice', resource: 'phone' });

      expect((await pusher.item()).direction).toBe('status');
    });
  });
}

async function formatted(pusher: TapPusher, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(formatItem(await pusher.item()));
  return lines;
}
