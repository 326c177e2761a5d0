/** ejabberd without our module: the built service reads the copies of mod_service_log. */
import { describe, expect, test } from 'vitest';
import { type Ejabberd, startEjabberd } from '../support/ejabberd.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { form, type PushRig, type PushRigOptions, startPushRig } from '../support/push-rig.ts';
import { connectXmppJs } from '../support/xmpp-js-user.ts';

const witness = `
[[modules.mod_event_pusher.backend.http]]
path = "/notifications"
[[modules.mod_event_pusher.backend.http]]
path = "/witness"
callback_module = "mod_event_pusher_http_json"
when = { stanza = "message" }
`;

describe.skipIf(!(await requirePackage('ejabberd', '/usr/sbin/ejabberdctl')))('with an unmodified ejabberd', () => {
  test('a chat message is one form, and one `out` for any number of receiving clients', async () => {
    await using ejabberd = await startEjabberd();
    await using rig = await attach(ejabberd, { handlers: witness });
    await using alice = await connectXmppJs({ port: ejabberd.c2sPort, username: 'alice', resource: 'phone' });
    await using desk = await connectXmppJs({ port: ejabberd.c2sPort, username: 'bob', resource: 'desk' });
    await using web = await ejabberd.connect({ user: 'bob', resource: 'web', transport: 'websocket' });
    await alice.say('bob@localhost', 'Hi, Bob!');
    await web.next((stanza) => stanza.text('body') === 'Hi, Bob!');
    await eventually(() => desk.heard.includes('Hi, Bob!'));
    await desk.say('alice@localhost', 'the last word');
    await rig.settled(6);

    expect(rig.bodies()).toEqual([form('alice', 'bob', 'Hi%2C+Bob%21'), form('bob', 'alice', 'the+last+word')]);
    expect(witnessed(rig)).toEqual([
      'in alice@localhost/phone > bob@localhost: Hi, Bob!',
      'in bob@localhost/desk > alice@localhost: the last word',
      'out alice@localhost/phone > bob@localhost: Hi, Bob!',
      'out bob@localhost/desk > alice@localhost: the last word',
    ]);
    expect(await rig.metric('event_pusher_skipped_total{attachment="chat",reason="duplicate"}')).toBeGreaterThan(0);
  });

  test('archive results, carbons, errors and traffic of the component are not events', async () => {
    await using ejabberd = await startEjabberd();
    await using rig = await attach(ejabberd, { handlers: witness });
    await using phone = await ejabberd.connect({ user: 'alice', resource: 'phone' });
    await using tablet = await ejabberd.connect({ user: 'alice', resource: 'tablet' });
    for (const client of [phone, tablet]) await client.ask("<enable xmlns='urn:xmpp:carbons:2'/>");
    phone.sendChat('unknown@localhost', 'to an unknown user');
    await phone.next(({ attrs }) => attrs['type'] === 'error');
    await tablet.next(({ xml }) => xml.includes('urn:xmpp:carbons:2') && xml.includes('to an unknown user'));
    phone.sendChat('bot@pusher.localhost', 'to the component');
    await phone.ask("<query xmlns='urn:xmpp:mam:2'/>");
    phone.sendChat('carol@localhost', 'the last word');
    await rig.settled(4);

    expect(rig.messages().sort()).toEqual(['the last word', 'to an unknown user']);
    expect(witnessed(rig)).toEqual([
      'in alice@localhost/phone > carol@localhost: the last word',
      'in alice@localhost/phone > unknown@localhost: to an unknown user',
    ]);
    for (const reason of ['archive', 'carbon', 'error', 'own'])
      expect([reason, await rig.metric(`event_pusher_skipped_total{attachment="chat",reason="${reason}"}`)]).not.toEqual([reason, 0]);
  });

  test('a message that is too large after escaping is skipped, and the feed continues', async () => {
    await using ejabberd = await startEjabberd();
    await using rig = await attach(ejabberd, {});
    await using alice = await ejabberd.connect({ user: 'alice', resource: 'phone' });
    alice.sendChat('bob@localhost', "'".repeat(250_000));
    alice.sendChat('bob@localhost', 'the last word');
    await rig.settled(1);
    expect(rig.messages()).toEqual(['the last word']);
    expect(await rig.metric('event_pusher_skipped_total{attachment="chat",reason="too-large"}')).toBeGreaterThan(0);
    expect(await rig.metric('event_pusher_skipped_total{attachment="chat",reason="malformed"}')).toBe(0);
  });

  test('the service reattaches when the server is back', async () => {
    await using ejabberd = await startEjabberd();
    await using rig = await attach(ejabberd, { attachment: 'reconnect_max = "1s"' });
    await ejabberd.stop();
    await eventually(async () => expect((await rig.pusher.get('/readyz')).status).toBe(503));
    await ejabberd.start();
    await eventually(async () => expect((await rig.pusher.get('/readyz')).status).toBe(200));

    await using alice = await ejabberd.connect({ user: 'alice' });
    alice.sendChat('bob@localhost', 'still there?');
    await rig.settled(1);
    expect(rig.bodies()).toEqual([form('alice', 'bob', 'still+there%3F')]);
  });
});

function attach(ejabberd: Ejabberd, options: PushRigOptions): Promise<PushRig> {
  return startPushRig(ejabberd.componentPort, { feed: 'service_log', ...options });
}

/** The lines of the witness, sorted: conversations are not ordered with each other. */
function witnessed(rig: PushRig): string[] {
  return rig
    .bodies('witness')
    .map((body) => JSON.parse(body))
    .map(({ direction, from, to, body }) => `${direction} ${from.full} > ${to.full}: ${body}`)
    .sort();
}
