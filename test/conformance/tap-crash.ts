import { describe, expect, test } from 'vitest';
import { crowd } from '../support/crowd.ts';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import { createSightings, renamed } from '../support/sightings.ts';
import type { TapServer } from './tap.ts';

const speakersAtOnce = 20;
/** Number of items that the current run of the service has received from the tap. */
const received = 'event_pusher_events_received_total{attachment="chat"}';

/**
 * Users send all messages at once, so that the server is under full load, and the built service is killed with `kill -9` at
 * random moments while the tap's feed flows. Then the backend must have every message, each conversation in order, and each
 * duplicate with the id of the first request.
 */
export function losesNothingWhenKilled(server: TapServer, { total, kills }: { readonly total: number; readonly kills: number }): void {
  const title = `delivers each of ${total} messages although it is killed ${kills} times under full load`;
  describe.skipIf(!server.isHere)(`with ${server.name}`, () => {
    test(title, { timeout: 120_000 + 20 * total }, async () => {
      // The archive of ejabberd without a database becomes slower with each message, up to 20 ms.
      await using chat = await server.start({ users: crowd(speakersAtOnce), archive: false });
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn', started: false });
      const { backend, pusher } = rig;
      const speakers = await Promise.all(Object.keys(crowd(speakersAtOnce)).map((user) => chat.connect({ user })));
      const seen = createSightings(backend.requests);
      const limit = { withinMs: 60_000 + 10 * total };

      await pusher.start();
      const began = performance.now();
      for (let number = 0; number < total; number += 1) {
        const receiver = speakers[(number + 1) % speakers.length];
        speakers[number % speakers.length]?.sendChat(receiver?.bare ?? '', String(number));
      }
      for (let kill = 1; kill <= kills; kill += 1) {
        const enough = Math.random() * Math.floor((2 * total) / (kills + 1)); // each is tapped twice: `in` and `out`
        await eventually(async () => expect(await rig.metric(received)).toBeGreaterThan(enough), limit);
        await pusher.kill();
        await pusher.start();
      }
      await eventually(() => expect(seen().size).toBe(total), limit);
      const seconds = (performance.now() - began) / 1000;
      await rig.settled(0);

      const doubles = backend.requests.length - total;
      console.info(`${server.name}: ${total} messages in ${seconds.toFixed(1)} s, ${kills} kills, ${doubles} duplicates`);
      expect(renamed(seen())).toEqual([]);
      expect(outOfOrder([...seen().keys()].map(Number))).toEqual([]);
      expect(pusher.log.filter(({ event }) => event === 'tap.hole')).toEqual([]);
      for (const sort of ['missed', 'queues_lost'])
        expect(await rig.metric(`event_pusher_tap_${sort}_total{attachment="chat",host="localhost"}`)).toBe(0);
      expect(await pusher.stop()).toBe(0);
    });
  });
}

/** Numbers that arrived after a later number of their conversation. */
function outOfOrder(firstSights: readonly number[]): number[] {
  const latest = new Map<number, number>();
  return firstSights.filter((number) => {
    const conversation = number % speakersAtOnce;
    const before = latest.get(conversation) ?? -1;
    latest.set(conversation, Math.max(before, number));
    return number < before;
  });
}
