import { expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import type { Mark } from '../../src/model/packet.ts';
import { startClientSource } from '../support/client-source.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedAccountServer } from '../support/scripted-account-server.ts';
import { createScriptedArchive, messageOf } from '../support/scripted-archive.ts';

const apostrophes = '&apos;'.repeat(250_000); // 250 000 bytes at the sender
const fast: Timers = { after: (ms, action) => systemTimers.after(ms >= 10_000 ? ms : Math.min(ms, 5), action) };

const odd: [what: string, reason: string, content: string | Buffer][] = [
  ['is larger than allowed', 'too-large', `<body>${apostrophes}</body>`],
  ['nests too much', 'malformed', `${'<a>'.repeat(200)}${'</a>'.repeat(200)}`],
  ['has a prefix that is not declared', 'malformed', "<x p:a='1'/>"],
  ['has an entity that XML does not know', 'malformed', '<body>&nonsense;</body>'],
  ['has a character that XML forbids', 'malformed', '<body>\u0001</body>'],
  ['is not UTF-8', 'malformed', Buffer.from([...Buffer.from('<body>'), 0xc3, 0x28, ...Buffer.from('</body>')])],
  ['is not well-formed', 'malformed', '<body></x>'],
];

function around(content: string | Buffer, open: string, close: string): Buffer {
  return Buffer.concat([Buffer.from(open), Buffer.from(content), Buffer.from(close)]);
}

test.each(odd)('an account continues after a live message that %s', async (_what, reason, content) => {
  await using server = await startScriptedAccountServer();
  await using rig = await startClientSource({ port: server.port });
  await rig.attached();
  server.send(around(content, "<message type='chat' from='alice@localhost/x' to='bob@localhost'>", '</message>'));
  server.send(messageOf({ id: 'm1', body: 'after' }));
  await eventually(() => expect(rig.bodies()).toEqual(['after']));
  expect([rig.skipped, server.connections]).toEqual([[reason], 1]);
});

test.each(odd)('an account continues after a carbon copy that %s', async (_what, reason, content) => {
  await using server = await startScriptedAccountServer();
  await using rig = await startClientSource({ port: server.port });
  await rig.attached();
  const open =
    "<message from='bob@localhost' to='bob@localhost/pusher'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>";
  server.send(around(content, open, '</message></forwarded></received></message>'));
  server.send(messageOf({ id: 'm1', body: 'after' }));
  await eventually(() => expect(rig.bodies()).toEqual(['after']));
  expect([rig.skipped, server.connections]).toEqual([[reason], 1]);
});

test.each(odd.filter(([, , content]) => typeof content === 'string'))(
  'reading an archive continues after an item that %s, which is counted once, also over restarts',
  async (_what, reason, content) => {
    const archive = createScriptedArchive();
    await using server = await startScriptedAccountServer({ answer: archive.answer });
    const bodies = ['before', `</body>${content}<body>`, 'after'];
    archive.messages.push({ id: 'm0', body: 'known' }, ...bodies.map((body, index) => ({ id: `m${index + 1}`, body })));
    const mark: Mark = { attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch: 'm0', h: 0 };
    const disk = new Map([[mark.node, mark]]);
    await using first = await startClientSource({ port: server.port, disk });
    await first.attached();
    expect([first.bodies(), first.skipped]).toEqual([['before', 'after'], [reason]]);
    await first.source.stop();

    await using second = await startClientSource({ port: server.port, disk });
    await second.attached();
    expect([second.bodies(), second.skipped]).toEqual([[], []]);
  },
);

test('a message that was unreadable live is not counted again in the archive', async () => {
  const archive = createScriptedArchive();
  await using server = await startScriptedAccountServer({ answer: archive.answer });
  archive.messages.push({ id: 'm0', body: 'known' });
  await using rig = await startClientSource({ port: server.port, timers: fast });
  await rig.attached();
  const large = { id: 'm1', body: apostrophes };
  server.send(messageOf(large));
  archive.messages.push(large, { id: 'm2', body: 'not live' });
  await eventually(() => expect(rig.bodies()).toEqual(['not live']));
  expect(rig.skipped).toEqual(['too-large']);
});

test('text between stanzas ends the connection and not the service', async () => {
  await using server = await startScriptedAccountServer();
  await using rig = await startClientSource({ port: server.port, timers: fast });
  await rig.attached();
  server.send('no stanza');
  await eventually(() => expect(server.connections).toBe(2));
  await rig.attached();
  server.send(messageOf({ id: 'm1', body: 'still here' }));
  await eventually(() => expect(rig.bodies()).toEqual(['still here']));
});

test('a stanza that never ends does not count as activity', async () => {
  const attachment = { maxStanzaBytes: 4000, pingIntervalMs: 100, pingTimeoutMs: 200 };
  await using server = await startScriptedAccountServer({ answer: ({ xml }) => (xml.includes('urn:xmpp:ping') ? '' : undefined) });
  await using rig = await startClientSource({ port: server.port, attachment });
  await rig.attached();
  server.send(`<message><body>${'x'.repeat(5000)}`);
  const dripping = setInterval(() => server.send('x'.repeat(100)), 20);
  try {
    await eventually(() => expect(rig.states.some(({ reason }) => reason.includes('has not ended within'))).toBe(true));
  } finally {
    clearInterval(dripping);
  }
});
