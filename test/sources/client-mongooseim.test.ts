import { expect, test } from 'vitest';
import { systemTimers, type Timers } from '../../src/kit/clock.ts';
import type { Mark } from '../../src/model/packet.ts';
import { startClientSource } from '../support/client-source.ts';
import { eventually } from '../support/eventually.ts';
import { type Script, startScriptedAccountServer } from '../support/scripted-account-server.ts';
import { type ArchivedMessage, createScriptedArchive, messageOf } from '../support/scripted-archive.ts';

/** Shortens the waits before the late pulls, and keeps the deadlines. */
const fast: Timers = { after: (ms, action) => systemTimers.after([5_000, 15_000, 40_000].includes(ms) ? 5 : ms, action) };
const numbered = (count: number, from = 1): ArchivedMessage[] =>
  Array.from({ length: count }, (_, index) => ({ id: `m${from + index}`, body: `message ${from + index}`, sentAt: Date.now() }));

test('a session is requested first if the server requires one', async () => {
  await using server = await startScriptedAccountServer({ insistsOnSession: true });
  await using rig = await startClientSource({ port: server.port });
  await rig.attached();
  expect(server.received.some(({ name }) => name === 'presence')).toBe(true);
  server.send(messageOf({ id: 'm1', body: 'hello' }));
  await eventually(() => expect(rig.bodies()).toEqual(['hello']));
});

test('the archive is read page by page from the newest message at the first start', async () => {
  const archive = createScriptedArchive();
  await using server = await startScriptedAccountServer({ insistsOnSession: true, answer: archive.answer });
  archive.messages.push(...numbered(70));
  const disk = new Map<string, Mark>();
  await using first = await startClientSource({ port: server.port, disk });
  await first.attached();
  expect(first.bodies()).toEqual([]);
  await first.source.stop();

  archive.messages.push(...numbered(120, 71));
  await using second = await startClientSource({ port: server.port, disk });
  await second.attached();
  expect(second.bodies()).toEqual(numbered(120, 71).map(({ body }) => body));
  expect(archive.asked.filter((after) => after !== '')).toEqual(['m70', 'm120', 'm170']);
});

test('a message that is archived some time after its live delivery is no gap after a restart, and arrives once', async () => {
  const archive = createScriptedArchive();
  await using server = await startScriptedAccountServer({ insistsOnSession: true, answer: archive.answer });
  const [old, ...late] = numbered(3);
  archive.messages.push(...(old === undefined ? [] : [old]));
  const disk = new Map<string, Mark>();
  await using first = await startClientSource({ port: server.port, disk });
  await first.attached();
  server.send(late.map(messageOf).join(''));
  await eventually(() => expect(first.bodies()).toEqual(['message 2', 'message 3']));
  await first.source.stop();

  await using second = await startClientSource({ port: server.port, disk, timers: fast });
  await second.attached();
  archive.messages.push(...late, ...numbered(1, 4)); // the last one was not delivered live
  await eventually(() => expect(second.bodies()).toEqual(['message 4']));
  expect([first.gaps(), second.gaps()]).toEqual([0, 0]);
});

test('an archive that ignores the start of a page is reported, and not queried without end', async () => {
  const archive = createScriptedArchive({ takesAfter: false });
  await using server = await startScriptedAccountServer({ insistsOnSession: true, answer: archive.answer });
  archive.messages.push(...numbered(70));
  const mark = { attachment: 'bot', host: 'localhost', node: 'bob@localhost', epoch: 'm60', h: 0 };
  await using rig = await startClientSource({ port: server.port, disk: new Map([[mark.node, mark]]), timers: fast });
  await eventually(() => expect(rig.reason()).toBe('refused: the archive of bob@localhost repeats the same page, and is not read'));
  server.send(messageOf({ id: 'm71', body: 'live nevertheless' }));
  await eventually(() => expect(rig.bodies().at(-1)).toBe('live nevertheless'));
  expect(archive.asked).toHaveLength(2);
});

test('an archive that no longer has the mark is read from its time by the clock of the server', async () => {
  const hourMs = 3_600_000; // how far the server's clock is behind
  const archive = createScriptedArchive();
  const answer: Script['answer'] = (iq, send) => {
    if (!iq.xml.includes('urn:xmpp:time')) return archive.answer(iq, send);
    return `<time xmlns='urn:xmpp:time'><tzo>+02:00</tzo><utc>${new Date(Date.now() - hourMs).toISOString()}</utc></time>`;
  };
  await using server = await startScriptedAccountServer({ answer });
  archive.messages.push({ id: 'm1', body: 'known', sentAt: Date.now() - hourMs });
  const disk = new Map<string, Mark>();
  await using first = await startClientSource({ port: server.port, disk });
  await first.attached();
  await first.source.stop();

  archive.messages.splice(0, 1, { id: 'n1', body: 'since then', sentAt: Date.now() - hourMs });
  await using second = await startClientSource({ port: server.port, disk });
  await second.attached();
  expect([second.gaps(), second.bodies()]).toEqual([1, ['since then']]);
});
