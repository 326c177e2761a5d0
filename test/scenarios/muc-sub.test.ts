/** MUC/Sub on ejabberd: the built service sees room messages for subscribers who are not in the room. */
import { describe, expect, test } from 'vitest';
import { startEjabberd } from '../support/ejabberd.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { type PushRig, startPushRig } from '../support/push-rig.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const room = 'tea@rooms.localhost';
const modules = {
  mod_muc: { hosts: ['rooms.localhost'], history_size: 0, default_room_options: { allow_subscription: true, persistent: true } },
};
const witness = `
[[modules.mod_event_pusher.backend.http]]
path = "/witness"
callback_module = "mod_event_pusher_http_json"
when = { direction = "out", kind = "message", body = true, type = "groupchat" }
`;

const tap = await ejabberdTap();

describe.skipIf(!tap.isHere)('a room message for a subscriber who is not in the room', () => {
  test('arrives over the tap as a message of the room, even if the subscriber is offline', async () => {
    await using ejabberd = await tap.startWith({ modules });
    await using rig = await startPushRig(ejabberd.componentPort, { handlers: witness });
    await using alice = await ejabberd.connect({ user: 'alice', resource: 'phone' });
    await using bob = await ejabberd.connect({ user: 'bob', resource: 'desk' });
    await enter(alice);
    await subscribe(bob);
    await say(alice, 'online');
    await bob.next(({ xml }) => xml.includes('online'));
    await bob.close();
    await say(alice, 'offline');
    await rig.settled(4);
    expect(witnessed(rig)).toEqual([
      'tea@rooms.localhost/alice > alice@localhost: offline, in tea@rooms.localhost',
      'tea@rooms.localhost/alice > alice@localhost: online, in tea@rooms.localhost',
      'tea@rooms.localhost/alice > bob@localhost: offline, in tea@rooms.localhost',
      'tea@rooms.localhost/alice > bob@localhost: online, in tea@rooms.localhost',
    ]);
    expect(
      rig
        .bodies('witness')
        .map((body) => JSON.parse(body).sender)
        .sort(),
    ).toEqual(Array(4).fill('alice@localhost'));
  });

  test('arrives over mod_service_log as a message of the room', async () => {
    await using ejabberd = await startEjabberd({ modules });
    await using rig = await startPushRig(ejabberd.componentPort, { feed: 'service_log', handlers: witness });
    await using alice = await ejabberd.connect({ user: 'alice', resource: 'phone' });
    await using bob = await ejabberd.connect({ user: 'bob', resource: 'desk' });
    await enter(alice);
    await subscribe(bob);
    await say(alice, 'online');
    await bob.next(({ xml }) => xml.includes('online'));
    await rig.settled(2);
    expect(witnessed(rig)).toEqual([
      'tea@rooms.localhost/alice > alice@localhost: online, in tea@rooms.localhost',
      'tea@rooms.localhost/alice > bob@localhost: online, in tea@rooms.localhost',
    ]);
  });
});

async function enter(user: XmppUser): Promise<void> {
  user.send(`<presence to='${room}/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await user.next(({ name, attrs }) => name === 'presence' && attrs['from'] === `${room}/alice`);
}

async function subscribe(user: XmppUser): Promise<void> {
  const answer = await user.ask(
    "<subscribe xmlns='urn:xmpp:mucsub:0' nick='bob'><event node='urn:xmpp:mucsub:nodes:messages'/></subscribe>",
    room,
  );
  expect(answer.attrs['type']).toBe('result');
}

async function say(user: XmppUser, body: string): Promise<void> {
  user.send(`<message to='${room}' type='groupchat'><body>${body}</body></message>`);
  await user.next((stanza) => stanza.text('body') === body);
}

function witnessed(rig: PushRig): string[] {
  return rig
    .bodies('witness')
    .map((body) => JSON.parse(body))
    .map(({ from, to, body, room: where }) => `${from.full} > ${to.bare}: ${body}, in ${where}`)
    .sort();
}
