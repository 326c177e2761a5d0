import { describe, expect, test } from 'vitest';
import { keepsItsQueue } from '../conformance/tap-queue.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { answered, chatter, connectTapPusher, numbered } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

keepsItsQueue(prosody);

/** Lua: the session of the component. */
const session = 'require "core.modulemanager".get_module("pusher.localhost", "component").session';

describe.skipIf(!prosody.isHere)('the queue in Prosody', () => {
  test.each([
    { messages: 20, writes: 1 },
    { messages: 60, writes: 3 }, // two events each: the items wait for 50 events at most
  ])('$messages messages that arrive together leave in $writes writes', async ({ messages, writes }) => {
    await using prosody = await startProsody();
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(prosody.component);
    await pusher.ask();
    await prosody.shell(
      `> (function (s) local send = s.send; s.writes = 0; s.send = function (data) s.writes = s.writes + 1; return send(data) end end)(${session})`,
    );
    const words = Array.from({ length: messages }, (_, index) => `${index + 1}`);
    alice.send(words.map((word) => `<message to='nobody@localhost' type='chat'><body>${word}</body></message>`).join(''));

    expect(await numbered(pusher, messages)).toEqual(words.map((word) => `${word} ${word}`));
    expect(await prosody.shell(`> ${session}.writes`)).toContain(`Result: ${writes}`);
  });

  test.each([
    { end: 'a regular stop', lua: 'prosody.shutdown("test")' },
    { end: 'the removal of the module', lua: 'require "core.modulemanager".unload("localhost", "event_pusher_tap")' },
  ])('an item of the last turn before $end is sent', async ({ lua }) => {
    await using prosody = await startProsody();
    await using pusher = await connectTapPusher(prosody.component);
    await pusher.ask();
    const message = `require "util.stanza".message({ to = "alice@localhost", from = "localhost" }):body("last")`;
    const shell = prosody.shell(`> (function () prosody.core_post_stanza(prosody.hosts.localhost, ${message}); ${lua} end)()`);
    await shell.catch(() => undefined); // a stop ends the shell

    expect(await numbered(pusher, 1)).toEqual(['1 last']);
  });

  test('a reload of the module keeps queue, numbers, epoch and the stream', async () => {
    await using prosody = await startProsody({ config: 'event_pusher_tap_window = 2' });
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await connectTapPusher(prosody.component);
    const { epoch = '' } = await pusher.ask();
    chatter(alice, ['one', 'two', 'three']);
    expect(await numbered(pusher, 2)).toEqual(['1 one', '2 two']);

    expect(await prosody.shell('module:reload("event_pusher_tap", "localhost")')).toContain('OK');
    chatter(alice, ['four']);
    await answered(alice);
    pusher.ack({ epoch, h: 2 });
    expect(await numbered(pusher, 2)).toEqual(['3 three', '4 four']);
    expect(await pusher.ask({ epoch, h: 4 })).toMatchObject({ epoch, 'from-seq': '5', pending: '0' });
  });
});
