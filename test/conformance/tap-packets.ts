import { describe, expect, test } from 'vitest';
import type { Stanza } from '../../src/model/packet.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import type { TapItem } from '../../src/sources/component/tap-item.ts';
import { attachTap, formatItem, seen } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';
import type { TapServer } from './tap.ts';

/** The stanzas that a tap hands over, how often, and their attributes. */
export function handsOverStanzas(server: TapServer): void {
  describe.skipIf(!server.isHere)(`the stanzas that the tap of ${server.name} hands over`, () => {
    test('a message is one `in` of its sender and then one `out` to its receiver, numbered', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      alice.sendChat(bob.bare, 'Hi, Bob!');

      const [sent, routed] = [await pusher.item(), await pusher.item()];

      expect([formatItem(sent), formatItem(routed)]).toEqual(['in alice/phone > bob: Hi, Bob!', 'out alice/phone > bob: Hi, Bob! (1)']);
      expect([sent.seq, routed.seq]).toEqual([1, 2]);
      expect([sent.session, routed.session]).toEqual(['alice@localhost/phone', undefined]);
      expect([archivedBy(sent), archivedBy(routed)]).toEqual(['alice@localhost', 'bob@localhost']);
      expect(Math.abs((sent.time ?? 0) - Date.now())).toBeLessThan(60_000);
      const received = await bob.next(({ name }) => name === 'message');
      expect(received.attrs).not.toHaveProperty('xmlns'); // the tap does not change the stanza
    });

    test('`sessions` of a message to an account counts the available clients with a priority that receives it', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
      await using phone = await chat.connect({ user: 'bob', resource: 'phone' });
      await using _mute = await chat.connect({ user: 'bob', resource: 'mute', available: false });
      await using robot = await chat.connect({ user: 'bob', resource: 'robot', available: false });
      await prefer(robot, -1);
      alice.sendChat('bob@localhost', 'to the account');
      for (const client of [desk, phone]) await client.next(isMessage);
      await prefer(phone, 5);
      alice.sendChat('bob@localhost', 'to the account again');
      await phone.next(isMessage);
      for (const client of [desk, phone]) await prefer(client, -1);
      alice.sendChat('bob@localhost', 'with no client there');

      expect(await seen(pusher, alice)).toEqual([
        'in alice/phone > bob: to the account',
        'out alice/phone > bob: to the account (2)',
        'in alice/phone > bob: to the account again',
        'out alice/phone > bob: to the account again (2)',
        'in alice/phone > bob: with no client there',
        'out alice/phone > bob: with no client there (0)',
      ]);
    });

    test('`sessions` of a message to one client is 1 for any priority, and that of the account if the client is gone', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
      await using robot = await chat.connect({ user: 'bob', resource: 'robot', available: false });
      await prefer(robot, -1);
      await using mute = await chat.connect({ user: 'bob', resource: 'mute', available: false });
      for (const client of [desk, robot, mute]) {
        alice.sendChat(client.jid, 'to one of them');
        await client.next(isMessage);
      }
      alice.sendChat('bob@localhost/gone', 'for any client');
      await desk.next(isMessage);
      await prefer(desk, -1);
      alice.sendChat('bob@localhost/gone', 'with no client there');

      expect(await seen(pusher, alice)).toEqual([
        ...['desk', 'robot', 'mute'].flatMap((client) => [
          `in alice/phone > bob/${client}: to one of them`,
          `out alice/phone > bob/${client}: to one of them (1)`,
        ]),
        'in alice/phone > bob/gone: for any client',
        'out alice/phone > bob/gone: for any client (1)',
        'in alice/phone > bob/gone: with no client there',
        'out alice/phone > bob/gone: with no client there (0)',
      ]);
    });

    test('a headline is one `out` for the clients with a priority of 0 or more', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
      await using idle = await chat.connect({ user: 'bob', resource: 'idle' });
      await using robot = await chat.connect({ user: 'bob', resource: 'a-robot', available: false });
      await prefer(desk, 5);
      await prefer(robot, -1);
      alice.send("<message type='headline' to='bob@localhost'><body>Breaking</body></message>");
      for (const client of [desk, idle]) await client.next(isMessage);

      expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: Breaking', 'out alice/phone > bob: Breaking (2)']);
    });

    test('a client in the resumption timeout is not counted', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'train' });
      bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
      await bob.next(({ name }) => name === 'enabled');
      await bob.cut();
      await chat.lostUser(bob.jid);
      alice.sendChat('bob@localhost', 'in a tunnel?');

      expect(formatItem(await pusher.item())).toBe('in alice/phone > bob: in a tunnel?');
      expect(formatItem(await pusher.item())).toBe('out alice/phone > bob: in a tunnel? (0)');
      expect(await seen(pusher, alice)).toEqual([]);
    });

    test('a message to an offline user is one `out` with no client, and its delivery at login is not another', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.sendChat('bob@localhost', 'while you sleep');
      expect(formatItem(await pusher.item())).toBe('in alice/phone > bob: while you sleep');
      expect(formatItem(await pusher.item())).toBe('out alice/phone > bob: while you sleep (0)');

      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await bob.next(({ name }) => name === 'message');

      expect(await seen(pusher, alice)).toEqual([]);
    });

    test('a message to an unknown user has no `out`', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.sendChat('nobody@localhost', 'Hello?');

      expect(await seen(pusher, alice)).toEqual(['in alice/phone > nobody: Hello?']);
    });

    test("a message to the sender's own account has both directions and a receiver", async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.sendChat(alice.bare, 'a note');
      await alice.next(isMessage);
      alice.send("<message type='chat'><body>another</body></message>");
      await alice.next(isMessage);

      expect(await seen(pusher, alice)).toEqual([
        'in alice/phone > alice: a note',
        'out alice/phone > alice: a note (1)',
        'in alice/phone > alice: another',
        'out alice/phone > alice: another (1)',
      ]);
    });

    test('blocked messages have no `out`, in both directions', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await bob.ask("<block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/></block>");
      alice.sendChat(bob.bare, 'to a blocker');
      bob.sendChat(alice.bare, 'to a blocked user');
      await bob.next(({ attrs }) => attrs['type'] === 'error');

      expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: to a blocker']);
    });

    test('the text arrives unchanged', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: `it's <me> & "you"` });
      const text = `<b>'"&amp; ünïcödé 🙂 ]]> ${'long '.repeat(2000)}`;
      alice.sendChat('bob@localhost', text, `<x xmlns='urn:x' xmlns:y='urn:y' y:a="'&lt;"><z/><jc xmlns='jabber:client'/></x>`);

      const { session, stanza } = await pusher.item();
      expect(session).toBe(alice.jid);
      expect(stanza?.attrs['from']).toBe(alice.jid);
      expect(stanza?.text('body')).toBe(text);
      const extra = stanza === undefined ? undefined : findChild(stanza, 'x', 'urn:x');
      expect(extra?.children.map((child) => (typeof child === 'string' ? child : child.ns))).toEqual(['urn:x', 'jabber:client']);
      expect(Object.values(extra?.attrs ?? {})).toContain("'<");
    });

    test('a stanza that is nested too deeply keeps its number, and does not stop the feed', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      alice.sendChat('carol@localhost', 'deep', `${'<d>'.repeat(110)}${'</d>'.repeat(110)}`);
      alice.sendChat('carol@localhost', 'and shallow', `${'<d>'.repeat(90)}${'</d>'.repeat(90)}`);

      expect(await seen(pusher, alice)).toEqual([
        'in too-deep',
        'out too-deep',
        'in alice/phone > carol: and shallow',
        'out alice/phone > carol: and shallow (0)',
      ]);
    });

    test('carbon copies and archive results are not tapped', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
      await using phone = await chat.connect({ user: 'bob', resource: 'phone' });
      await phone.ask("<enable xmlns='urn:xmpp:carbons:2'/>");
      alice.sendChat(desk.jid, 'once');
      await phone.next((stanza) => stanza.name === 'message' && findChild(stanza, 'received', 'urn:xmpp:carbons:2') !== undefined);
      await desk.ask("<query xmlns='urn:xmpp:mam:2'/>");

      expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob/desk: once', 'out alice/phone > bob/desk: once (1)']);
      expect(desk.received.some((stanza) => findChild(stanza, 'result', 'urn:xmpp:mam:2') !== undefined)).toBe(true);
    });

    test('namespace declarations of a client cannot make an item unreadable', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat, 'message presence iq');
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      for (const content of prefixes) {
        alice.send(`<message type='chat' to='carol@localhost' xmlns:p='urn:p' p:m='1'><body>odd</body>${content}</message>`);
        alice.send(`<presence xmlns:p='urn:p' p:m='1'>${content}</presence>`);
        alice.send(`<iq type='set' id='odd' to='carol@localhost' xmlns:p='urn:p'><q xmlns='urn:q'>${content}</q></iq>`);
      }
      alice.sendChat('nobody@localhost', 'the last word');
      const bodies = (await pusher.itemsUntil('the last word')).map(({ stanza }) => stanza?.text('body'));
      expect(bodies.filter((body) => body === 'odd').length).toBeGreaterThanOrEqual(prefixes.length);
    });

    test('a sender cannot hide a message by adding the elements of a copy', async () => {
      await using chat = await server.start();
      await using pusher = await attachTap(chat);
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      const forwarded = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>";
      alice.sendChat(bob.jid, 'result', `<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'>${forwarded}</result>`);
      alice.sendChat(bob.jid, 'carbon', `<received xmlns='urn:xmpp:carbons:2'>${forwarded}</received>`);
      await bob.next((stanza) => stanza.text('body') === 'carbon');

      expect((await seen(pusher, alice)).sort()).toEqual([
        'in alice/phone > bob/desk: carbon',
        'in alice/phone > bob/desk: result',
        'out alice/phone > bob/desk: carbon (1)',
        'out alice/phone > bob/desk: result (1)',
      ]);
    });

    test('presence and iq are tapped if requested: a broadcast once, and its end too', async () => {
      await using chat = await server.start();
      await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
      await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
      await befriend(alice, bob);
      await using pusher = await attachTap(chat, 'presence iq');
      alice.send('<presence><show>away</show></presence>');
      await bob.next((stanza) => stanza.text('show') === 'away');
      await bob.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');
      await alice.close();
      await bob.next(({ attrs }) => attrs['type'] === 'unavailable');
      bob.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");

      const items: string[] = [];
      for (let id = ''; id !== 'last'; ) {
        const item = await pusher.item();
        id = item.stanza?.attrs['id'] ?? '';
        items.push(formatItem(item));
      }
      expect(items).toEqual([
        'in presence alice/phone > all',
        'out presence alice/phone > bob (1)',
        'in iq bob/desk > localhost',
        'in presence unavailable alice/phone > all',
        'out presence unavailable alice/phone > bob (1)',
        'in iq bob/desk > localhost',
      ]);
    });
  });
}

/** A message that a client has received has been tapped, and so precedes the items of later messages. */
function isMessage({ name }: Stanza): boolean {
  return name === 'message';
}

/** Resolves when the server has set the priority, which it confirms to the client itself. */
async function prefer(client: XmppUser, priority: number): Promise<void> {
  client.send(`<presence><priority>${priority}</priority></presence>`);
  await client.next((stanza) => stanza.attrs['from'] === client.jid && stanza.text('priority') === String(priority));
}

function archivedBy({ stanza }: TapItem): string | undefined {
  return stanza === undefined ? undefined : findChild(stanza, 'stanza-id', 'urn:xmpp:sid:0')?.attrs['by'];
}

async function befriend(one: XmppUser, other: XmppUser): Promise<void> {
  for (const [asking, asked] of [
    [one, other],
    [other, one],
  ] as const) {
    asking.send(`<presence type='subscribe' to='${asked.bare}'/>`);
    await asked.next(({ attrs }) => attrs['type'] === 'subscribe');
    asked.send(`<presence type='subscribed' to='${asking.bare}'/>`);
    await asking.next(({ name, attrs }) => name === 'presence' && attrs['from'] === asked.jid);
  }
}

/** With the prefix p declared on the stanza. */
const prefixes = [
  "<x xmlns='urn:x' p:a='1'/>",
  "<p:x p:a='1'/>",
  '<p:x><p:y/></p:x>',
  "<x xmlns='urn:x' xmlns:q='urn:q' q:a='1' p:a='2'><q:y q:b='3'/></x>",
  "<x xmlns='urn:x'><y xmlns:p='urn:other' p:a='1'/><p:z/></x>",
  "<x xmlns='urn:x' xml:lang='de' xmlns:p='urn:p' p:lang='en'/>",
];
