import { describe, expect, test } from 'vitest';
import { wrap } from '../../demo/tap-server.ts';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import { findChild } from '../../src/packet/xml/element.ts';
import { chat, startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';

const sentByAlice = { dir: 'in', session: 'alice@localhost/phone' };
/** Shortens all waits except the deadlines of 10 s. */
const fast: Timers = { after: (ms, action) => systemTimers.after(ms === 10_000 ? ms : Math.min(ms, 5), action) };
const small = { maxStanzaBytes: 2000 };

test.each([
  ['is larger than allowed', 'too-large', `<body>${'&apos;'.repeat(2000)}</body>`],
  ['is nested too deeply', 'malformed', `${'<a>'.repeat(200)}${'</a>'.repeat(200)}`],
  ['has an undeclared prefix', 'malformed', "<x p:a='1'/>"],
  ['has a character that XML does not allow', 'malformed', '<body>\u0001</body>'],
  ['has an undefined entity', 'malformed', '<body>&nonsense;</body>'],
])('the feed continues after an item that %s, and acknowledges it in order', async (_what, reason, content) => {
  await using chatServer = await startSource({ timers: fast, attachment: small });
  await chatServer.attached();
  chatServer.server.push(chat('before'), sentByAlice);
  const odd = `<message xmlns='jabber:client' type='chat' from='alice@localhost/phone' to='bob@localhost'>${content}</message>`;
  chatServer.server.push(odd, sentByAlice);
  chatServer.server.push(chat('after'), sentByAlice);
  await eventually(() => chatServer.server.acked === 3);
  expect(chatServer.bodies()).toEqual(['before', undefined, 'after']);
  expect([chatServer.skipped, chatServer.holes]).toEqual([[reason], []]);
  expect(chatServer.states.filter(({ state }) => state === 'offline')).toEqual([]);
});

test('reads the number of an oversized item after an address of maximum length with all characters escaped', async () => {
  await using chatServer = await startSource({ attachment: { maxStanzaBytes: 50_000 } });
  await chatServer.attached();
  chatServer.server.push(chat('x'.repeat(60_000)), { dir: 'in', session: `alice@localhost/${"'".repeat(1023)}` });
  chatServer.server.push(chat('after'), sentByAlice);
  await eventually(() => chatServer.server.acked === 2);
  expect(chatServer.bodies()).toEqual([undefined, 'after']);
});

test.each([
  ['size', { reason: 'too-large', bytes: 2_000_000 }, 'too-large'],
  ['depth', { reason: 'too-deep' }, 'malformed'],
])('an item whose stanza the tap omitted because of its %s is counted and acknowledged', async (_what, marks, skipped) => {
  await using chatServer = await startSource();
  await chatServer.attached();
  const item = { host: 'localhost', domain: 'pusher.localhost', epoch: 'e1', seq: 1 };
  const leftOut = wrap('', { ...sentByAlice, ...marks }, item).replace(/<forwarded.*<\/forwarded>/, '');
  chatServer.server.push(chat('sent again'), sentByAlice);
  await eventually(() => chatServer.server.acked === 1);
  chatServer.server.sendRaw(leftOut.replace("seq='1'", "seq='2'"));
  await eventually(() => chatServer.server.received.some((iq) => findChild(iq, 'ack')?.attrs['h'] === '2'));
  expect([chatServer.skipped, chatServer.holes]).toEqual([[skipped], []]);
});

test('requests a maximum stanza size that leaves space for the wrapper', async () => {
  await using chatServer = await startSource({ attachment: { maxStanzaBytes: 1_048_576 } });
  await chatServer.attached();
  const [resume] = chatServer.server.received.flatMap((iq) => findChild(iq, 'resume') ?? []);
  expect(resume?.attrs['max']).toBe(String(1_048_576 - 16_384));
});

test.each([
  ['a user', 'mallory@localhost/x'],
  ['another server', 'evil.example'],
])('an oversized stanza from %s acknowledges nothing', async (_who, from) => {
  await using chatServer = await startSource({ attachment: small });
  await chatServer.attached();
  const item = { domain: 'pusher.localhost', epoch: 'e1', seq: 7, host: from };
  chatServer.server.sendRaw(wrap(chat('x'.repeat(3000)), sentByAlice, item));
  chatServer.server.push(chat('real'), sentByAlice);
  await eventually(() => chatServer.server.acked === 1);
  expect([chatServer.skipped, chatServer.holes, chatServer.bodies()]).toEqual([['too-large'], [], ['real']]);
});

describe('the other feeds', () => {
  const copy = (content: string) =>
    `<message from='localhost' to='pusher.localhost'><forwarded xmlns='urn:xmpp:forward:0'>${content}</forwarded></message>`;
  const direct = (content: string) =>
    `<message from='alice@localhost/x' to='pusher.localhost' type='chat'><body>${content}</body></message>`;

  test.each([
    ['service_log', copy(chat("'".repeat(3000))), copy(chat('\u0001')), copy(chat('after'))],
    ['direct', direct("'".repeat(3000)), direct('\u0001'), direct('after')],
  ] as const)('%s continues after oversized and unreadable stanzas', async (feed, large, odd, after) => {
    await using chatServer = await startSource({ attachment: { ...small, feed } });
    await chatServer.attached();
    await eventually(() => chatServer.server.connected);
    chatServer.server.sendRaw(large + odd + after);
    await eventually(() => chatServer.bodies().includes('after'));
    expect([chatServer.skipped, chatServer.bodies()]).toEqual([['too-large', 'malformed'], ['after']]);
    expect(chatServer.states.filter(({ state }) => state === 'offline')).toEqual([]);
  });
});

test('a stanza that never ends is acknowledged, ends its stream, and is not requested again', async () => {
  const shortTimeouts = { ...small, pingIntervalMs: 50, pingTimeoutMs: 50 };
  await using chatServer = await startSource({ timers: fast, attachment: shortTimeouts });
  await chatServer.attached();
  const { server } = chatServer;
  server.push(`<message xmlns='jabber:client'><body>${'x'.repeat(3000)}`, sentByAlice);
  const dripping = setInterval(() => server.sendRaw('x'.repeat(100)), 5);
  try {
    await eventually(() => chatServer.states.some(({ state, reason }) => state === 'offline' && reason.includes('has not ended')));
  } finally {
    clearInterval(dripping);
  }
  server.push(chat('after'), sentByAlice);
  await eventually(() => server.acked === 2);
  expect(chatServer.bodies()).toEqual([undefined, 'after']);
});
