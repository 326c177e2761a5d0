import { describe, expect, test } from 'vitest';
import { handsOverStanzas } from '../conformance/tap-packets.ts';
import { ejabberdTap, inTrouble } from '../support/ejabberd-tap.ts';
import { eventually } from '../support/eventually.ts';
import { attachTap, formatItem, seen } from '../support/tap-pusher.ts';

const ejabberd = await ejabberdTap();

handsOverStanzas(ejabberd);

describe.skipIf(!ejabberd.isHere)('the module for ejabberd', () => {
  test('a headline to an account is one `out`, although clients of lower priority receive it too', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using desk = await chat.connect({ user: 'bob', resource: 'desk' });
    await using idle = await chat.connect({ user: 'bob', resource: 'idle', available: false });
    desk.send('<presence><priority>5</priority></presence>');
    await desk.next((stanza) => stanza.text('priority') === '5');
    idle.send('<presence><priority>1</priority></presence>');
    await desk.next(({ attrs }) => attrs['from'] === idle.jid);
    alice.send("<message type='headline' to='bob@localhost'><body>Breaking</body></message>");
    for (const client of [desk, idle]) await client.next((stanza) => stanza.text('body') === 'Breaking');

    expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: Breaking', 'out alice/phone > bob: Breaking (2)']);
  });

  test('a message that the active privacy list of a client blocks is not routed to it', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    const rule = "<item type='jid' value='alice@localhost' action='deny' order='1'><message/></item>";
    await bob.ask(`<query xmlns='jabber:iq:privacy'><list name='peace'>${rule}</list></query>`);
    await bob.ask("<query xmlns='jabber:iq:privacy'><active name='peace'/></query>");
    alice.sendChat(bob.bare, 'Psst');
    await alice.next(({ attrs }) => attrs['type'] === 'error');

    expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: Psst']);
  });

  test('a message that is refused because its sender is a stranger is not routed', async () => {
    await using chat = await ejabberd.startWith({ modules: { mod_block_strangers: { allow_local_users: false } } });
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    for (const to of [bob.bare, 'carol@localhost']) {
      const id = alice.sendChat(to, 'Buy now');
      await alice.next(({ attrs }) => attrs['type'] === 'error' && attrs['id'] === id);
    }

    expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: Buy now', 'in alice/phone > carol: Buy now']);
  });

  test('a message that a lost client never acknowledged is stored and not tapped again', async () => {
    await using chat = await ejabberd.startWith({
      modules: { mod_stream_mgmt: { resume_timeout: 1, resend_on_timeout: true } },
    });
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'train' });
    bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    await bob.next(({ name }) => name === 'enabled');
    alice.sendChat(bob.bare, 'Mind the gap');
    await bob.next((stanza) => stanza.text('body') === 'Mind the gap');
    await bob.cut();
    await eventually(async () => expect(await chat.api('get_offline_count', { user: 'bob', server: 'localhost' })).toEqual({ value: 1 }));
    await using back = await chat.connect({ user: 'bob', resource: 'home' });
    await back.next((stanza) => stanza.text('body') === 'Mind the gap');

    expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: Mind the gap', 'out alice/phone > bob: Mind the gap (1)']);
  });

  test('an error from a client is tapped, and an error from the server is not', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    const error = "<error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    bob.send(`<message type='error' to='${alice.jid}'><body>What?</body>${error}</message>`);
    await alice.next((stanza) => stanza.text('body') === 'What?');
    alice.sendChat('nobody@localhost', 'Hello?');
    await alice.next(({ attrs }) => attrs['from'] === 'nobody@localhost');

    expect(await seen(pusher, alice)).toEqual([
      'in bob/desk > alice/phone: What?',
      'out bob/desk > alice/phone: What? (1)',
      'in alice/phone > nobody: Hello?',
    ]);
  });

  test('a message cannot be hidden by wrapping it as an archive result', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    alice.sendChat(bob.bare, 'Psst', "<result xmlns='urn:xmpp:mam:2'/>");
    await bob.next((stanza) => stanza.text('body') === 'Psst');

    expect(await seen(pusher, alice)).toEqual(['in alice/phone > bob: Psst', 'out alice/phone > bob: Psst (1)']);
  });

  test('an API message with characters that XML does not allow leaves its number, and does not stop the feed', async () => {
    await using chat = await ejabberd.startWith();
    await using pusher = await attachTap(chat);
    for (const body of ['a\u0001b', 'a\uFFFEb', 'a\u0000b', 'as it should be'])
      await chat.api('send_message', { type: 'chat', from: 'alice@localhost', to: 'carol@localhost', subject: '', body });

    const items: string[] = [];
    while (items.length < 8) items.push(formatItem(await pusher.item()));
    expect(items).toEqual([
      ...Array.from({ length: 3 }, () => ['in malformed', 'out malformed']).flat(),
      'in alice > carol: as it should be',
      'out alice > carol: as it should be (0)',
    ]);
  });

  test('no stanza from a client makes the tap fail', async () => {
    await using chat = await ejabberd.startWith({ rooms: 'rooms.localhost' });
    await using pusher = await attachTap(chat, 'message presence iq');
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    for (const stanza of oddStanzas) alice.send(stanza);
    await bob.next((stanza) => stanza.text('body') === 'still here');

    expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ failed: 0, dropped: 0 }]);
    expect((await pusher.itemsUntil('still here')).length).toBeGreaterThan(oddStanzas.length);
  });

  test('a tap that fails costs clients no message, and is logged once', async () => {
    await using chat = await ejabberd.startWith(inTrouble('unreachable'));
    await using alice = await chat.connect({ user: 'alice', resource: 'phone' });
    await using bob = await chat.connect({ user: 'bob', resource: 'desk' });
    for (const body of ['one', 'two']) alice.sendChat(bob.bare, body);

    for (const body of ['one', 'two']) expect((await bob.next(({ name }) => name === 'message')).text('body')).toBe(body);
    await eventually(() => chat.logs().match(/Could not tap a stanza/g)?.length === 2); // one line per direction
    expect(chat.logs()).not.toContain('Hook user_send_packet crashed');
    expect(await chat.api('event_pusher_tap_info')).toMatchObject([{ failed: 4 }]);
  });
});

const deep = `${'<d>'.repeat(90)}${'</d>'.repeat(90)}`;
const oddStanzas = [
  '<message/>',
  "<message to=''/>",
  "<message to='localhost'><body>to the host</body></message>",
  "<message to='localhost/echo' type='groupchat'><body>to a resource of it</body></message>",
  "<message to='bob@localhost' type='sideways'><body/></message>",
  "<message to='bob@localhost' type='groupchat'><body>no room</body></message>",
  "<message to='bob@localhost' type='error'/>",
  "<message to='bob@localhost/nowhere' type='headline'><body>x</body></message>",
  "<message to='bob@localhost' xml:lang=''><body xml:lang='de'>a</body><body xml:lang='en'>b</body><thread parent='p'>t</thread></message>",
  `<message to='bob@localhost'><x xmlns='urn:x'>${deep}</x></message>`,
  `<message to='bob@localhost'><body>${'ü'.repeat(100_000)}</body></message>`,
  "<message to='bob@localhost'><received xmlns='urn:xmpp:carbons:2'/><forwarded xmlns='urn:xmpp:forward:0'/></message>",
  "<message to='nobody@nowhere.invalid'><body>far away</body></message>",
  "<presence to='bob@localhost' type='subscribe'/>",
  "<presence to='bob@localhost/desk'/>",
  "<presence to='nobody@localhost' type='probe'/>",
  "<presence to='bob@localhost' type='error'/>",
  '<presence><priority>-1</priority><show>xa</show></presence>',
  "<presence to='tea@rooms.localhost/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
  "<message to='tea@rooms.localhost/nobody' type='chat'><body>private</body></message>",
  "<iq type='get' id='1' to='bob@localhost/desk'><query xmlns='jabber:iq:version'/></iq>",
  "<iq type='result' id='2' to='bob@localhost/desk'/>",
  "<iq type='error' id='3' to='bob@localhost'/>",
  "<iq type='set' id='4'><query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='Bob'/></query></iq>",
  "<presence type='unavailable'/>",
  "<message to='bob@localhost' type='chat'><body>still here</body></message>",
];
