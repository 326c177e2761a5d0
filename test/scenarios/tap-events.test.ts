/** The built service with the taps of real servers: events reach the handlers that subscribe to them. */
import { describe, expect, test } from 'vitest';
import type { TapServer } from '../conformance/tap.ts';
import { reportedLifeEvents } from '../conformance/tap-life.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { startPushRig } from '../support/push-rig.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const servers: readonly TapServer[] = [await prosodyTap(), await ejabberdTap()];

const handlers = [
  ...['status', 'unack', 'groupchat', 'offline'].map((event) => handler(event, `{ event = "${event}" }`, 'json')),
  handler('rooms', '{ kind = "life", room = "*@rooms.localhost" }', 'json'),
  handler('created', '{ event = "room-created" }', 'cloudevents'),
];

function handler(name: string, when: string, module: string): string {
  return `[[modules.mod_event_pusher.http.handlers]]
name = "${name}"
path = "/${name}"
callback_module = "mod_event_pusher_http_${module}"
when = ${when}
`;
}

describe.each(servers.map((server) => [server.name, server] as const))('%s', (name, server) => {
  test.skipIf(!server.isHere)(
    'reports status changes, unacknowledged messages, senders and life of a room, and stored messages',
    async () => {
      await using chat = await server.start({ rooms: 'rooms.localhost', resumptionSeconds: 1 });
      await using rig = await startPushRig(chat.component.port, { handlers: handlers.join('') });
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'train' });
      const posted = (event: string) => rig.bodies(event).map((body) => JSON.parse(body));

      alice.send("<presence to='tea@rooms.localhost/ali'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
      await alice.next(({ attrs, xml }) => attrs['type'] === 'groupchat' && xml.includes('<subject'));
      alice.send("<message to='tea@rooms.localhost' type='groupchat'><body>Tea?</body></message>");
      await alice.next((stanza) => stanza.text('body') === 'Tea?');
      await loseOne(alice, bob);
      alice.sendChat('carol@localhost', 'for later');

      const teas = () => posted('groupchat').filter(({ body }) => body === 'Tea?');
      await eventually(() =>
        expect([posted('status'), posted('unack'), posted('offline'), teas()].map(({ length }) => length)).toEqual([3, 1, 1, 2]),
      );
      const byUser = posted('status').toSorted((one, other) => one.from.full.localeCompare(other.from.full)); // each has its own lane
      expect(byUser.map(({ from, type, kind }) => [from.full, type, kind])).toEqual([
        ['alice@localhost/phone', 'available', 'status'],
        ['bob@localhost/train', 'available', 'status'],
        ['bob@localhost/train', 'unavailable', 'status'],
      ]);
      expect(posted('unack')).toMatchObject([{ event: 'unack', body: 'lost', session: 'bob@localhost/train', sessions: 0 }]);
      expect(teas().map(({ direction, room, sender }) => [direction, room, sender])).toEqual([
        ['in', 'tea@rooms.localhost', 'alice@localhost'],
        ['out', 'tea@rooms.localhost', 'alice@localhost'],
      ]);
      expect(posted('offline').map(({ body, event }) => [body, event])).toEqual([['for later', 'chat']]);

      const hasLife = reportedLifeEvents[name]?.includes('room-created') === true;
      const [room, user] = ['tea@rooms.localhost', 'alice@localhost'];
      const byEvent = () => posted('rooms').toSorted((one, other) => one.event.localeCompare(other.event));
      await eventually(() => {
        expect(byEvent().map(({ event, room, sender, affiliation }) => [event, room, sender, affiliation])).toEqual(
          hasLife
            ? [
                ['room-affiliation', room, null, 'owner'],
                ['room-created', room, user, null],
                ['room-joined', room, null, 'owner'],
              ]
            : [],
        );
        const about = { type: 'im.xmpp.room-created.in', subject: room, partitionkey: room };
        expect(posted('created')).toMatchObject(
          hasLife ? [{ ...about, data: { event: 'room-created', kind: 'life', room, sender: user } }] : [],
        );
      });
    },
  );
});

/** A message is written to a client that never acknowledges it and is terminated. */
async function loseOne(from: XmppUser, to: XmppUser): Promise<void> {
  to.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
  await to.next(({ name }) => name === 'enabled');
  from.sendChat(to.bare, 'lost');
  await to.next((stanza) => stanza.text('body') === 'lost');
  await to.cut();
}
