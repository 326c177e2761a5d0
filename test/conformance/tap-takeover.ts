import { describe, expect, test } from 'vitest';
import { answered, chatter, connectTapPusher, items, numbered, pinged } from '../support/tap-pusher.ts';
import type { TapServer } from './tap.ts';

const [morning, evening] = ['5b2f6f0e-7c0d-4f5e-9a0d-0d9f3c3f7a11', 'c0a8f1de-1d7b-4d1c-8f5a-93e0a4a1b2c3'];

/** Ownership of the feed with more than one pusher. */
export function givesTheFeedToOne(server: TapServer): void {
  describe.skipIf(!server.isHere)(`several pushers at the tap of ${server.name}`, () => {
    test('a pusher that resumes while another has the feed gets a conflict each time, and no items', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using active = await connectTapPusher(chat.component);
      const { epoch = '' } = await active.ask(undefined, 'message', morning);
      await chat.letAnotherIn?.();
      await using standby = await connectTapPusher(chat.component);
      for (let round = 0; round < 2; round += 1)
        await expect(standby.ask({ epoch, h: 0 }, 'presence', evening)).rejects.toThrow(/type="wait".*<conflict |type='wait'.*<conflict /);
      standby.ack({ epoch, h: 0 });
      await pinged(standby);
      chatter(alice, ['one']);

      expect(await numbered(active, 1)).toEqual(['1 one']);
      expect(items(standby)).toEqual([]);
      active.ack({ epoch, h: 1 });
      expect(await active.ask({ epoch, h: 1 }, 'message', morning)).toMatchObject({ epoch, pending: '0' });
    });

    test('when the active pusher goes, the next to resume gets the feed from the first unacknowledged item', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using active = await connectTapPusher(chat.component);
      const { epoch = '' } = await active.ask(undefined, 'message', morning);
      await chat.letAnotherIn?.();
      await using standby = await connectTapPusher(chat.component);
      await expect(standby.ask({ epoch, h: 0 }, 'message', evening)).rejects.toThrow('conflict');
      chatter(alice, ['one', 'two', 'three']);
      await active.itemsUntil('three');
      active.ack({ epoch, h: 1 });
      await active.cut();
      await chat.lostComponent();
      chatter(alice, ['four']);
      await answered(alice);

      expect(await standby.ask({ epoch, h: 0 }, 'message', evening)).toMatchObject({ epoch, 'from-seq': '2', pending: '3' });
      expect(await numbered(standby, 3)).toEqual(['2 two', '3 three', '4 four']);
    });

    test('a pusher that reconnects takes over from its own earlier connection at once', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using former = await connectTapPusher(chat.component);
      const { epoch = '' } = await former.ask(undefined, 'message', morning);
      chatter(alice, ['one']);
      expect(await numbered(former, 1)).toEqual(['1 one']);
      await chat.letAnotherIn?.();
      await using latter = await connectTapPusher(chat.component);

      expect(await latter.ask({ epoch, h: 0 }, 'message', morning)).toMatchObject({ epoch, 'from-seq': '1', pending: '1' });
      chatter(alice, ['two']);
      expect(await numbered(latter, 2)).toEqual(['1 one', '2 two']);
      await pinged(former);
      expect(items(former)).toHaveLength(1);
    });

    test('a pusher without an id takes the feed at once; the earlier one is ignored, and gets an error when the other goes', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using former = await connectTapPusher(chat.component);
      const { epoch = '' } = await former.ask(undefined, 'message', morning);
      chatter(alice, ['one', 'two']);
      await former.itemsUntil('two');
      await chat.letAnotherIn?.();
      await using latter = await connectTapPusher(chat.component);
      expect(await latter.ask({ epoch, h: 0 })).toMatchObject({ epoch, 'from-seq': '1', pending: '2' });
      former.ack({ epoch, h: 2 });
      await pinged(former);

      expect(former.inbox.all.filter(({ attrs }) => attrs['type'] === 'error')).toEqual([]);
      expect(await latter.ask({ epoch, h: 0 })).toMatchObject({ pending: '2' });
      await latter.cut();
      await chat.lostComponent();
      former.ack({ epoch, h: 2 });
      const answer = await former.inbox.next(({ name, attrs }) => name === 'iq' && attrs['type'] === 'error');
      expect(answer.xml).toContain('item-not-found');
      expect(await former.ask({ epoch, h: 2 }, 'message', morning)).toMatchObject({ epoch, pending: '0' });
    });
  });
}
