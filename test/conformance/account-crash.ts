import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { createPusher } from '../support/pusher.ts';
import { createSightings, renamed } from '../support/sightings.ts';
import { startTarget } from '../support/target.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { AccountServer } from './account.ts';

/**
 * Kills the built service with `kill -9` at random moments while users write to its account. The backend must have every
 * message, and each duplicate with the id of the first request.
 */
export function losesNothingOfItsAccountWhenKilled(
  server: AccountServer,
  { total, kills }: { readonly total: number; readonly kills: number },
): void {
  const title = `delivers each of ${total} messages although it is killed ${kills} times`;
  describe.skipIf(!server.isHere)(`with an account on ${server.name}`, () => {
    test(title, { timeout: 180_000 }, async () => {
      await using chat = await server.start();
      await using backend = await startTarget();
      await using pusher = await createPusher({ loglevel: 'info', config: configuration(chat.c2sPort, backend.origin) });
      const speakers = await Promise.all(['alice', 'carol'].map((user) => chat.connect({ user })));
      const seen = createSightings(backend.requests);
      await pusher.start(); // the first start has no mark and begins with the present

      let said = 0;
      for (let kill = 1; kill <= kills; kill += 1) {
        const share = Math.floor((kill * total) / kills);
        const enough = Math.floor((kill - 1 + 0.1 + Math.random() * 0.8) * (total / kills));
        for (; said < share; said += 1) say(speakers, said);
        await eventually(() => backend.requests.length >= enough);
        await pusher.kill();
        pusher.launch();
      }
      await eventually(() => expect(seen().size).toBe(total));
      for (const speaker of speakers) speaker.sendChat('bob@localhost', `the last word of ${speaker.bare}`);
      await eventually(() => expect(seen().size).toBe(total + speakers.length));

      const requests = backend.requests.length - speakers.length;
      console.info(`${total} messages, ${kills} kills: ${requests} requests, ${requests - total} duplicates`);
      expect(renamed(seen())).toEqual([]);
      expect(await pusher.stop()).toBe(0);
    });
  });
}

function say(speakers: readonly XmppUser[], number: number): void {
  speakers[number % speakers.length]?.sendChat('bob@localhost', `number ${number}`);
}

function configuration(port: number, backend: string): string {
  return `
[attach.bot]
type = "client"
service = "xmpp://127.0.0.1:${port}"
jid = "bob@localhost"
password = "pw"
reconnect_max = "1s"
[outgoing_pools.http.http_pool.connection]
host = "${backend}"
[modules.mod_event_pusher.backend.http]
path = "/notifications"
when = { direction = "out", body = true }
`;
}
