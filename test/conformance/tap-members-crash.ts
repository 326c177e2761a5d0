import { describe, expect, test } from 'vitest';
import { crowd } from '../support/crowd.ts';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import type { TapServer } from './tap.ts';
import { adminQuery } from './tap-life.ts';
import { enter } from './tap-rooms.ts';

const tea = 'tea@rooms.localhost';
/** Members of the room, of whom the first ones are in it. */
const membersOfRoom = 20;
const speakersInRoom = 4;
const received = 'event_pusher_events_received_total{attachment="chat"}';

const handlers = `[[modules.mod_event_pusher.backend.http]]
path = "/heard"
callback_module = "mod_event_pusher_http_json"
hold = "forever"
when = { event = "groupchat", direction = "out", body = true, any = [{ occupant = false }, { occupant = true }] }
`;

/**
 * Speakers in a room send their messages in bursts, and the built service is killed with `kill -9` at a random moment of each. Each member
 * has each message once, those of one speaker in order, with the speaker; a duplicate has the id of the first request.
 */
export function losesNoCopyWhenKilled(server: TapServer, { total, kills }: { readonly total: number; readonly kills: number }): void {
  const title = `${membersOfRoom} members have each of ${total} messages once, ${speakersInRoom} of them by the room, although the service is killed ${kills} times`;
  describe.skipIf(!server.isHere)(`with ${server.name}`, () => {
    test(title, { timeout: 120_000 + 200 * total }, async () => {
      const users = Object.keys(crowd(membersOfRoom));
      await using chat = await server.start({ users: crowd(membersOfRoom), rooms: 'rooms.localhost', archive: false });
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn', handlers });
      const { pusher } = rig;
      const speakers = await Promise.all(users.slice(0, speakersInRoom).map((user) => chat.connect({ user })));
      const [owner] = speakers;
      for (const speaker of speakers) await enter(speaker, tea);
      for (const user of users.slice(1)) await owner?.ask(adminQuery(`<item affiliation='member' jid='${user}@localhost'/>`), tea);

      let sent = 0;
      const sendUntil = (until: number) => {
        for (; sent < until; sent += 1)
          speakers[sent % speakersInRoom]?.send(`<message to='${tea}' type='groupchat'><body>${sent}</body></message>`);
      };
      for (let kill = 1; kill <= kills; kill += 1) {
        const before = await rig.metric(received);
        sendUntil(Math.floor((kill * total) / (kills + 1)));
        const enough = before + Math.random() * (total / (kills + 1)) * membersOfRoom;
        await eventually(async () => expect(await rig.metric(received)).toBeGreaterThan(enough));
        await pusher.kill();
        await pusher.start();
      }
      sendUntil(total);
      const wanted = users.flatMap((user) => Array.from({ length: total }, (_, number) => `${user} ${number}`));
      await eventually(
        () => {
          expect(rig.backend.requests.length).toBeGreaterThanOrEqual(wanted.length);
          expect(copiesIn(rig.bodies('heard')).size).toBe(wanted.length);
        },
        { withinMs: 60_000 },
      );
      await rig.settled(0);

      const copies = copiesIn(rig.bodies('heard'));
      const requests = rig.bodies('heard').length;
      console.info(`${server.name}: ${total} messages, ${copies.size} copies, ${kills} kills, ${requests} requests, 0 lost`);
      expect([...copies.keys()].sort()).toEqual(wanted.sort());
      expect([...copies.values()].filter((ids) => ids.size !== 1)).toEqual([]);
      expect(wrongIn(rig.bodies('heard'))).toEqual([]);
      for (const sort of ['missed', 'queues_lost']) expect(await rig.metric(`event_pusher_tap_${sort}_total`)).toBe(0);
      expect(await pusher.stop()).toBe(0);
    });
  });
}

/** The ids of the packets of each copy, by receiver and number. */
function copiesIn(bodies: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const copies = new Map<string, Set<string>>();
  for (const text of bodies) {
    const { to, body, id } = JSON.parse(text);
    const copy = `${to.user} ${body}`;
    copies.set(copy, (copies.get(copy) ?? new Set()).add(id));
  }
  return copies;
}

/** Copies with another speaker, for a receiver who counts as absent or present by mistake, or not in the order of their speaker. */
function wrongIn(bodies: readonly string[]): readonly string[] {
  const latest = new Map<string, number>();
  return bodies.flatMap((text) => {
    const { to, body, sender, occupant } = JSON.parse(text);
    const lane = `${to.user} ${sender}`;
    const [number, before] = [Number(body), latest.get(lane)];
    latest.set(lane, Math.max(number, before ?? 0));
    const isAbsent = Number(to.user.slice('user'.length)) >= speakersInRoom;
    const hasFacts = sender === `user${number % speakersInRoom}@localhost` && occupant === (isAbsent ? false : null);
    const isNext = number === (before ?? (number % speakersInRoom) - speakersInRoom) + speakersInRoom;
    const isRepeated = before !== undefined && number <= before;
    return hasFacts && (isNext || isRepeated) ? [] : [`${lane} ${number} after ${before}, occupant ${occupant}`];
  });
}
