import { describe, expect, test } from 'vitest';
import { reportsStatusChanges } from '../conformance/tap-status.ts';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { attachTap, type TapPusher } from '../support/tap-pusher.ts';
import type { XmppUser } from '../support/xmpp-user.ts';

const ejabberd = await ejabberdTap();

reportsStatusChanges(ejabberd);

describe.skipIf(!ejabberd.isHere)('status changes on ejabberd', () => {
  test('a user who was online before the first resume makes no `online` item, but an `offline` item later', async () => {
    await using chat = await ejabberd.startWith();
    await using phone = await chat.connect({ user: 'alice', resource: 'phone' });
    await using pusher = await attachTap(chat, 'message status');
    await using desk = await chat.connect({ user: 'alice', resource: 'desk' });
    await phone.close();
    await desk.close();

    expect(await nextStatus(pusher)).toBe('offline alice/desk');
  });

  test('a client that resumes its session does not go offline', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat, 'message status');
    await using bob = await chat.connect({ user: 'bob', resource: 'desk', available: false });
    await using train = await chat.connect({ user: 'alice', resource: 'train' });
    train.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    const { attrs } = await train.next(({ name }) => name === 'enabled');
    await train.cut();
    await using back = await chat.connect({ user: 'alice', resumes: { jid: train.jid, id: attrs['id'] ?? '' } });
    bob.sendChat(back.bare, 'here again?');
    await back.next((stanza) => stanza.text('body') === 'here again?');
    await chat.api('get_presence', { user: 'alice', server: 'localhost' });

    expect(await statuses(pusher, bob)).toEqual(['online alice/train']);
    await back.close();
    expect(await nextStatus(pusher)).toBe('offline alice/train');
  });

  test('an administrator who kicks the last client takes its user offline', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat, 'message status');
    await using _phone = await chat.connect({ user: 'alice', resource: 'phone' });
    expect(await nextStatus(pusher)).toBe('online alice/phone');
    await chat.api('kick_session', { user: 'alice', host: 'localhost', resource: 'phone', reason: 'enough' });

    expect(await nextStatus(pusher)).toBe('offline alice/phone');
  });

  test('a session whose process is killed makes its user offline', async () => {
    await using chat = await ejabberd.startWith(inTrouble('killing'));
    await using pusher = await attachTap(chat, 'message status');
    await using _phone = await chat.connect({ user: 'alice', resource: 'phone' });
    expect(await nextStatus(pusher)).toBe('online alice/phone');
    await chat.api('unregister', { user: 'carol', host: 'localhost' });

    expect(await nextStatus(pusher)).toBe('offline alice/phone');
  });

  test('two clients that connect and disconnect at once make one `online` and one `offline`', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat, 'message status');
    await using bob = await chat.connect({ user: 'bob', resource: 'desk', available: false });
    const resources = ['a', 'b', 'c', 'd', 'e'];
    const clients = await Promise.all(resources.map((resource) => chat.connect({ user: 'alice', resource, available: false })));
    for (const client of clients) client.send('<presence/>');
    for (const client of clients) await client.next(({ attrs }) => attrs['from'] === client.jid);
    for (const client of clients) client.send("<presence type='unavailable'/>");
    for (const client of clients) await client.ask("<ping xmlns='urn:xmpp:ping'/>", 'localhost', 'get');

    expect((await statuses(pusher, bob)).map((status) => status.replace(/\/.*/, ''))).toEqual(['online alice', 'offline alice']);
    for (const client of clients) await client.cut();
  });
});

async function nextStatus(pusher: TapPusher): Promise<string> {
  const { marks } = await pusher.item();
  return `${marks['status']} ${marks['session']?.replace('@localhost', '')}`;
}

/** The status items before a last message of `speaker`. */
async function statuses(pusher: TapPusher, speaker: XmppUser): Promise<string[]> {
  speaker.sendChat('nobody@localhost', 'the last word');
  const items = await pusher.itemsUntil('the last word');
  return items.flatMap(({ marks }) =>
    marks['status'] === undefined ? [] : [`${marks['status']} ${marks['session']?.replace('@localhost', '')}`],
  );
}
