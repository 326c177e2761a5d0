/** The built service during and after faults of its environment. A scripted chat server. */
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findChild } from '../../src/packet/xml/element.ts';
import { eventually } from '../support/eventually.ts';
import { startPushRig } from '../support/push-rig.ts';
import { startScriptedChat } from '../support/scripted-chat.ts';
import { canMountDisks, mountSmallDisk } from '../support/small-disk.ts';
import { freePort } from '../support/target.ts';

const MiB = 1024 * 1024;

describe('a chat server', () => {
  test('that refuses the secret is reported in one line for all retries', async () => {
    await using chat = await startScriptedChat({ secret: 'another' });
    await using rig = await startPushRig(chat.server.port, { started: false, loglevel: 'info' });
    const handshakes = () => chat.server.received.filter(({ name }) => name === 'handshake').length;
    rig.pusher.launch();
    await eventually(() => handshakes() >= 2); // it waits for half a minute before the second
    await rig.pusher.stop();

    const [line, ...more] = rig.pusher.log.filter((line) => line.level === 'error');
    expect(more).toEqual([]);
    expect(line).toMatchObject({ event: 'attachment.state', attachment: 'chat', state: 'refused' });
    expect(line?.msg).toContain('secret');
    expect(JSON.stringify(rig.pusher.log)).not.toContain('s3cret');
  });

  test('that is unreachable is named, and attached when it is up', async () => {
    const port = await freePort();
    await using rig = await startPushRig(port, { started: false, loglevel: 'info', attachment: 'reconnect_max = "1s"' });
    rig.pusher.launch();
    const line = await rig.pusher.said((line) => line['state'] === 'offline');
    expect(line.msg).toContain(`127.0.0.1:${port}`);

    await using chat = await startScriptedChat({ port });
    await rig.pusher.said((line) => line.event === 'ready');
    chat.say('there you are');
    await rig.settled(1);
    expect(rig.messages()).toEqual(['there you are']);
  });

  test('without the tap makes the service unready, with the host, until the module is loaded', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port);
    expect(await rig.pusher.get('/readyz')).toMatchObject({ status: 200 });
    chat.server.tapEnabled = false;
    chat.server.disconnect();
    await eventually(async () => {
      const { status, text } = await rig.pusher.get('/readyz');
      expect(status).toBe(503);
      expect(text).toContain('localhost has no tap (service-unavailable): enable the module mod_event_pusher_tap there');
    });
    expect(await rig.pusher.get('/healthz')).toMatchObject({ status: 200 });
    expect(await rig.metric('event_pusher_attached{attachment="chat",host="localhost"}')).toBe(0);

    chat.server.tapEnabled = true;
    chat.server.disconnect();
    await eventually(async () => expect(await rig.pusher.get('/readyz')).toMatchObject({ status: 200 }));
    chat.say('here again');
    await rig.settled(1);
  });

  test('that sends a tap item from a user’s JID is rejected, even with the correct epoch', async () => {
    await using chat = await startScriptedChat();
    await using rig = await startPushRig(chat.server.port);
    const { server } = chat;
    await eventually(() => expect(server.received.some((stanza) => findChild(stanza, 'resume') !== undefined)).toBe(true));
    for (const from of ['alice@localhost', 'localhost/phone', 'elsewhere.example'])
      server.sendRaw(
        `<message from='${from}' to='pusher.localhost'><tap xmlns='urn:x-event-pusher:tap:1' seq='1' epoch='e1' dir='in'/><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='alice@localhost/phone' to='bob@localhost'><body>forged</body></message></forwarded></message>`,
      );
    chat.say('true');
    await rig.settled(1);

    expect(rig.messages()).toEqual(['true']);
    expect(await rig.metric('event_pusher_skipped_total{attachment="chat",reason="forged"}')).toBe(3);
  });
});

describe.skipIf(!(await canMountDisks()))('a full disk (needs root, and mounts a small one)', () => {
  test.each([
    ['below min_free', '4MiB', 3 * MiB, /(has \d+ bytes left, |^no space for the spool)/],
    ['to the last byte', '0B', 0, /(has \d+ bytes left, |^no space for the spool)/],
  ])('%s stops intake without losing acknowledged packets, and intake continues when space is free', async (_, minFree, leftBytes, why) => {
    await using disk = await mountSmallDisk(32 * MiB);
    await using chat = await startScriptedChat();
    const { server } = chat;
    const spool = `[spool]\npath = "${disk.folder}/spool.sqlite"\nmin_free = "${minFree}"`;
    await using rig = await startPushRig(server.port, { spool });
    const filler = 'x'.repeat(20_000);
    let said = 0;
    const sayMore = (count: number) => {
      for (let more = 0; more < count; more += 1) {
        said += 1;
        chat.say(`${said} ${filler}`, `user${said % 50}`);
      }
    };
    sayMore(50);
    await eventually(() => server.acked === 50);
    await disk.fill(leftBytes);
    sayMore(200);
    const line = await rig.pusher.said((line) => line.event === 'spool.writable');
    expect(line).toMatchObject({ level: 'error', writable: false, reason: expect.stringMatching(why) });
    sayMore(1);
    await eventually(async () => {
      const { status, text } = await rig.pusher.get('/readyz');
      expect(status).toBe(503);
      expect(JSON.parse(text)).toMatchObject({
        checks: expect.arrayContaining([{ name: 'spool', ready: false, reason: expect.stringMatching(why) }]),
      });
    });
    expect(await rig.metric('event_pusher_spool_writable')).toBe(0);
    expect(server.acked).toBeLessThan(said);

    await disk.free();
    await eventually(async () => expect(await rig.pusher.get('/readyz')).toMatchObject({ status: 200 }));
    await eventually(() => expect(server.acked).toBe(said));
    await rig.settled(said);
    const numbers = rig.messages().map((message) => Number(message.split(' ', 1)[0]));
    expect(numbers.sort((one, other) => one - other)).toEqual(Array.from({ length: said }, (_nothing, index) => index + 1));
    expect(await rig.pusher.stop()).toBe(0);
  });
});

describe('a damaged spool', () => {
  test('keeps /readyz up with the reason, and the service recovers after the file is replaced', async () => {
    await using chat = await startScriptedChat();
    const listen = `127.0.0.1:${await freePort()}`;
    await using rig = await startPushRig(chat.server.port, { listen, loglevel: 'info', script: () => ({ kind: 'answer', status: 503 }) });
    for (let said = 0; said < 200; said += 1) chat.say('x'.repeat(3000), `user${said}`);
    await eventually(() => expect(chat.server.acked).toBe(200));
    expect(await rig.pusher.stop()).toBe(0);

    const path = join(rig.pusher.folder, 'spool.sqlite');
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(60 * 4096, 'damage '), 0, 60 * 4096, 20 * 4096);
    await file.close();
    rig.pusher.launch();
    await eventually(async () => {
      const answer = await fetch(`http://${listen}/readyz`);
      const text = await answer.text();
      expect(answer.status).toBe(503);
      expect(text).toMatch(/"name":"service","ready":false,"reason":"cannot use the spool at .*: its file is damaged/);
    });
    await rig.pusher.said((line) => line.event === 'service.failed' && line.msg.includes('cannot use the spool')); // checked, and refused

    for (const suffix of ['', '-wal', '-shm']) await rm(path + suffix, { force: true });
    await rig.pusher.said((line) => line.event === 'ready');
    expect(await rig.pusher.stop()).toBe(0);
  });
});

test('with the spool in memory the service works without writing a file', async () => {
  await using chat = await startScriptedChat();
  await using rig = await startPushRig(chat.server.port, { spool: '[spool]\nengine = "memory"' });
  for (const body of ['one', 'two', 'three']) chat.say(body);
  await rig.settled(3);
  await eventually(() => chat.server.acked === 3);

  expect(rig.messages()).toEqual(['one', 'two', 'three']);
  expect(await readdir(rig.pusher.folder)).toEqual(['event-pusher.toml']);
  expect(await rig.pusher.stop()).toBe(0);
});
