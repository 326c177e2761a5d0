import { describe, expect, test } from 'vitest';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { connectTapPusher } from '../support/tap-pusher.ts';
import type { TapServer } from './tap.ts';

/** Access to the feed of a tap. */
export function keepsStrangersOut(server: TapServer): void {
  describe.skipIf(!server.isHere)(`access to the feed of ${server.name}`, () => {
    test.each([
      ['resume', ''],
      ['ack', " h='1'"],
    ])('a user who sends %s is refused and changes nothing', async (name, attributes) => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using pusher = await connectTapPusher(chat.component);
      const { epoch = '' } = await pusher.ask();
      alice.sendChat('nobody@localhost', 'one');
      const answer = await alice.ask(`<${name} xmlns='${tapNs}' epoch='${epoch}'${attributes}/>`, 'localhost');

      expect(answer.attrs['type']).toBe('error');
      expect(answer.xml).toContain('<forbidden ');
      expect(alice.received.filter(({ xml }) => xml.includes('urn:xmpp:forward:0'))).toEqual([]);
      expect(await pusher.ask({ epoch, h: 0 })).toMatchObject({ pending: '1' });
    });

    test('another component is refused', async () => {
      await using chat = await server.start({ otherComponent: 'other.localhost' });
      await using other = await connectTapPusher({ ...chat.component, domain: 'other.localhost' });

      await expect(other.ask()).rejects.toThrow('forbidden');
    });
  });
}
