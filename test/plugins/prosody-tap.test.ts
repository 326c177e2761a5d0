import { describe, expect, test } from 'vitest';
import { handsOverStanzas } from '../conformance/tap-packets.ts';
import { eventually } from '../support/eventually.ts';
import { startProsody } from '../support/prosody.ts';
import { prosodyTap } from '../support/prosody-tap.ts';
import { attachTap } from '../support/tap-pusher.ts';

const prosody = await prosodyTap();

handsOverStanzas(prosody);

describe.skipIf(!prosody.isHere)('the module for Prosody', () => {
  test('a tap that fails costs clients no message, and is logged once', async () => {
    await using prosody = await startProsody();
    await using _pusher = await attachTap(prosody);
    await using alice = await prosody.connect({ user: 'alice', resource: 'phone' });
    await using bob = await prosody.connect({ user: 'bob', resource: 'desk' });
    await prosody.shell('> os.date = function () error("no clock") end');
    for (const body of ['one', 'two']) alice.sendChat(bob.bare, body);

    for (const body of ['one', 'two']) expect((await bob.next(({ name }) => name === 'message')).text('body')).toBe(body);
    await eventually(() => expect(prosody.logs().match(/Could not tap a stanza \(message in/g)).toHaveLength(1));
  });

  test('a stanza with an attribute that a module has set to a number is tapped as Prosody writes it', async () => {
    await using prosody = await startProsody();
    await using pusher = await attachTap(prosody);
    const stanza = 'require "util.stanza".message({ from = "localhost", to = "alice@localhost" }, "numbered")';
    await prosody.shell(`> (function (s) s.attr.id = 42; prosody.core_post_stanza(prosody.hosts.localhost, s) end)(${stanza})`);

    expect((await pusher.item()).stanza?.attrs['id']).toBe('42');
  });
});
