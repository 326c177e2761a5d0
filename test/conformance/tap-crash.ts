import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import type { TargetRequest } from '../support/request-reader.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';

/**
 * Kills the built service with `kill -9` at random moments while users of the server chat, and asks the backend what it
 * has seen: every message, and each double under the id of its first sight.
 */
export function losesNothingWhenKilled(server: TapServer, { total, kills }: { readonly total: number; readonly kills: number }): void {
  const title = `${kills} times killed while users chat, it has still told the backend every one of ${total} messages`;
  describe.skipIf(!server.isHere)(`with ${server.name}`, () => {
    test(title, { timeout: 120_000 }, async () => {
      await using chat = await server.start();
      await using rig = await startPushRig(chat.component.port, { loglevel: 'warn', started: false });
      const { backend, pusher } = rig;
      const speakers = await Promise.all(['alice', 'bob', 'carol'].map((user) => chat.connect({ user })));

      let said = 0;
      for (let kill = 1; kill <= kills; kill += 1) {
        pusher.launch();
        const share = Math.floor((kill * total) / kills);
        const enough = Math.floor((kill - 1 + 0.1 + Math.random() * 0.8) * (total / kills));
        for (; said < share; said += 1) say(speakers, said);
        await eventually(() => backend.requests.length >= enough, { withinMs: 30_000 });
        await pusher.kill();
      }
      pusher.launch();
      await eventually(() => expect(new Set(rig.messages()).size).toBe(total), { withinMs: 60_000 });
      await rig.settled(0);

      console.info(`${total} messages, ${kills} kills: ${backend.requests.length} requests, ${backend.requests.length - total} doubles`);
      expect(messagesWithSeveralIds(backend.requests)).toEqual([]);
      for (const { bare } of speakers) expect(outOfOrder(rig.bodies(), bare.split('@', 1)[0])).toEqual([]);
      expect(await pusher.stop()).toBe(0);
    });
  });
}

/** One message of many, from each user in turn to the next. */
function say(speakers: readonly XmppUser[], number: number): void {
  const speaker = speakers[number % speakers.length];
  const listener = speakers[(number + 1) % speakers.length];
  if (speaker !== undefined && listener !== undefined) speaker.sendChat(listener.bare, `number ${number}`);
}

function messagesWithSeveralIds(requests: readonly TargetRequest[]): string[] {
  const ids = new Map<string, Set<string | undefined>>();
  for (const request of requests) {
    const message = new URLSearchParams(request.body.toString()).get('message') ?? '';
    ids.set(message, (ids.get(message) ?? new Set()).add(request.header('webhook-id')));
  }
  return [...ids].filter(([, seen]) => seen.size > 1).map(([message]) => message);
}

/** Numbers of a speaker whose first sight comes behind a later number. */
function outOfOrder(bodies: readonly string[], speaker: string | undefined): number[] {
  const forms = bodies.map((body) => new URLSearchParams(body)).filter((form) => form.get('author') === speaker);
  const firstSights = [...new Set(forms.map((form) => Number(form.get('message')?.replace('number ', ''))))];
  return firstSights.filter((number, index) => number < Math.max(...firstSights.slice(0, index), 0));
}
