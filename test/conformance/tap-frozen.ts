import { describe, expect, test } from 'vitest';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { crowd } from '../support/crowd.ts';
import { eventually } from '../support/eventually.ts';
import { type PushRig, startPushRig } from '../support/push-rig.ts';
import type { LogLine } from '../support/pusher.ts';
import { startScriptedBackend } from '../support/scripted-backend.ts';
import { outOfOrder } from '../support/sightings.ts';
import { connectTapPusher, pinged, type TapPusher } from '../support/tap-pusher.ts';
import type { TapServer } from './tap.ts';

const speakersAtOnce = 8;
const frozenSeconds = 4;

const isProbe = ({ name, xml }: { readonly name: string; readonly xml: string }) => name === 'iq' && xml.includes('urn:xmpp:ping');
const isStandby = ({ state }: LogLine) => state === 'standby';
const isAttached = ({ state, host }: LogLine) => state === 'attached' && host === 'localhost';

/** The connection of a frozen process stays open: its chat server has to ask whether it is alive. */
export function takesTheFeedFromAFrozenPusher(server: TapServer): void {
  describe.skipIf(!server.isHere)(`a frozen pusher on ${server.name}`, () => {
    test('loses the feed under load to the one that stands by, and takes over from that in turn', { timeout: 180_000 }, async () => {
      await using chat = await server.start({ users: crowd(speakersAtOnce), archive: false, frozenSeconds });
      await using backend = await startScriptedBackend();
      const rig = (name: string) =>
        startPushRig(chat.component.port, {
          ...{ backend, started: false, files: {} },
          handlers: `[modules.mod_event_pusher.backend.http]\npath = "/${name}"\nhold = "forever"`,
        });
      await using first = await rig('first');
      await using second = await rig('second');
      const speakers = await Promise.all(Object.keys(crowd(speakersAtOnce)).map((user) => chat.connect({ user })));
      let sent = 0;
      const say = (count: number) => {
        for (const until = sent + count; sent < until; sent += 1)
          speakers[sent % speakersAtOnce]?.sendChat(speakers[(sent + 1) % speakersAtOnce]?.bare ?? '', String(sent));
      };
      const all = () => new Set([...numbers(first, 'first'), ...numbers(second, 'second')]);

      await first.pusher.start();
      await first.pusher.said(isAttached);
      second.pusher.launch();
      await second.pusher.said(isStandby);
      say(400);
      await eventually(() => numbers(first, 'first').length > 20);
      first.pusher.signal('SIGSTOP');
      const frozenAt = performance.now();
      say(400);
      await second.pusher.said(isAttached);
      const seconds = (performance.now() - frozenAt) / 1000;
      await eventually(() => expect(numbers(second, 'second')).toContain(799));

      first.pusher.signal('SIGCONT');
      await first.pusher.said(isStandby);
      say(100);
      await eventually(() => expect(all().size).toBe(900));
      const repeated = numbers(first, 'first').filter((number) => numbers(second, 'second').includes(number));
      await second.pusher.stop();
      await first.pusher.logged('attachment.state', 2, isAttached);
      say(100);
      await eventually(() => expect(all().size).toBe(1000));

      console.info(
        `${server.name}: taken over after ${seconds.toFixed(1)} s; ${repeated.length} messages were in flight to the frozen pusher and pushed by both`,
      );
      for (const [which, path] of [
        [first, 'first'],
        [second, 'second'],
      ] as const) {
        expect(outOfOrder(numbers(which, path), speakersAtOnce)).toEqual([]);
        expect(new Set(numbers(which, path)).size).toBe(numbers(which, path).length);
        expect(which.pusher.log.filter(({ event }) => event === 'tap.hole' || event === 'tap.mark-missing')).toEqual([]);
      }
      expect(numbers(first, 'first').filter((number) => number >= 800 && number < 900)).toEqual([]);
      expect(first.pusher.log.filter(({ event }) => event === 'tap.taken-over')).toHaveLength(1);
    });

    test('keeps the feed as long as it answers the probes of the tap', async () => {
      await using chat = await server.start({ frozenSeconds });
      await using active = await connectTapPusher(chat.component);
      const { epoch } = await active.request({ epoch: '', h: 0, pusher: 'active', probe: 'true' });
      await chat.letAnotherIn?.();
      await using standby = await connectTapPusher(chat.component);
      await expect(standby.request({ epoch: '', h: 0, pusher: 'standby' })).rejects.toThrow('conflict');
      for (let round = 0; round < 2; round += 1) await answerProbe(active);
      expect(standby.inbox.all.some(isFree)).toBe(false);

      expect((await active.inbox.next(({ name }) => name === 'stream:error')).xml).toContain('connection-timeout');
      await standby.inbox.next(isFree);
      expect(await standby.request({ epoch: '', h: 0, pusher: 'standby' })).toMatchObject({ epoch });
      await pinged(standby);
    });
  });
}

const isFree = ({ xml }: { readonly xml: string }) => xml.includes('<free ') && xml.includes(tapNs);

async function answerProbe(pusher: TapPusher): Promise<void> {
  const { attrs } = await pusher.inbox.next(isProbe);
  pusher.send(`<iq type='result' id='${attrs['id']}' from='pusher.localhost' to='localhost'/>`);
}

function numbers(rig: PushRig, path: string): number[] {
  return rig.messages(path).map(Number);
}
