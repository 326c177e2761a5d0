/** ejabberd with our module: messages with sender and receiver at the built service. */
import { describe, expect, test } from 'vitest';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import { connectXmppJs } from '../support/xmpp-js-user.ts';

const witness = `
[[modules.mod_event_pusher.backend.http]]
path = "/witness"
callback_module = "mod_event_pusher_http_json"
ordering = "sender"
when = { stanza = "message" }
`;

const server = await ejabberdTap();

describe.skipIf(!server.isHere)('with our module on ejabberd', () => {
  test('names a host that ejabberd does not serve', async () => {
    await using ejabberd = await server.startWith();
    await using rig = await startPushRig(ejabberd.componentPort, { hosts: ['localhost', 'elsewhere.localhost'], started: false });
    rig.pusher.launch();
    const line = await rig.pusher.said(
      ({ event, host, state }) => event === 'attachment.state' && host === 'elsewhere.localhost' && state === 'refused',
    );
    expect(line['reason']).toMatch(/^the chat server does not serve elsewhere.localhost \([a-z-]+\): correct hosts in the configuration/);
  });

  test('messages of two users arrive in order, with direction and number of sessions', async () => {
    await using ejabberd = await server.startWith();
    await using rig = await startPushRig(ejabberd.componentPort, { handlers: witness });
    await using alice = await connectXmppJs({ port: ejabberd.c2sPort, username: 'alice', resource: 'phone' });
    await using desk = await connectXmppJs({ port: ejabberd.c2sPort, username: 'bob', resource: 'desk' });
    await using web = await ejabberd.connect({ user: 'bob', resource: 'web', transport: 'websocket' });
    await alice.say('bob@localhost', 'Hi, Bob!');
    await web.next((stanza) => stanza.text('body') === 'Hi, Bob!');
    await desk.say('alice@localhost', 'Hi, Alice!');
    await eventually(() => alice.heard.includes('Hi, Alice!'));
    await alice.say('carol@localhost', 'Sleep well');
    await rig.settled(6);

    const events = rig.bodies('witness').map((body) => JSON.parse(body));
    const lines = events.map(({ direction, from, body, sessions }) => `${direction} ${from.full}: ${body} (${sessions})`);
    expect(lines.filter((line) => line.includes('alice@'))).toEqual([
      'in alice@localhost/phone: Hi, Bob! (null)',
      'out alice@localhost/phone: Hi, Bob! (2)',
      'in alice@localhost/phone: Sleep well (null)',
      'out alice@localhost/phone: Sleep well (0)',
    ]);
    expect(lines.filter((line) => line.includes('bob@'))).toEqual([
      'in bob@localhost/desk: Hi, Alice! (null)',
      'out bob@localhost/desk: Hi, Alice! (1)',
    ]);
  });
});
