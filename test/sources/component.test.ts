import { expect, test } from 'vitest';
import { wrap } from '../../demo/tap-server.ts';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { tapNs } from '../../src/sources/component/tap-item.ts';
import type { Events } from '../../src/telemetry/events.ts';
import { chat, messages, nodeAt, startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';

const sentByAlice = { dir: 'in', session: 'alice@localhost/phone' };
/** Shortens all waits except the deadlines of 10 s. */
const fast: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? ms : Math.min(ms, 5), action) };

test('hands over the items of a tap in order, with their attributes', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  chatServer.server.push(chat('one'), { ...sentByAlice, stamp: '2026-11-22T10:00:00.123Z' });
  chatServer.server.push(chat('two'), { dir: 'out', sessions: 2 });
  await eventually(() => chatServer.handed.length === 2);

  expect(chatServer.bodies()).toEqual(['one', 'two']);
  const [first, second] = chatServer.handed.map(({ packet }) => packet);
  expect(first).toMatchObject({
    direction: 'in',
    host: 'localhost',
    origin: 'chat',
    session: 'alice@localhost/phone',
    time: Date.parse('2026-11-22T10:00:00.123Z'),
  });
  expect(second).toMatchObject({ direction: 'out', sessions: 2 });
  expect(first?.from.bare).toBe('alice@localhost');
});

test('hands over status and unack items', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const session = 'alice@localhost/phone';
  const lost = "<message xmlns='jabber:client' type='chat' from='bob@localhost/desk' to='alice@localhost'><body>lost</body></message>";
  chatServer.server.push(`<presence xmlns='jabber:client' from='${session}'/>`, { dir: 'status', status: 'online', session });
  chatServer.server.push(lost, { dir: 'unack', session, sessions: 0 });
  chatServer.server.push(`<presence xmlns='jabber:client' type='unavailable' from='${session}'/>`, {
    dir: 'status',
    status: 'offline',
    session,
  });
  await eventually(() => chatServer.server.acked === 3);

  const told = chatServer.handed.map(({ packet }) => packet);
  expect(told).toMatchObject([
    { event: 'status', kind: 'status', direction: 'in', session, from: { full: session }, stanza: { attrs: { from: session } } },
    { event: 'unack', kind: 'message', direction: 'out', session, sessions: 0, to: { bare: 'alice@localhost' } },
    { event: 'status', kind: 'status', direction: 'in', stanza: { attrs: { type: 'unavailable' } } },
  ]);
  expect(chatServer.skipped).toEqual([]);
});

test('hands over life events with their room and their cause, and skips those that it does not know', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const item = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member'/></x>";
  const changed = `<presence xmlns='jabber:client' from='bob@localhost' to='tea@rooms.localhost'>${item}</presence>`;
  chatServer.server.push(changed, { dir: 'event', event: 'room-affiliation', sender: 'alice@localhost' });
  chatServer.server.push("<presence xmlns='jabber:client' from='bob@localhost'/>", { dir: 'event', event: 'account-registered' });
  chatServer.server.push("<presence xmlns='jabber:client' from='bob@localhost'/>", { dir: 'event', event: 'account-renamed' });
  chatServer.server.push("<presence xmlns='jabber:client' from='bob@localhost'/>", { dir: 'event' });
  await eventually(() => chatServer.server.acked === 4);

  const about = { kind: 'life', direction: 'in', from: { bare: 'bob@localhost' } };
  expect(chatServer.handed.flatMap(({ packet }) => packet ?? [])).toMatchObject([
    { ...about, event: 'room-affiliation', to: { bare: 'tea@rooms.localhost' }, sender: { bare: 'alice@localhost' } },
    { ...about, event: 'account-registered', to: { bare: 'bob@localhost' }, sender: undefined },
  ]);
  expect(chatServer.skipped).toEqual(['unknown-direction', 'unknown-direction']);
});

test('hands over the sender of a room message, and whether the receiver is an absent member', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const heard =
    "<message xmlns='jabber:client' type='groupchat' from='hall@rooms.localhost/vee' to='bob@localhost'><body>hi</body></message>";
  chatServer.server.push(heard, { dir: 'out', sessions: 0, sender: 'alice@localhost' });
  chatServer.server.push(heard, { dir: 'out', sessions: 1, sender: 'alice@localhost', occupant: false });
  await eventually(() => chatServer.handed.length === 2);
  expect(chatServer.handed.map(({ packet }) => [packet?.sender?.bare, packet?.occupant])).toEqual([
    ['alice@localhost', undefined],
    ['alice@localhost', false],
  ]);
});

test.each([
  ['a status of a message', 'status', chat('hi')],
  ['a status of a subscription', 'status', "<presence xmlns='jabber:client' type='subscribe' from='bob@localhost'/>"],
  ['a life event of a message', 'event', chat('hi')],
  ['an unacknowledged presence', 'unack', "<presence xmlns='jabber:client' from='bob@localhost'/>"],
])('acknowledges and counts %s as malformed', async (_, dir, stanza) => {
  await using chatServer = await startSource();
  await chatServer.attached();
  chatServer.server.push(stanza, { dir, event: 'room-joined' });
  await eventually(() => chatServer.server.acked === 1);
  expect(chatServer.skipped).toEqual(['malformed']);
});

test('acknowledges an item only after it is committed', async () => {
  await using chatServer = await startSource({ commit: false });
  await chatServer.attached();
  for (const body of ['one', 'two', 'three']) chatServer.server.push(chat(body), sentByAlice);
  await eventually(() => chatServer.handed.length === 3);
  expect(chatServer.server.acked).toBe(0);

  chatServer.handed[0]?.receipt.committed();
  await eventually(() => chatServer.server.acked === 1);
  chatServer.handed[1]?.receipt.committed();
  chatServer.handed[2]?.receipt.committed();
  await eventually(() => chatServer.server.acked === 3);
});

test('reports the fill level of the tap queue at the resume and with each reminder', async () => {
  const timers: Timers = { after: (ms, action) => systemTimers.after(ms === 30_000 ? 5 : ms, action) };
  await using chatServer = await startSource({ commit: false, timers, server: { queueBytes: 10_000 } });
  const queues: Events['tap.queue'][] = [];
  chatServer.events.on('tap.queue', (queue) => queues.push(queue));
  await chatServer.attached();
  chatServer.server.push(chat('one'), sentByAlice);
  await eventually(() => queues.at(-1)?.items === 1);

  const { bytes = 0, ...queue } = queues.at(-1) ?? {};
  expect(queue).toEqual({
    attachment: 'chat',
    host: 'localhost',
    stream: 'chat/localhost/scripted',
    items: 1,
    ratio: bytes / 10_000,
    leftOut: 0,
  });
  expect(bytes).toBeGreaterThan(100);
  expect(queues[0]).toMatchObject({ items: 0, bytes: 0, ratio: 0 });
  chatServer.handed[0]?.receipt.committed();
  await eventually(() => queues.at(-1)?.items === 0);
});

test('works with an older tap that does not report a fill level', async () => {
  const timers: Timers = { after: (ms, action) => systemTimers.after(ms === 30_000 ? 5 : ms, action) };
  await using chatServer = await startSource({ timers });
  const queues: unknown[] = [];
  chatServer.events.on('tap.queue', (queue) => queues.push(queue));
  await chatServer.attached();
  const asked = () => chatServer.server.received.filter((iq) => findChild(iq, 'ack', tapNs)?.attrs['report'] === 'queue').length;
  await eventually(() => asked() >= 3);
  chatServer.server.push(chat('one'), sentByAlice);
  await eventually(() => chatServer.server.acked === 1);
  expect(queues).toEqual([]);
});

test('continues after a broken connection without a gap or a duplicate', async () => {
  await using chatServer = await startSource({ timers: fast });
  await chatServer.attached();
  chatServer.server.push(chat('one'), sentByAlice);
  chatServer.server.push(chat('two'), sentByAlice);
  await eventually(() => chatServer.handed.length === 2);
  chatServer.server.disconnect();
  chatServer.server.push(chat('three'), sentByAlice);
  await eventually(() => chatServer.handed.length === 3);
  expect(chatServer.bodies()).toEqual(['one', 'two', 'three']);
});

test('recognises uncommitted items as duplicates after a reconnect', async () => {
  await using chatServer = await startSource({ commit: false, timers: fast });
  await chatServer.attached();
  chatServer.server.push(chat('one'), sentByAlice);
  await eventually(() => chatServer.handed.length === 1);
  chatServer.server.disconnect();
  await eventually(() => chatServer.skipped.length === 1);
  expect(chatServer.skipped).toEqual(['duplicate']);
  expect(chatServer.handed.length).toBe(1);

  chatServer.handed[0]?.receipt.committed();
  await eventually(() => chatServer.server.acked === 1);
});

test('skips items up to its marks after a restart', async () => {
  const mark = { attachment: 'chat', host: 'localhost', node: 'scripted', epoch: 'e1', h: 0 };
  await using chatServer = await startSource({ marks: [{ ...mark, h: 2 }] });
  for (const body of ['one', 'two', 'three']) chatServer.server.push(chat(body), sentByAlice);
  await eventually(() => chatServer.handed.length === 1);
  expect(chatServer.bodies()).toEqual(['three']);
});

test('counts dropped items and detects a lost queue', async () => {
  await using chatServer = await startSource({ timers: fast });
  await chatServer.attached();
  chatServer.server.push(chat('one'), sentByAlice);
  await eventually(() => chatServer.server.acked === 1);
  chatServer.server.disconnect();
  for (const body of ['two', 'three', 'four']) chatServer.server.push(chat(body), sentByAlice);
  chatServer.server.dropOldest(2);
  await eventually(() => chatServer.handed.length === 2);
  expect(chatServer.bodies()).toEqual(['one', 'four']);
  expect(chatServer.holes).toEqual([2]);

  chatServer.server.loseQueue('e2');
  chatServer.server.disconnect();
  await eventually(() => chatServer.holes.length === 2);
  expect(chatServer.holes).toEqual([2, undefined]);
});

test('reports a missing mark if the tap has sent items before', async () => {
  const mark = { attachment: 'chat', host: 'localhost', node: 'scripted', epoch: 'e1', h: 2 };
  await using before = await startSource();
  await before.attached();
  for (const body of ['one', 'two']) before.server.push(chat(body), sentByAlice);
  await eventually(() => before.server.acked === 2);
  await before.source.stop();

  await using unmarked = await startSource({ attachment: { nodes: [nodeAt(before.server.port)] } });
  await unmarked.attached();
  expect([unmarked.unmarked, unmarked.holes]).toEqual([[2], []]);
  await unmarked.source.stop();
  await using marked = await startSource({ attachment: { nodes: [nodeAt(before.server.port)] }, marks: [mark] });
  await marked.attached();
  expect([marked.unmarked, marked.holes]).toEqual([[], []]);
});

test('skips messages that do not come from its tap', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const item = { host: 'localhost', domain: 'pusher.localhost', epoch: 'e1', seq: 1 };
  chatServer.server.sendRaw(wrap(chat('another host'), sentByAlice, { ...item, host: 'evil.example' }));
  chatServer.server.sendRaw(wrap(chat('a user'), sentByAlice, { ...item, host: 'mallory@localhost/x' }));
  chatServer.server.sendRaw(wrap(chat('another epoch'), sentByAlice, { ...item, epoch: 'e0' }));
  chatServer.server.push(chat('real'), sentByAlice);
  await eventually(() => chatServer.handed.length === 1);
  expect(chatServer.skipped).toEqual(['forged', 'forged', 'forged']);
  expect(chatServer.bodies()).toEqual(['real']);
});

test('skips and acknowledges an unknown direction, an archive result, a carbon, an error and own traffic', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  chatServer.server.push(chat('later'), { dir: 'sideways' });
  chatServer.server.push("<message xmlns='jabber:client' to='alice@localhost'><result xmlns='urn:xmpp:mam:2' id='1'/></message>", {
    dir: 'out',
  });
  chatServer.server.push("<message xmlns='jabber:client' to='alice@localhost'><sent xmlns='urn:xmpp:carbons:2'/></message>", {
    dir: 'out',
  });
  chatServer.server.push("<message xmlns='jabber:client' type='error' from='bob@localhost' to='alice@localhost'/>", { dir: 'out' });
  chatServer.server.push(chat('echo', { from: 'bot@pusher.localhost' }), { dir: 'out' });
  await eventually(() => chatServer.server.acked === 5);
  expect(chatServer.skipped).toEqual(['unknown-direction', 'archive', 'carbon', 'error', 'own']);
  expect(chatServer.handed.every(({ packet }) => packet === undefined)).toBe(true);
});

test('changes its subscription while items flow, and recognises repeated items', async () => {
  await using chatServer = await startSource({ commit: false });
  const { server, source, handed } = chatServer;
  const wants = () => server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['want'] ?? []);
  await chatServer.attached();
  server.push(chat('one'), sentByAlice);
  await eventually(() => handed.length === 1);

  source.resubscribe({ ...messages });
  source.resubscribe({ ...messages, want: 'message presence' });
  server.push(chat('two'), sentByAlice); // in transit before the resume arrives
  await eventually(() => wants().length === 2 && handed.length === 2);
  server.push(chat('three'), sentByAlice);
  await eventually(() => handed.length === 3);

  expect(wants()).toEqual(['message', 'message presence']);
  expect(chatServer.bodies()).toEqual(['one', 'two', 'three']);
  expect(new Set(chatServer.skipped)).toEqual(new Set(['duplicate']));
  expect(chatServer.states.filter(({ host, state }) => host !== '' && state === 'resuming')).toHaveLength(1);
  for (const { receipt } of handed) receipt.committed();
  await eventually(() => server.acked === 3);
});

test('requests the directions of its subscription, and resumes when they change', async () => {
  await using chatServer = await startSource();
  const dirs = () => chatServer.server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['dir'] ?? []);
  await chatServer.attached();
  chatServer.source.resubscribe({ ...messages, dir: 'in' });
  await eventually(() => dirs().length === 2);
  expect(dirs()).toEqual(['in out', 'in']);
});

test('repeats a resume that is not answered', async () => {
  const timers: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? 5 : ms, action) };
  const unhurried = { connectTimeoutMs: 60_000, pingTimeoutMs: 60_000 };
  await using chatServer = await startSource({ timers, server: { host: 'elsewhere' }, attachment: unhurried });
  const resumes = () => chatServer.server.received.filter((stanza) => findChild(stanza, 'resume') !== undefined);
  await eventually(() => resumes().length >= 3);
  expect(chatServer.handed).toEqual([]);
});

test('resumes with the latest subscription after a reconnect', async () => {
  await using chatServer = await startSource({ timers: fast });
  const wants = () => chatServer.server.received.flatMap((stanza) => findChild(stanza, 'resume')?.attrs['want'] ?? []);
  await chatServer.attached();
  chatServer.server.disconnect();
  chatServer.source.resubscribe({ ...messages, want: 'iq' });
  await eventually(() => wants().at(-1) === 'iq');
});

test('repeats the resume to a host that has answered a new subscription with an error', async () => {
  await using chatServer = await startSource({ timers: fast });
  const { server, source } = chatServer;
  await chatServer.attached();
  server.tapEnabled = false;
  source.resubscribe({ ...messages, want: 'iq' });
  await eventually(() => chatServer.states.some(({ state, reason }) => state === 'refused' && reason.includes('has no tap')));
  server.tapEnabled = true;
  server.push(chat('one'), sentByAlice);
  await eventually(() => chatServer.bodies().includes('one'));
});

test('reports a host without a tap, and retries', async () => {
  await using chatServer = await startSource({ timers: fast });
  await chatServer.attached();
  chatServer.server.tapEnabled = false;
  chatServer.server.disconnect();
  await eventually(() => chatServer.states.some(({ state, host }) => state === 'refused' && host === 'localhost'));
  expect(chatServer.states.find(({ state }) => state === 'refused')?.reason).toContain('mod_event_pusher_tap');
  chatServer.server.tapEnabled = true;
  chatServer.server.push(chat('back'), sentByAlice);
  await eventually(() => chatServer.handed.length === 1);
});

test('reports a wrong secret, and retries slowly', async () => {
  const waits: number[] = [];
  const recording: Timers = {
    after: (ms, action) => {
      waits.push(ms);
      return systemTimers.after(ms, action);
    },
  };
  await using chatServer = await startSource({ attachment: { secret: new Secret('wrong') }, timers: recording });
  await eventually(() => chatServer.states.some(({ state }) => state === 'refused'));
  const refusal = chatServer.states.find(({ state }) => state === 'refused');
  expect(refusal).toMatchObject({ host: '', attachment: 'chat' });
  expect(refusal?.reason).toContain('refuses the secret of pusher.localhost');
  expect(waits.at(-1)).toBe(30_000);
});

test('doubles the wait after each failure, up to its cap', async () => {
  const waits: number[] = [];
  const impatient: Timers = {
    after: (ms, action) => {
      waits.push(ms);
      return systemTimers.after(ms >= 500 ? 1 : ms, action);
    },
  };
  await using chatServer = await startSource({
    attachment: { nodes: [nodeAt(1)], reconnectCapMs: 4000, connectTimeoutMs: 99_999_999 },
    timers: impatient,
  });
  const connects = () => chatServer.states.filter(({ state }) => state === 'connecting').length;
  await eventually(() => connects() >= 6);
  const reconnects = waits.filter((ms) => [1000, 2000, 4000].includes(ms));
  expect(reconnects.filter((ms) => ms === 2000).length).toBeGreaterThan(0);
  expect(Math.max(...reconnects)).toBe(4000);
});

test('ends a stream that is no XML with a reason, and reconnects', async () => {
  await using chatServer = await startSource({ timers: fast });
  await chatServer.attached();
  chatServer.server.sendRaw('HTTP/1.1 400 Bad Request');
  await eventually(() => chatServer.states.some(({ state }) => state === 'offline'));
  chatServer.server.push(chat('after'), sentByAlice);
  await eventually(() => chatServer.bodies().includes('after'));
});

test('decodes characters that are split over reads', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const text = 'żółć 😀 — 語';
  const bytes = Buffer.from(wrap(chat(text), sentByAlice, { host: 'localhost', domain: 'pusher.localhost', epoch: 'e1', seq: 1 }));
  for (const byte of bytes) chatServer.server.sendRaw(Buffer.from([byte]));
  await eventually(() => chatServer.handed.length === 1);
  expect(chatServer.bodies()).toEqual([text]);
});

test('disconnects from a server that does not answer a ping, and stays connected to one that does', async () => {
  await using dead = await startSource({ attachment: { pingIntervalMs: 30, pingTimeoutMs: 30 }, server: { answersPings: false } });
  await using quiet = await startSource({ attachment: { pingIntervalMs: 30, pingTimeoutMs: 1000 } });
  await eventually(() => dead.states.some(({ state, reason }) => state === 'offline' && reason.includes('silent')));
  await eventually(() => quiet.server.received.filter((stanza) => stanza.attrs['id']?.startsWith('ping-')).length >= 2);
  expect(quiet.states.some(({ state }) => state === 'offline')).toBe(false);
});

test('stops reading while too many bytes are uncommitted', async () => {
  await using chatServer = await startSource({
    commit: false,
    attachment: { maxUncommittedBytes: 100_000 },
    server: { window: 1_000_000 },
  });
  await chatServer.attached();
  const body = 'x'.repeat(1000);
  const total = 5000;
  for (let i = 0; i < total; i += 1) chatServer.server.push(chat(body), sentByAlice);
  await eventually(() => chatServer.source.uncommittedBytes > 100_000);
  const held = chatServer.handed.length;
  expect(held).toBeLessThan(total / 2);

  let committed = 0;
  await eventually(() => {
    while (committed < chatServer.handed.length) chatServer.handed[committed++]?.receipt.committed();
    return committed === total;
  });
  expect(chatServer.source.uncommittedBytes).toBe(0);
});

test('answers a ping, and rejects other requests', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  chatServer.server.sendRaw("<iq type='get' id='p1' from='alice@localhost/x' to='pusher.localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
  chatServer.server.sendRaw(
    "<iq type='get' id='d1' from='alice@localhost/x' to='pusher.localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
  );
  const answer = (id: string) => chatServer.server.received.find((stanza) => stanza.attrs['id'] === id);
  await eventually(() => answer('d1') !== undefined);
  expect(answer('p1')?.attrs).toMatchObject({ type: 'result', to: 'alice@localhost/x', from: 'pusher.localhost' });
  expect(answer('d1')?.attrs).toMatchObject({ type: 'error' });
});

test('recognises the removal of a user from a room without status 110', async () => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const presence = (type: string, code: number) =>
    `<presence xmlns='jabber:client'${type} from='tea@rooms.example/Bob' to='bob@localhost/desk'><x xmlns='http://jabber.org/protocol/muc#user'><status code='${code}'/></x></presence>`;
  chatServer.server.push(presence('', 110), { dir: 'out' });
  chatServer.server.push(presence(" type='unavailable'", 307), { dir: 'out' });
  await eventually(() => expect(chatServer.server.acked).toBe(2));
  expect(chatServer.handed.map(({ packet }) => packet?.kind)).toEqual(['presence', 'room-removed']);
});
