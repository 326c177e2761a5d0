import { describe, expect, test } from 'vitest';
import { coversAllOrigins } from '../conformance/tap-origins.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { attachTap, formatItem } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

coversAllOrigins(ejabberd);

describe.skipIf(!ejabberd.isHere)('the command line and the API of ejabberd', () => {
  test.each([
    ['send_message', { type: 'chat', subject: '', body: 'Hi, Bob!' }],
    ['send_stanza', { stanza: "<message type='chat'><body>Hi, Bob!</body></message>" }],
  ])('a message that %s sends as a user is an `in` without a session, and an `out`', async (command, words) => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    await chat.api(command, { from: 'alice@localhost', to: 'bob@localhost', ...words });

    const [sent, routed] = [await pusher.item(), await pusher.item()];
    expect([formatItem(sent), formatItem(routed)]).toEqual(['in alice > bob: Hi, Bob!', 'out alice > bob: Hi, Bob! (0)']);
    expect(sent.session).toBeUndefined();
  });

  test('a stranger cannot hide a message in an archive result', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    const result = "<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'/></result>";
    for (const content of [result, `${result}<body>hidden</body>`])
      await chat.api('send_stanza', {
        from: 'mallory@elsewhere.example',
        to: bob.jid,
        stanza: `<message type='chat'>${content}</message>`,
      });
    expect(formatItem(await pusher.item())).toBe('out mallory@elsewhere.example > bob/desk: hidden (1)');
  });
});
