import { describe, expect, test } from 'vitest';
import { crowd } from '../support/crowd.ts';
import { eventually } from '../support/eventually.ts';
import { type PushRig, startPushRig } from '../support/push-rig.ts';
import { createSightings } from '../support/sightings.ts';
import { answered, chatter } from '../support/tap-pusher.ts';
import type { TappedServer, TapServer } from './tap.ts';

const waiting = Array.from({ length: 200 }, (_, index) => `waiting ${index}`);

/** Unacknowledged items after the end of the server or with a full queue, and their logs and metrics in the built service. */
export function reportsLostItems(server: TapServer): void {
  describe.skipIf(!server.isHere)(`an item that waits in the tap of ${server.name}`, () => {
    test('is lost when the server restarts, and the number of lost items is logged and counted', async () => {
      await using chat = await server.start();
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn' });
      await leave(rig, chat, waiting);
      await chat.restart();
      await comeBack(rig, chat);

      expect(rig.messages()).toEqual(['before', 'afterwards']);
      expect(await holes(rig, 1)).toEqual([lost(waiting.length)]);
      expect(await counts(rig)).toEqual({ missed: waiting.length, queues_lost: 0 });
    });

    test('is lost when the server crashes, and the lost queue is logged and counted', async () => {
      await using chat = await server.start();
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn' });
      await leave(rig, chat, waiting);
      await chat.kill();
      await chat.start();
      await comeBack(rig, chat);

      expect(rig.messages()).toEqual(['before', 'afterwards']);
      expect(await holes(rig, 1)).toEqual(['chat server lost its queue for localhost, as after a crash; any packets in it are lost']);
      expect(await counts(rig)).toEqual({ missed: 0, queues_lost: 1 });
    });

    test('that was acknowledged before a restart is not reported as lost', async () => {
      await using chat = await server.start();
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn', attachment: 'reconnect_max = "1s"' });
      for (const [index, word] of ['one', 'two', 'three'].entries()) {
        await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
        chatter(alice, [word]);
        await rig.settled(index + 1);
        await chat.restart();
      }
      await eventually(async () => expect(await rig.metric('event_pusher_attached{attachment="chat",host="localhost"}')).toBe(1));

      expect(rig.messages()).toEqual(['one', 'two', 'three']);
      expect(await holes(rig)).toEqual([]);
      expect(await counts(rig)).toEqual({ missed: 0, queues_lost: 0 });
    });

    test('arrives after a restart without a gap if the queue is on disk', async () => {
      await using chat = await server.start({ disk: true });
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn' });
      await leave(rig, chat, waiting);
      await chat.restart();
      await comeBack(rig, chat);

      expect(rig.messages()).toEqual(['before', ...waiting, 'afterwards']);
      expect(await holes(rig)).toEqual([]);
      expect(await counts(rig)).toEqual({ missed: 0, queues_lost: 0 });
    });

    test('is lost if the queue was full, and the size of the gap is logged and counted', async () => {
      await using chat = await server.start({ queueBytes: 5 * server.messageBytes });
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn' });
      const said = waiting.slice(0, 50).map((word) => word.padEnd(2000, '.'));
      await leave(rig, chat, said);
      await comeBack(rig, chat);

      const arrived = rig.messages().slice(1, -1);
      const missing = said.length - arrived.length;
      expect(arrived.length).toBeGreaterThan(1);
      expect(arrived).toEqual(said.slice(missing));
      expect(await holes(rig, 1)).toEqual([lost(missing)]);
      expect(await counts(rig)).toEqual({ missed: missing, queues_lost: 0 });
    });

    test('is counted if it exceeds the size limit, and later items arrive', async () => {
      await using chat = await server.start();
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn' });
      await leave(rig, chat, ["'".repeat(250_000), 'and on']);
      await comeBack(rig, chat);

      expect(rig.messages()).toEqual(['before', 'and on', 'afterwards']);
      expect(await rig.metric('event_pusher_skipped_total{attachment="chat",reason="too-large"}')).toBe(1);
      expect(await holes(rig)).toEqual([]);
    });

    test('arrives under full load too: no message that users have received is missing', async () => {
      await using chat = await server.start({ disk: true, users: crowd(20) });
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn', attachment: 'reconnect_max = "1s"' });
      const users = await Promise.all(Object.keys(crowd(20)).map((user) => chat.connect({ user })));
      const read = () => users.flatMap(({ received }) => received.filter(({ name }) => name === 'message'));
      for (let number = 0; number < 6000; number += 1)
        users[number % users.length]?.sendChat(users[(number + 1) % users.length]?.bare ?? '', String(number));

      await eventually(() => read().length >= 200);
      rig.pusher.signal('SIGSTOP');
      await eventually(() => read().length >= 1200);
      await chat.restart();
      rig.pusher.signal('SIGCONT');
      const numbers = read().map((stanza) => stanza.text('body'));
      const seen = createSightings(rig.backend.requests);
      await eventually(() => expect(numbers.filter((number) => !seen().has(number))).toEqual([]));
      expect(await holes(rig)).toEqual([]);
    });
  });
}

/** One message arrives; then the service is killed, and alice sends more. */
async function leave(rig: PushRig, chat: TappedServer, words: readonly string[]): Promise<void> {
  const alice = await chat.connect({ user: 'alice', resource: 'phone' });
  chatter(alice, ['before']);
  await rig.settled(1);
  await rig.pusher.kill();
  await chat.lostComponent();
  chatter(alice, words);
  await answered(alice);
  await alice.cut();
}

/** Starts the service again; resolves when the last message has arrived. */
async function comeBack(rig: PushRig, chat: TappedServer): Promise<void> {
  await rig.pusher.start();
  await using alice = await chat.connect({ user: 'alice', resource: 'desk' });
  chatter(alice, ['afterwards']);
  await eventually(() => rig.messages().includes('afterwards'));
}

function lost(count: number): string {
  return `chat server lost ${count} packets of localhost: its queue was full or was lost in a restart`;
}

async function holes({ pusher }: PushRig, atLeast = 0): Promise<string[]> {
  return (await pusher.logged('tap.hole', atLeast)).map(({ msg }) => msg);
}

async function counts({ metric }: PushRig): Promise<{ readonly missed: number; readonly queues_lost: number }> {
  const labels = '{attachment="chat",host="localhost"}';
  return {
    missed: await metric(`event_pusher_tap_missed_total${labels}`),
    queues_lost: await metric(`event_pusher_tap_queues_lost_total${labels}`),
  };
}
