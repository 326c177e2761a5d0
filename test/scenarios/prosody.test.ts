/** Messages of users of a real Prosody, as received by a backend of the built service. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { xml } from '@xmpp/client';
import { describe, expect, test } from 'vitest';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prosody, startProsody } from '../support/prosody.ts';
import { form, startPushRig } from '../support/push-rig.ts';
import { connectXmppJs } from '../support/xmpp-js-user.ts';

const hasProsody = await requirePackage('prosody');
const root = fileURLToPath(new URL('../../', import.meta.url));

describe.skipIf(!hasProsody)('messages between users of Prosody', () => {
  test('arrive as a form, byte for byte, with headers for id and time', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await connectXmppJs({ port: prosody.c2sPort, username: 'alice' });
    await using bob = await connectXmppJs({ port: prosody.c2sPort, username: 'bob' });
    const before = Math.floor(Date.now() / 1000);
    await alice.say('bob@localhost', 'Hi, Bob!');
    await rig.settled(1);
    const after = Math.ceil(Date.now() / 1000);

    const [request] = rig.backend.requests;
    await eventually(() => expect(bob.heard).toEqual(['Hi, Bob!']));
    expect(rig.backend.requests).toHaveLength(1);
    expect(request?.method).toBe('POST');
    expect(request?.path).toBe('/webservice/notifications');
    expect(request?.body.toString()).toBe('author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21');
    expect(request?.header('content-type')).toBe('application/x-www-form-urlencoded');
    expect(request?.header('content-length')).toBe('63');
    expect(request?.header('webhook-id')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(request?.header('event-pusher-attempt')).toBe('1');
    expect(request?.header('user-agent')).toBe(`xmpp-event-pusher/${await ownVersion()}`);

    const sentAt = Number(request?.header('webhook-timestamp'));
    const seenAt = request?.header('event-pusher-time') ?? '';
    expect([sentAt >= before, sentAt <= after]).toEqual([true, true]);
    expect(seenAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(seenAt) / 1000 - sentAt)).toBeLessThanOrEqual(1 + after - before);
  });

  test('name a host that Prosody does not serve', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort, { hosts: ['localhost', 'elsewhere.localhost'], started: false });
    rig.pusher.launch();
    const line = await rig.pusher.said(
      ({ event, host, state }) => event === 'attachment.state' && host === 'elsewhere.localhost' && state === 'refused',
    );
    expect(line['reason']).toMatch(/^the chat server does not serve elsewhere.localhost \([a-z-]+\): correct hosts in the configuration/);
  });

  test('have the JIDs as prepared by the server', async () => {
    await using prosody = await startProsody({ users: { alice: 'pw', bob: 'pw', żółć: 'pw' } });
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await connectXmppJs({ port: prosody.c2sPort, username: 'AlIcE' });
    await using bob = await connectXmppJs({ port: prosody.c2sPort, username: 'bob', resource: 'Desk' });
    await using zolc = await prosody.connect({ user: 'ŻÓŁĆ' }); // @xmpp/client cannot log in with such a name
    await alice.say('BoB@LOCALHOST/Desk', 'Zażółć gęślą jaźń 🍵');
    await rig.settled(1);
    zolc.sendChat('ALICE@localhost', 'one\ntwo');
    await rig.settled(2);
    await bob.say('ŻÓŁĆ@localhost', '~*!');
    await rig.settled(3);

    expect(rig.bodies()).toEqual([
      form('alice', 'bob', 'Za%C5%BC%C3%B3%C5%82%C4%87+g%C4%99%C5%9Bl%C4%85+ja%C5%BA%C5%84+%F0%9F%8D%B5'),
      form('%C5%BC%C3%B3%C5%82%C4%87', 'alice', 'one%0Atwo'),
      form('bob', '%C5%BC%C3%B3%C5%82%C4%87', '%7E%2A%21'),
    ]);
  });

  test("a message to the sender's own account, with or without `to`, is one event", async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await connectXmppJs({ port: prosody.c2sPort, username: 'alice' });
    await alice.say('alice@localhost', 'to me');
    await alice.send(xml('message', { type: 'chat' }, xml('body', {}, 'to nobody')));
    await rig.settled(2);

    expect(rig.bodies()).toEqual([form('alice', 'alice', 'to+me'), form('alice', 'alice', 'to+nobody')]);
  });

  test('without a body are not pushed by the default module', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await prosody.connect({ user: 'alice' });
    await using _bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    alice.sendChat('bob@localhost', '');
    for (const child of [
      "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
      "<received xmlns='urn:xmpp:receipts' id='m1'/>",
      "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
      '<subject>Tea</subject>',
      "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>not this one</body></html>",
    ])
      alice.send(`<message to='bob@localhost' type='chat'>${child}</message>`);
    for (const type of ['normal', 'headline', 'groupchat', 'error'])
      alice.send(`<message to='bob@localhost/desk' type='${type}'><body>of type ${type}</body></message>`);
    alice.send("<message to='bob@localhost'><body>of no type</body></message>");
    alice.sendChat('bob@localhost', 'the last word');
    await rig.settled(1);

    expect(rig.bodies()).toEqual([form('alice', 'bob', 'the+last+word')]);
  });

  test('over WebSocket and BOSH arrive too', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await prosody.connect({ user: 'alice', transport: 'websocket' });
    await using bob = await prosody.connect({ user: 'bob', transport: 'bosh' });
    alice.sendChat('bob@localhost', 'from a socket');
    await bob.next(({ name }) => name === 'message');
    await rig.settled(1);
    bob.sendChat('alice@localhost', 'from a poll');
    await alice.next(({ name }) => name === 'message');
    await rig.settled(2);

    expect(rig.bodies()).toEqual([form('alice', 'bob', 'from+a+socket'), form('bob', 'alice', 'from+a+poll')]);
  });

  test('during an outage of the service arrive afterwards, in order', async () => {
    await using prosody = await startProsody();
    await using rig = await startPushRig(prosody.componentPort);
    await using alice = await prosody.connect({ user: 'alice' });
    alice.sendChat('bob@localhost', 'one');
    await rig.settled(1);
    expect(await rig.pusher.stop()).toBe(0);
    for (const body of ['two', 'three', 'four']) alice.sendChat('bob@localhost', body);
    await rig.pusher.start();
    await rig.settled(3);

    expect(rig.messages()).toEqual(['one', 'two', 'three', 'four']);
  });
});

describe.skipIf(!hasProsody)('a user of Prosody who poses as the tap', () => {
  test('is counted as forged and not pushed, even with the correct epoch', async () => {
    await using prosody = await startProsody({ hosts: ['localhost', 'elsewhere.example'], component: pusherOfLocalhost });
    await using rig = await startPushRig(prosody.componentPort);
    await using mallory = await prosody.connect({ user: 'carol' });
    await using stranger = await prosody.connect({ user: 'alice', host: 'elsewhere.example' });
    const forgery = `<message to='pusher.localhost'>
      <tap xmlns='${tapNs}' seq='1' epoch='${await epochOf(prosody)}' dir='in' session='alice@localhost/phone'/>
      <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@localhost/phone' to='bob@localhost' type='chat'><body>forged</body></message></forwarded>
      </message>`;
    for (const user of [mallory, stranger]) user.send(forgery);
    const refusal = await mallory.ask(`<ack xmlns='${tapNs}' epoch='${await epochOf(prosody)}' h='9'/>`, 'localhost');
    mallory.sendChat('bob@localhost', 'the last word');
    await rig.settled(1);

    expect(refusal.attrs['type']).toBe('error');
    expect(rig.messages()).toEqual(['the last word']);
    await rig.pusher.said((line) => line.event === 'packet.skipped' && line['reason'] === 'forged');
    await eventually(async () => expect(await rig.metric('event_pusher_skipped_total{attachment="chat",reason="forged"}')).toBe(2));
  });
});

const pusherOfLocalhost = { domain: 'pusher.localhost', secret: 's3cret' };

async function ownVersion(): Promise<string> {
  const { version }: { readonly version: string } = JSON.parse(await readFile(`${root}package.json`, 'utf8'));
  return version;
}

/** Values that only an administrator can read. */
async function epochOf(prosody: Prosody): Promise<string> {
  const answer = await prosody.shell('> require"core.modulemanager".get_module("localhost", "event_pusher_tap").module.save().queue.epoch');
  const [epoch = ''] = /[0-9a-f-]{36}/.exec(answer) ?? [];
  return epoch;
}
