import { describe, expect, test } from 'vitest';
import { crowd } from '../support/crowd.ts';
import { eventually } from '../support/eventually.ts';
import { resetWithinBody, retryAfter, status } from '../support/misbehaviour.ts';
import { startPushRig } from '../support/push-rig.ts';
import { byLot, startScriptedBackend } from '../support/scripted-backend.ts';
import { createAccepted, createSightings, outOfOrder, renamed } from '../support/sightings.ts';
import type { TapServer } from './tap.ts';

const speakersAtOnce = 20;
/** Number of items that the current run of the service has received from the tap. */
const received = 'event_pusher_events_received_total{attachment="chat"}';

/** One in ten requests fails: too few to open the circuit breaker, and none permanently. */
const sick = byLot(2026, [
  [900, { kind: 'answer' }],
  [30, status(500)],
  [20, status(503)],
  [10, retryAfter('0.1')],
  [20, { kind: 'reset' }],
  [15, resetWithinBody],
  [5, { kind: 'silent' }],
]);

/**
 * Users send their messages in bursts, so that the server is under full load, and the built service is killed with `kill -9` at a
 * random moment of each, while the tap's feed flows and the backend fails at random. The backend recovers before the last fifth,
 * and must have accepted every message, each conversation in order, and received each duplicate with the id of the first request.
 */
export function losesNothingWhenKilled(server: TapServer, { total, kills }: { readonly total: number; readonly kills: number }): void {
  const title = `delivers each of ${total} messages to a failing backend although it is killed ${kills} times under full load`;
  describe.skipIf(!server.isHere)(`with ${server.name}`, () => {
    test(title, { timeout: 120_000 + 20 * total }, async () => {
      // The archive of ejabberd without a database becomes slower with each message, up to 20 ms.
      await using chat = await server.start({ users: crowd(speakersAtOnce), archive: false });
      await using backend = await startScriptedBackend({ script: sick });
      await using rig = await startPushRig(chat.component.port, {
        ...{ backend, loglevel: 'warn', started: false },
        pool: 'retry = { schedule = ["20ms", "50ms", "100ms", "200ms", "400ms", "1s", "1s", "1s"] }',
        connection: 'request_timeout = 400',
        handlers: '[modules.mod_event_pusher.backend.http]\npath = "/notifications"\nhold = "forever"',
      });
      const { pusher } = rig;
      const speakers = await Promise.all(Object.keys(crowd(speakersAtOnce)).map((user) => chat.connect({ user })));
      const receivers = speakers.map((_speaker, index) => speakers[(index + 1) % speakersAtOnce]?.bare);
      const [seen, accepted] = [createSightings(backend.requests), createAccepted(backend)];
      const limit = { withinMs: 60_000 + 10 * total };

      await pusher.start();
      const began = performance.now();
      let sent = 0;
      const sendUntil = (until: number) => {
        for (; sent < until; sent += 1) speakers[sent % speakersAtOnce]?.sendChat(receivers[sent % speakersAtOnce] ?? '', String(sent));
      };
      const burst = Math.floor(total / (kills + 1));
      for (let kill = 1; kill <= kills; kill += 1) {
        sendUntil(kill * burst);
        const enough = Math.random() * burst;
        await eventually(async () => expect(await rig.metric(received)).toBeGreaterThan(enough), limit);
        await pusher.kill();
        await pusher.start();
      }
      sendUntil(total);
      await eventually(() => new Set(accepted()).size >= 0.8 * total, limit);
      backend.heal();
      await eventually(() => expect(new Set(accepted()).size).toBe(total), limit);
      const seconds = (performance.now() - began) / 1000;
      await rig.settled(0);

      const [all, failed] = [backend.sightings.length, backend.sightings.filter(({ status: given }) => given !== 200).length];
      console.info(
        `${server.name}: ${total} messages in ${seconds.toFixed(1)} s, ${kills} kills, ${all} requests, ${failed} failed; ` +
          `${total - new Set(accepted()).size} lost, ${accepted().length - total} accepted twice`,
      );
      expect(renamed(seen())).toEqual([]);
      expect(outOfOrder(accepted(), speakersAtOnce)).toEqual([]);
      expect(pusher.log.filter(({ event }) => event === 'tap.hole')).toEqual([]);
      for (const sort of ['missed', 'queues_lost'])
        expect(await rig.metric(`event_pusher_tap_${sort}_total{attachment="chat",host="localhost"}`)).toBe(0);
      expect(await pusher.stop()).toBe(0);
    });
  });
}
