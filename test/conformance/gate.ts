import { describe, expect, test } from 'vitest';
import { createDeferred } from '../../src/kit/lifecycle.ts';
import type { Stanza } from '../../src/model/packet.ts';
import { findChild, findChildren } from '../../src/packet/xml/element.ts';
import type { ComponentLogin } from '../support/component-socket.ts';
import { eventually } from '../support/eventually.ts';
import { startGate } from '../support/gate.ts';
import { answered, attachTap, seen } from '../support/tap-pusher.ts';
import { freePort, startTarget } from '../support/target.ts';
import type { UserLogin, XmppUser } from '../support/xmpp-user.ts';

/** A kind of chat server that our gate runs on, together with the tap. */
export interface GatedServer {
  readonly name: string;
  /** Whether it can run on this machine; its tests are skipped if it cannot. */
  readonly isHere: boolean;
  start(settings: GatedSettings): Promise<GatedChat>;
}

export interface GatedSettings {
  readonly url: string;
  readonly token?: string;
  /** Default longer than any test. */
  readonly timeoutMs?: number;
  /** Default: not set. */
  readonly onFailure?: 'continue' | 'refuse';
  readonly rooms?: string;
}

/** A running server, with the users alice, bob and carol on localhost, and the component pusher.localhost. */
export interface GatedChat extends AsyncDisposable {
  readonly component: ComponentLogin;
  connect(login: Omit<UserLogin, 'port'>): Promise<XmppUser>;
  logs(): string;
}

/** The effect of each decision on a message. */
export function carriesOutDecisions(server: GatedServer): void {
  describe.skipIf(!server.isHere)(`a message that ${server.name} asks about`, () => {
    test('is delivered unchanged when it is allowed, and the question contains all of it', async () => {
      await using gate = await startGate({ token: 's3same' });
      await using chat = await server.start({ url: gate.url, token: 's3same' });
      await using alice = await chat.connect({ user: 'alice', resource: 'pho & né' });
      await using bob = await chat.connect({ user: 'bob' });
      const sent = 'Grüße & <3 😀';
      const id = alice.sendChat(bob.bare, sent, "<x xmlns='urn:example:x'><y a='&quot;'/></x>");
      const received = await bob.next(isMessage);

      expect(received.text('body')).toBe(sent);
      expect(gate.asked).toMatchObject([
        {
          acc: { host: 'localhost', origin: 'gate', session: alice.jid, kind: 'message' },
          from: { full: alice.jid },
          to: { full: bob.bare },
          packet: { name: 'message', ns: 'jabber:client', attrs: { id, type: 'chat' } },
        },
      ]);
      for (const stanza of [gate.asked[0]?.packet, received]) {
        expect(stanza?.text('body')).toBe(sent);
        expect(findChild(stanza ?? received, 'x', 'urn:example:x')?.children).toMatchObject([{ name: 'y', attrs: { a: '"' } }]);
      }
    });

    test('is not delivered, archived, copied or tapped when it is refused, and its sender receives the reason', async () => {
      await using gate = await startGate({
        gate: ({ packet }) => (packet.text('body') === 'rude' ? { refuse: 'Say it <nicely> 😀' } : true),
      });
      await using chat = await server.start({ url: gate.url });
      await using tap = await attachTap(chat);
      await using phone = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'alice', resource: 'desk' });
      await using bob = await chat.connect({ user: 'bob' });
      await desk.ask("<enable xmlns='urn:xmpp:carbons:2'/>");
      await seen(tap, phone);
      const id = phone.sendChat(bob.bare, 'rude');
      const error = await phone.next((stanza) => isMessage(stanza) && stanza.attrs['id'] === id);

      expect(error.attrs).toMatchObject({ type: 'error', from: bob.bare, to: phone.jid });
      const reason = findChild(error, 'error');
      expect(reason?.attrs['type']).toBe('cancel');
      expect(reason?.children).toMatchObject([{ name: 'not-allowed' }, { name: 'text' }]);
      expect(error.text('error', 'text')).toBe('Say it <nicely> 😀');

      phone.sendChat(bob.bare, 'kind');
      expect((await bob.next(isMessage)).text('body')).toBe('kind');
      await desk.next(({ xml }) => xml.includes('urn:xmpp:carbons:2') && xml.includes('kind'));
      expect(await archived(phone)).toEqual(['the last word', 'kind']);
      expect(await archived(bob)).toEqual(['kind']);
      expect(await seen(tap, phone)).toEqual(['in alice/phone > bob: kind', 'out alice/phone > bob: kind (1)']);
      expect([...desk.received, ...bob.received].filter(({ xml }) => xml.includes('rude'))).toEqual([]);
    });

    test('carries the new text to its receiver, the archive, other clients and the tap when it is changed', async () => {
      await using gate = await startGate({ gate: () => ({ body: '**** & 😀' }) });
      await using chat = await server.start({ url: gate.url });
      await using tap = await attachTap(chat);
      await using phone = await chat.connect({ user: 'alice', resource: 'phone' });
      await using desk = await chat.connect({ user: 'alice', resource: 'desk' });
      await using bob = await chat.connect({ user: 'bob' });
      await desk.ask("<enable xmlns='urn:xmpp:carbons:2'/>");
      const others =
        "<body xml:lang='de'>Mist</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>damn</body></html>";
      const id = phone.sendChat(bob.bare, 'damn', `${others}<active xmlns='http://jabber.org/protocol/chatstates'/>`);
      const received = await bob.next(isMessage);
      const carbon = await desk.next(({ xml }) => xml.includes('urn:xmpp:carbons:2'));
      const items = [await tap.item(), await tap.item()];

      for (const stanza of [received, items[0]?.stanza, items[1]?.stanza]) {
        expect(stanza?.attrs).toMatchObject({ id, type: 'chat', from: phone.jid, to: bob.bare });
        expect(findChildren(stanza ?? received, 'body').map((body) => body.text())).toEqual(['**** & 😀']);
        expect(stanza?.xml).toContain('chatstates');
      }
      expect(await archived(phone)).toEqual(['**** & 😀']);
      expect(await archived(bob)).toEqual(['**** & 😀']);
      for (const { xml } of [received, carbon, ...tap.inbox.all, ...phone.received, ...bob.received]) {
        expect(xml).not.toMatch(/damn|Mist|xhtml-im/);
      }
    });

    test('may arrive over any transport, and be addressed to a room', async () => {
      await using gate = await startGate({ gate: () => ({ refuse: 'no' }) });
      await using chat = await server.start({ url: gate.url, rooms: 'rooms.localhost' });
      for (const transport of ['bosh', 'tcp', 'websocket'] as const) {
        await using alice = await chat.connect({ user: 'alice', transport });
        alice.send(`<message to='room@rooms.localhost' type='groupchat' id='${transport}'><body>hi</body></message>`);
        const { attrs } = await alice.next(isMessage);
        expect(attrs).toMatchObject({ type: 'error', id: transport, from: 'room@rooms.localhost' });
      }
      expect(gate.bodies).toEqual(['hi', 'hi', 'hi']);
    });

    test.each([
      ['after an empty one in English', "<body xml:lang='en'/><body xml:lang='de'>rude</body>"],
      ['before an empty one without a language', "<body xml:lang='de'>rude</body><body/>"],
      ['with a prefix', "<p:body xmlns:p='jabber:client'>rude</p:body>"],
      ['with a prefix, after an empty one', "<body/><p:body xml:lang='de' xmlns:p='jabber:client'>rude</p:body>"],
    ])('is held regardless of the position of its body: %s', async (_where, bodies) => {
      await using gate = await startGate({ gate: () => ({ refuse: 'no' }) });
      await using chat = await server.start({ url: gate.url });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      alice.send(`<message to='${bob.bare}' type='chat' id='hidden'>${bodies}</message>`);
      alice.send(`<message to='${bob.bare}' type='chat' id='last'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
      await bob.next(({ attrs }) => attrs['id'] === 'last');
      expect(bob.received.filter(isMessage).map(({ attrs }) => attrs['id'])).toEqual(['last']);
    });

    test('has a body and is not an error; other messages cause no question', async () => {
      await using gate = await startGate({ gate: () => false });
      await using chat = await server.start({ url: gate.url });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      alice.send(`<message to='${bob.bare}' type='chat' id='state'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
      alice.send(`<message to='${bob.bare}' type='chat' id='empty'><body/><x xmlns='urn:example:x'/></message>`);
      alice.send(
        `<message to='${bob.jid}' type='error' id='error'><body>hi</body><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
      );
      await bob.next(({ attrs }) => attrs['id'] === 'error');

      expect(bob.received.filter(isMessage).map(({ attrs }) => attrs['id'])).toEqual(['state', 'empty', 'error']);
      expect(gate.bodies).toEqual([]);
    });
  });
}

/** Waiting senders and connections while a message is held. */
export function delaysOnlyTheSender(server: GatedServer): void {
  describe.skipIf(!server.isHere)(`while ${server.name} holds a message`, () => {
    test('only its sender waits, and the messages of the sender stay in order', async () => {
      const decisions = createDeferred<boolean>();
      await using gate = await startGate({
        gate: ({ from, packet }) => from.user !== 'alice' || packet.text('body') !== '1' || decisions.promise,
      });
      await using chat = await server.start({ url: gate.url });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      await using carol = await chat.connect({ user: 'carol' });
      for (const word of ['1', '2', '3']) alice.sendChat(carol.bare, word);
      await gate.waits(1);
      for (const word of ['a', 'b', 'c']) bob.sendChat(carol.bare, word);
      for (const word of ['a', 'b', 'c']) expect((await carol.next(isMessage)).text('body')).toBe(word);
      expect(gate.bodies).toEqual(['1', 'a', 'b', 'c']);

      decisions.resolve(true);
      for (const word of ['1', '2', '3']) expect((await carol.next(isMessage)).text('body')).toBe(word);
      expect(gate.bodies.slice(4)).toEqual(['2', '3']);
    });

    test('it is delivered even if its sender disconnects', async () => {
      const decision = createDeferred<boolean>();
      await using gate = await startGate({ gate: () => decision.promise });
      await using chat = await server.start({ url: gate.url });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      alice.sendChat(bob.bare, 'bye');
      await gate.waits(1);
      const gone = alice.close();
      decision.resolve(true);

      expect((await bob.next(isMessage)).text('body')).toBe('bye');
      await gone;
    });

    test.each([200, 403])('a response with status %i, as from a proxy, is not a decision', async (status) => {
      const page = { kind: 'answer', status, headers: [['Content-Type', 'text/html']], body: '<h1>Portal</h1>' } as const;
      await using proxy = await startTarget({ script: () => page });
      await using chat = await server.start({ url: `${proxy.origin}/gate`, onFailure: 'continue' });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      alice.sendChat(bob.bare, 'hi');
      expect((await bob.next(isMessage)).text('body')).toBe('hi');
    });

    test('connections are reused, one per waiting message, and a connection that was closed while idle costs no message', async () => {
      await using pusher = await startTarget({ script: () => ({ kind: 'answer', status: 200, body: 'seen' }) });
      await using chat = await server.start({ url: `${pusher.origin}/gate`, onFailure: 'refuse' });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      const exchange = async () => {
        alice.sendChat(bob.bare, 'hi');
        expect((await bob.next(isMessage)).text('body')).toBe('seen');
      };
      for (let i = 0; i < 5; i += 1) await exchange();
      expect(pusher.counts.connections).toBe(1);

      pusher.hangUp();
      for (let i = 0; i < 5; i += 1) await exchange();
      expect(pusher.counts.connections).toBe(2);
    });

    test('a question on a reused connection that is closed is sent a second time', async () => {
      const used = new Set<number>();
      await using pusher = await startTarget({
        script: ({ connection }) => {
          if (used.has(connection)) return { kind: 'reset' };
          used.add(connection);
          return { kind: 'answer', status: 200, body: `seen by ${connection}` };
        },
      });
      await using chat = await server.start({ url: `${pusher.origin}/gate`, onFailure: 'refuse' });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      for (const connection of [0, 1, 2]) {
        alice.sendChat(bob.bare, 'hi');
        expect((await bob.next(isMessage)).text('body')).toBe(`seen by ${connection}`);
      }
    });
  });
}

/** Messages without a decision. */
export function survivesTheLossOfTheGate(server: GatedServer): void {
  describe.skipIf(!server.isHere)(`without a decision, ${server.name}`, () => {
    const never = createDeferred<boolean>().promise;
    const hangs = { gate: () => never };
    const throws = {
      gate: () => {
        throw new Error('broken');
      },
    };

    test.each([
      ['hangs', hangs],
      ['throws', throws],
    ])('delivers messages by default when the gate %s', async (_, setting) => {
      await using gate = await startGate(setting);
      await using chat = await server.start({ url: gate.url, timeoutMs: 1000 });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      for (const word of ['1', '2']) alice.sendChat(bob.bare, word);
      for (const word of ['1', '2']) expect((await bob.next(isMessage)).text('body')).toBe(word);
      expect(gate.bodies).toEqual(['1', '2']);
    });

    test.each([
      ['hangs', hangs],
      ['throws', throws],
    ])('refuses messages when the gate %s, if configured', async (_, setting) => {
      await using gate = await startGate(setting);
      await using chat = await server.start({ url: gate.url, timeoutMs: 1000, onFailure: 'refuse' });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      const id = alice.sendChat(bob.bare, 'hi');
      const error = await alice.next(isMessage);

      expect(error.attrs).toMatchObject({ type: 'error', id });
      expect(findChild(error, 'error')?.attrs['type']).toBe('wait');
      expect(error.xml).toContain('<resource-constraint ');
      await answered(bob);
      expect(bob.received.filter(isMessage)).toEqual([]);
    });

    test.each(['continue', 'refuse'] as const)(
      'does as configured (%s) while the pusher is down, and asks it when it is up',
      async (onFailure) => {
        const port = await freePort();
        await using chat = await server.start({ url: `http://127.0.0.1:${port}/gate`, onFailure });
        await using alice = await chat.connect({ user: 'alice' });
        await using bob = await chat.connect({ user: 'bob' });
        const outcome = async () => {
          alice.sendChat(bob.bare, 'hi');
          return onFailure === 'continue' ? (await bob.next(isMessage)).text('body') : (await alice.next(isMessage)).attrs['type'];
        };
        const unasked = onFailure === 'continue' ? 'hi' : 'error';
        expect([await outcome(), await outcome()]).toEqual([unasked, unasked]);
        await eventually(() => expect(failures(chat)).toBe(1));

        const gate = await startGate({ port, gate: () => ({ body: 'asked' }) });
        alice.sendChat(bob.bare, 'hi');
        expect((await bob.next(isMessage)).text('body')).toBe('asked');
        await gate.stop();
        expect([await outcome(), await outcome()]).toEqual([unasked, unasked]);
        await eventually(() => expect(failures(chat)).toBe(2));
      },
    );

    test('refuses a message that the pusher cannot read, for any setting, and logs this once', async () => {
      await using gate = await startGate({ maxBodyBytes: 5000 });
      await using chat = await server.start({ url: gate.url, onFailure: 'continue' });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      const deep = `<x xmlns='urn:example:x'>${'<x>'.repeat(150)}${'</x>'.repeat(150)}</x>`;
      for (const sent of [() => alice.sendChat(bob.bare, 'deep', deep), () => alice.sendChat(bob.bare, 'x'.repeat(5000))]) {
        const id = sent();
        const error = await alice.next(isMessage);
        expect(error.attrs).toMatchObject({ type: 'error', id });
        expect(findChild(error, 'error')?.attrs['type']).toBe('modify');
        expect(error.xml).toContain('<not-acceptable ');
      }
      alice.sendChat(bob.bare, 'plain');
      expect((await bob.next(isMessage)).text('body')).toBe('plain');
      await eventually(() => expect(chat.logs().split('The pusher cannot read a message').length - 1).toBe(1));
      expect(failures(chat)).toBe(0);
    });

    test('treats a wrong token as a failure, not as a refusal, and logs it once, without the token', async () => {
      await using gate = await startGate({ token: 's3same' });
      await using chat = await server.start({ url: gate.url, token: 'mistaken' });
      await using alice = await chat.connect({ user: 'alice' });
      await using bob = await chat.connect({ user: 'bob' });
      for (const word of ['1', '2', '3']) alice.sendChat(bob.bare, word);
      for (const word of ['1', '2', '3']) expect((await bob.next(isMessage)).text('body')).toBe(word);

      await eventually(() => chat.logs().includes('answers 401'));
      expect(failures(chat)).toBe(1);
      expect(chat.logs()).not.toContain('mistaken');
      expect(gate.bodies).toEqual([]);
    });
  });
}

function failures(chat: GatedChat): number {
  return chat.logs().split('No decision about messages').length - 1;
}

function isMessage({ name }: Stanza): boolean {
  return name === 'message';
}

/** The texts in a user's archive (XEP-0313). */
async function archived(user: XmppUser): Promise<string[]> {
  const before = user.received.length;
  await user.ask("<query xmlns='urn:xmpp:mam:2'/>");
  const results = user.received.slice(before).map((stanza) => findChild(stanza, 'result', 'urn:xmpp:mam:2'));
  return results.filter((result) => result !== undefined).map((result) => result.text('forwarded', 'message', 'body'));
}
