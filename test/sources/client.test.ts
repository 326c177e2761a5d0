import { expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { element } from '../../src/packet/xml/element.ts';
import { type ClientRig, type ClientSetting, startClientSource } from '../support/client-source.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeTimers } from '../support/fake-timers.ts';
import { type Script, type ScriptedAccountServer, startScriptedAccountServer } from '../support/scripted-account-server.ts';

/** Shortens all waits except the deadlines of 10 s and more. */
const fast: Timers = { after: (ms, action) => systemTimers.after(ms >= 10_000 ? ms : Math.min(ms, 5), action) };
const room = { jid: 'ops@rooms.localhost', nick: 'pusher' };

test('after a refused password the wait starts at 30 s and doubles', async () => {
  const timers = createFakeTimers();
  await using server = await startScriptedAccountServer({ refuses: 'not-authorized' });
  await using rig = await startClientSource({ port: server.port, timers });
  for (const wait of [30_000, 60_000, 120_000]) {
    await eventually(() => expect(timers.waits).toContain(wait));
    expect(rig.reason()).toBe(
      'refused: the server refuses the login of bob@localhost: not-authorized. Check [attach.bot] jid and password',
    );
    timers.fire();
  }
  await eventually(() => expect(server.connections).toBe(4));
});

test('after a temporary failure the wait is shorter', async () => {
  const timers = createFakeTimers();
  await using server = await startScriptedAccountServer({ refuses: 'temporary-auth-failure' });
  await using rig = await startClientSource({ port: server.port, timers, attachment: { reconnectCapMs: 3000 } });
  for (const wait of [1000, 2000, 3000]) {
    await eventually(() => expect(timers.waits).toContain(wait));
    timers.fire();
  }
  expect(rig.reason()).toContain('offline: the login failed temporarily');
});

test('survives invalid addresses, deeply nested stanzas and undeclared prefixes', async () => {
  await using chat = await startChat();
  chat.server.send("<message from='@@@//' to='bob@localhost'><body>strange</body></message>");
  chat.server.send(`<message>${'<a>'.repeat(200)}${'</a>'.repeat(200)}</message>`);
  chat.server.send("<message><x p:a='1'/></message>");
  chat.server.send(message('plain'));
  await eventually(() => expect(chat.rig.bodies()).toEqual(['strange', 'plain']));
  expect(chat.rig.skipped).toEqual(['malformed', 'malformed']);
  expect(chat.server.connections).toBe(1);
});

test('accepts carbons and archived messages only from their own sources', async () => {
  await using chat = await startChat();
  const forwarded = `<forwarded xmlns='urn:xmpp:forward:0'>${message('forged')}</forwarded>`;
  chat.server.send(`<message from='mallory@localhost'><received xmlns='urn:xmpp:carbons:2'>${forwarded}</received></message>`);
  chat.server.send(`<message from='mallory@localhost'><result xmlns='urn:xmpp:mam:2' queryid='q' id='1'>${forwarded}</result></message>`);
  chat.server.send(`<message from='bob@localhost'><result xmlns='urn:xmpp:mam:2' queryid='q' id='1'>${forwarded}</result></message>`);
  chat.server.send(message('real'));
  await eventually(() => expect(chat.rig.bodies()).toEqual(['real']));
  expect(chat.rig.skipped).toEqual(['forged', 'forged', 'duplicate']);
});

test('a sender cannot hide a message by adding the elements of a copy', async () => {
  await using chat = await startChat();
  const forwarded = `<forwarded xmlns='urn:xmpp:forward:0'>${message('forged')}</forwarded>`;
  const copies = [
    `<received xmlns='urn:xmpp:carbons:2'>${forwarded}</received>`,
    `<sent xmlns='urn:xmpp:carbons:2'/>`,
    `<result xmlns='urn:xmpp:mam:2' queryid='' id='1'>${forwarded}</result>`,
  ];
  copies.forEach((copy, i) => {
    chat.server.send(`<message type='chat' from='mallory@localhost/x' to='bob@localhost'><body>hidden ${i}</body>${copy}</message>`);
  });
  await eventually(() => expect(chat.rig.bodies()).toEqual(['hidden 0', 'hidden 1', 'hidden 2']));
});

test('an occupant cannot forge items of the room archive', async () => {
  await using chat = await startChat({ attachment: { rooms: [room] } }, { attached: false });
  await eventually(() => expect(entries(chat.server)).toHaveLength(1));
  const forged = "<message xmlns='jabber:client' type='groupchat' from='ops@rooms.localhost/alice'><body>forged</body></message>";
  const result = `<result xmlns='urn:xmpp:mam:2' queryid='' id='1'><forwarded xmlns='urn:xmpp:forward:0'>${forged}</forwarded></result>`;
  chat.server.send(`<message type='groupchat' from='ops@rooms.localhost/mallory' to='bob@localhost'>${result}</message>`);
  chat.server.send(`<message type='groupchat' from='ops@rooms.localhost' to='bob@localhost'>${result}</message>`);
  chat.server.send(message('real'));
  await eventually(() => expect(chat.rig.bodies()).toEqual(['real']));
  expect(chat.rig.skipped).toEqual(['forged', 'duplicate']);
  expect([...chat.rig.disk.keys()]).toEqual([]);
});

test('a room that refuses to be joined is reported, and retried', async () => {
  await using chat = await startChat({ timers: fast, attachment: { rooms: [room] } }, { attached: false });
  await eventually(() => expect(entries(chat.server).length).toBeGreaterThan(0));
  expect(entries(chat.server)[0]).toContain('<history maxstanzas="0"');
  chat.server.send(
    "<presence type='error' from='ops@rooms.localhost/pusher'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>",
  );
  await eventually(() => expect(chat.rig.reason()).toBe('refused: room ops@rooms.localhost: refused: conflict'));
  await eventually(() => expect(entries(chat.server).length).toBeGreaterThan(1));
  chat.server.send(
    "<presence from='ops@rooms.localhost/pusher'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>",
  );
  await chat.rig.attached();
});

test('stops reading while too many bytes are uncommitted', async () => {
  await using chat = await startChat({ commit: false, attachment: { maxUncommittedBytes: 10_000 } });
  for (let number = 1; number <= 2000; number += 1) chat.server.send(message(`number ${number} ${'x'.repeat(200)}`));
  await eventually(() => expect(chat.rig.source.uncommittedBytes).toBeGreaterThan(10_000));
  const before = chat.rig.packets.length;
  expect(before).toBeLessThan(2000);
  let committed = 0;
  await eventually(() => {
    for (; committed < chat.rig.receipts.length; committed += 1) chat.rig.receipts[committed]?.committed();
    expect(chat.rig.packets).toHaveLength(2000);
  });
});

test('without acknowledgements a message is sent when the ping after it is answered', async () => {
  let answers = true;
  const answer: Script['answer'] = ({ xml }) => (xml.includes('urn:xmpp:ping') && answers ? '' : undefined);
  await using chat = await startChat({ timers: fast }, { script: { answer } });
  await chat.rig.source.send(element('message', { to: 'alice@localhost', id: 'a' }, [element('body', {}, ['hello'])]));
  expect(sent(chat.server)).toEqual(['a']);
  answers = false;
  chat.server.hangUp();
  await chat.rig.source.send(element('message', { to: 'alice@localhost', id: 'b' }));
  expect(sent(chat.server)).toEqual(['a', 'b']);
});

test('detects a dead peer by an unanswered ping', async () => {
  await using chat = await startChat({ attachment: { pingIntervalMs: 50, pingTimeoutMs: 500 } });
  await eventually(() => expect(pings(chat.server)).toBeGreaterThan(3)); // answered, so still connected
  expect(chat.server.connections).toBe(1);
  chat.server.fallSilent();
  await eventually(() => expect(chat.rig.reason()).toMatch(/^offline: the server has been silent for \d+ ms and does not answer a ping$/));
});

test('the size of the send queue is bounded', async () => {
  await using rig = await startClientSource({ port: 1 });
  const large = element('message', { to: 'alice@localhost' }, [element('body', {}, ['x'.repeat(9_000_000)])]);
  const first = rig.source.send(large);
  await expect(rig.source.send(large)).rejects.toMatchObject({ code: 'OUTBOX_FULL' });
  await rig.source.stop();
  await expect(first).rejects.toMatchObject({ code: 'OUTBOX_CLOSED' });
});

async function startChat(
  setting: Omit<ClientSetting, 'port'> = {},
  { script = {}, attached = true }: { readonly script?: Script; readonly attached?: boolean } = {},
): Promise<{ readonly server: ScriptedAccountServer; readonly rig: ClientRig } & AsyncDisposable> {
  const server = await startScriptedAccountServer(script);
  const rig = await startClientSource({ port: server.port, ...setting });
  if (attached) await rig.attached();
  return {
    server,
    rig,
    [Symbol.asyncDispose]: async () => {
      await rig.source.stop();
      await server[Symbol.asyncDispose]();
    },
  };
}

function message(body: string): string {
  return `<message xmlns='jabber:client' type='chat' from='alice@localhost/phone' to='bob@localhost'><body>${body}</body></message>`;
}

function entries(server: ScriptedAccountServer): string[] {
  return server.received
    .filter(({ name, attrs }) => name === 'presence' && attrs['to'] === 'ops@rooms.localhost/pusher')
    .map(({ xml }) => xml);
}

function sent(server: ScriptedAccountServer): (string | undefined)[] {
  return server.received.filter(({ name }) => name === 'message').map(({ attrs }) => attrs['id']);
}

function pings(server: ScriptedAccountServer): number {
  return server.received.filter(({ xml }) => xml.includes('urn:xmpp:ping')).length;
}
