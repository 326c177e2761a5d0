import { describe, expect, test } from 'vitest';
import type { Mark } from '../../src/model/packet.ts';
import { element, findChild } from '../../src/packet/xml/element.ts';
import { type ClientRig, type ClientSetting, startClientSource } from '../support/client-source.ts';
import { eventually } from '../support/eventually.ts';
import { startRelay } from '../support/relay.ts';
import type { UserLogin, XmppUser } from '../support/xmpp-user.ts';

/** A server that accounts attach to; its rooms at `rooms.localhost` have archives that survive a restart. */
export interface AccountServer {
  readonly name: string;
  readonly isHere: boolean;
  start(): Promise<AccountHost>;
}

export interface AccountHost extends AsyncDisposable {
  readonly c2sPort: number;
  connect(login: Omit<UserLogin, 'port'>): Promise<XmppUser>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

const room = { jid: 'ops@rooms.localhost', nick: 'pusher' };

/** Conformance tests of an account as a source, for every server. */
export function receivesMessagesOfTheAccount(server: AccountServer): void {
  describe.skipIf(!server.isHere)(`an account on ${server.name}`, () => {
    test('receives messages to it, and those that its other clients send and receive, each once', async () => {
      await using host = await server.start();
      await using rig = await attach(host);
      await using alice = await host.connect({ user: 'alice', resource: 'phone' });
      await using desk = await host.connect({ user: 'bob', resource: 'desk' });
      alice.sendChat('bob@localhost', 'to all of bob');
      alice.sendChat('bob@localhost/desk', 'to his desk');
      await desk.next((stanza) => stanza.text('body') === 'to his desk');
      desk.sendChat('alice@localhost', 'from his desk');
      await said(rig, 'from his desk');

      expect(rig.seen()).toEqual([
        'out alice@localhost/phone > bob@localhost: to all of bob',
        'out alice@localhost/phone > bob@localhost: to his desk',
        'in bob@localhost/desk > alice@localhost: from his desk',
      ]);
      expect(rig.packets.at(-1)).toMatchObject({ session: 'bob@localhost/desk', host: 'localhost', origin: 'bot', delayed: undefined });
    });

    test('with a priority below 0 it receives all messages, and other clients receive them too', async () => {
      await using host = await server.start();
      await using rig = await attach(host, { attachment: { priority: -1, pingIntervalMs: 200 } });
      await using alice = await host.connect({ user: 'alice' });
      alice.sendChat('bob@localhost', 'nobody there?');
      await said(rig, 'nobody there?');
      await using desk = await host.connect({ user: 'bob', resource: 'desk' });
      await desk.next((stanza) => stanza.text('body') === 'nobody there?');
      alice.sendChat('bob@localhost', 'there you are');
      await said(rig, 'there you are');

      expect(rig.bodies()).toEqual(['nobody there?', 'there you are']);
    });

    test('starts with the present, and reads messages that it and its room have missed, once', async () => {
      await using host = await server.start();
      await using alice = await host.connect({ user: 'alice' });
      alice.sendChat('bob@localhost', 'long ago');
      const disk = new Map<string, Mark>();
      const setting = { disk, attachment: { rooms: [room] } };
      await using first = await attach(host, setting);
      await enter(alice);
      inRoom(alice, 'live in the room');
      alice.sendChat('bob@localhost', 'live');
      await said(first, 'live in the room');
      await said(first, 'live');
      await first.source.stop();

      for (let number = 1; number <= 120; number += 1) alice.sendChat('bob@localhost', `missed ${number}`);
      inRoom(alice, 'missed in the room');
      await alice.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');
      await using second = await attach(host, setting);
      await said(second, 'missed in the room');
      alice.sendChat('bob@localhost', 'live again');
      await said(second, 'live again');

      expect(first.bodies().sort()).toEqual(['live', 'live in the room']);
      const missed = Array.from({ length: 120 }, (_, index) => `missed ${index + 1}`);
      expect(second.bodies().filter((body) => body !== 'missed in the room')).toEqual([...missed, 'live again']);
      expect(second.packets.filter(({ delayed }) => delayed !== undefined)).toHaveLength(121);
      expect(second.seen()).toContain('out ops@rooms.localhost/alice > bob@localhost: missed in the room');
    });

    test('receives only the uncommitted messages again after a crash', async () => {
      await using host = await server.start();
      await using alice = await host.connect({ user: 'alice' });
      const disk = new Map<string, Mark>();
      await using first = await attach(host, { disk });
      alice.sendChat('bob@localhost', 'one');
      await said(first, 'one');
      const afterOne = new Map(disk);
      alice.sendChat('bob@localhost', 'two');
      await said(first, 'two');
      await first.source.stop();

      await using second = await attach(host, { disk: afterOne });
      await said(second, 'two');
      await using third = await attach(host, { disk: afterOne, attachment: { resource: 'other' } });
      alice.sendChat('bob@localhost', 'three');
      await said(third, 'three');
      expect(second.bodies().slice(0, 1)).toEqual(['two']);
      expect(third.bodies()).toEqual(['three']);
    });

    test('resumes after a broken connection, and stays in its room', async () => {
      await using host = await server.start();
      await using relay = await startRelay(host.c2sPort);
      await using alice = await host.connect({ user: 'alice' });
      await using rig = await attach({ c2sPort: relay.port }, { attachment: { rooms: [room] } });
      await enter(alice);
      for (const round of [1, 2]) {
        inRoom(alice, `in the room ${round}`);
        alice.sendChat('bob@localhost', `before cut ${round}`);
        await said(rig, `before cut ${round}`);
        relay.cut();
        alice.sendChat('bob@localhost', `after cut ${round}`);
        await said(rig, `after cut ${round}`);
      }
      inRoom(alice, 'the last word');
      await said(rig, 'the last word');

      expect(rig.bodies().sort()).toEqual([
        'after cut 1',
        'after cut 2',
        'before cut 1',
        'before cut 2',
        'in the room 1',
        'in the room 2',
        'the last word',
      ]);
      expect(relay.connections).toBe(3);
    });

    test('reconnects when the server is back', async () => {
      await using host = await server.start();
      await using rig = await attach(host, { attachment: { rooms: [room] } });
      await host.stop();
      await eventually(() => expect(rig.reason()).toContain('offline'));
      await host.start();
      await eventually(() => expect(rig.reason()).toBe(''));
      await using alice = await host.connect({ user: 'alice' });
      await enter(alice);
      inRoom(alice, 'still there?');
      await said(rig, 'still there?');
      alice.sendChat('bob@localhost', 'and you?');
      await said(rig, 'and you?');
      expect(rig.bodies()).toEqual(['still there?', 'and you?']);
    });

    test('decodes characters that are split over reads', async () => {
      await using host = await server.start();
      await using relay = await startRelay(host.c2sPort, { pieceBytes: 1 });
      await using alice = await host.connect({ user: 'alice' });
      await using rig = await attach({ c2sPort: relay.port });
      alice.sendChat('bob@localhost', 'Grüße, 世界 🚀');
      await eventually(() => rig.packets.length === 1);
      expect(rig.bodies()).toEqual(['Grüße, 世界 🚀']);
    });

    test('confirms its own messages after they have arrived, and never pushes them, live or from the archive', async () => {
      await using host = await server.start();
      await using relay = await startRelay(host.c2sPort);
      await using alice = await host.connect({ user: 'alice' });
      await using rig = await attach({ c2sPort: relay.port }, { attachment: { rooms: [room] } });
      await rig.source.send(message('alice@localhost', 'hello'));
      await rig.source.send(message(room.jid, 'hello, all', 'groupchat'));
      relay.cut();
      await eventually(() => expect(rig.reason()).not.toBe(''));
      await rig.source.send(message('alice@localhost', 'sent while down'));
      await alice.next((stanza) => stanza.text('body') === 'sent while down');
      alice.sendChat('bob@localhost', 'the last word');
      await said(rig, 'the last word');

      expect(alice.received.map((stanza) => stanza.text('body')).filter((body) => body !== '')).toEqual(['hello', 'sent while down']);
      expect(rig.bodies()).toEqual(['the last word']);
      await rig.source.send(message('alice@localhost', 'goodbye'));
      await rig.source.stop();
      await using next = await attach(host, { disk: rig.disk, attachment: { rooms: [room] } });
      alice.sendChat('bob@localhost', 'welcome back');
      await said(next, 'welcome back');
      expect(next.bodies()).toEqual(['welcome back']);
      await expect(rig.source.send(message('alice@localhost', 'too late'))).rejects.toMatchObject({ code: 'OUTBOX_CLOSED' });
    });

    test('two pushers with one resource both stay attached, and both receive all messages', async () => {
      await using host = await server.start();
      await using alice = await host.connect({ user: 'alice' });
      await using first = await attach(host);
      await using second = await attach(host);
      await eventually(() => expect(first.states.some(({ reason }) => reason.includes('has taken the resource "pusher"'))).toBe(true));
      await eventually(() => expect(first.reason()).toBe(''));
      alice.sendChat('bob@localhost', 'to both');
      for (const rig of [first, second]) await said(rig, 'to both');
      expect(second.states.filter(({ state }) => state === 'offline' || state === 'refused')).toEqual([]);
    });

    test('reports a wrong password', async () => {
      await using host = await server.start();
      await using rig = await startClientSource({ port: host.c2sPort, attachment: { jid: { user: 'nobody', domain: 'localhost' } } });
      await eventually(() => expect(rig.reason()).toMatch(/^refused: the server refuses the login of nobody@localhost: not-authorized/));
    });
  });
}

async function attach(host: Pick<AccountHost, 'c2sPort'>, setting: Omit<ClientSetting, 'port'> = {}): Promise<ClientRig> {
  const rig = await startClientSource({ port: host.c2sPort, ...setting });
  await eventually(() => expect(rig.reason()).toBe(''));
  return rig;
}

function said(rig: ClientRig, body: string): Promise<void> {
  return eventually(() => expect(rig.bodies()).toContain(body));
}

/** Joins the room with the user's own name as nick. */
async function enter(user: XmppUser): Promise<void> {
  const nick = user.bare.split('@', 1)[0];
  user.send(`<presence to='${room.jid}/${nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  await user.next((stanza) => stanza.name === 'presence' && findChild(stanza, 'x', 'http://jabber.org/protocol/muc#user') !== undefined);
}

function inRoom(user: XmppUser, body: string): void {
  user.send(`<message type='groupchat' to='${room.jid}'><body>${body}</body></message>`);
}

function message(to: string, body: string, type = 'chat') {
  return element('message', { to, type, id: body.replaceAll(/\W/g, '-') }, [element('body', {}, [body])]);
}
