import { describe, expect, test } from 'vitest';
import { systemTimers } from '../../src/kit/clock.ts';
import type { PacketId } from '../../src/model/packet.ts';
import { packetFrom } from '../../src/packet/from-xml.ts';
import { createJidReader } from '../../src/packet/jid.ts';
import { parseStanza } from '../../src/packet/xml/parse.ts';
import { createDirectFeed, createServiceLogFeed } from '../../src/sources/component/unacknowledged-feeds.ts';
import { createOwnTraffic } from '../../src/sources/own-traffic.ts';
import { Flow } from '../../src/sources/source.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { accountOf, startClientSource } from '../support/client-source.ts';
import { attachmentTo, chat, startSource } from '../support/component-source.ts';
import { eventually } from '../support/eventually.ts';
import { openHttpConnection } from '../support/http-connection.ts';
import { mongooseimPost, startHttpSource } from '../support/http-source.ts';
import { startScriptedAccountServer } from '../support/scripted-account-server.ts';

const rooms = [{ jid: 'ops@rooms.localhost', nick: 'pusher' }];
const bot = accountOf({ name: 'bot', jid: { user: 'Bot', domain: 'localhost' }, rooms });
const component = attachmentTo({ name: 'other', domain: 'Other.localhost' });

/** A message as an account of ours sends it. */
function marked(from: string, to = 'alice@localhost'): string {
  const mark = "<sent xmlns='urn:x-event-pusher:sent:1'/>";
  return `<message xmlns='jabber:client' type='chat' from='${from}' to='${to}'><body>Hi</body>${mark}</message>`;
}

describe('a message that the pusher has sent', () => {
  const { isOwn } = createOwnTraffic([component, bot], createJidReader());

  test.each([
    ['a component, by its domain', chat('Hi', { from: 'other.localhost' })],
    ['a JID at a component', chat('Hi', { from: 'News@OTHER.localhost/x' })],
    ['an account, by the mark', marked('bot@localhost/pusher')],
    ['an account, with its address in any case', marked('BOT@localhost')],
    ['an account in its room', marked('ops@rooms.localhost/pusher')],
  ])('is recognised from %s', (_, xml) => {
    expect(isOwn(parseStanza(xml))).toBe(true);
  });

  test.each([
    ['another client of an account', chat('Hi', { from: 'bot@localhost/phone' })],
    ['a sender with the mark that is no account of ours', marked('mallory@localhost/phone')],
    ["another occupant of an account's room", marked('ops@rooms.localhost/mallory')],
    ['a component whose domain has ours as a suffix', chat('Hi', { from: 'another.localhost' })],
  ])('is not assumed from %s', (_, xml) => {
    expect(isOwn(parseStanza(xml))).toBe(false);
  });

  test('is recognised if a server omits the address of an account', () => {
    const stanza = parseStanza(marked('x').replace(" from='x'", ''));
    expect([isOwn(stanza, 'bot@localhost'), isOwn(stanza, 'bob@localhost'), isOwn(stanza)]).toEqual([true, false, false]);
  });
});

describe('messages that the pusher has sent through another attachment are not pushed by', () => {
  const others = [chat('Hi', { from: 'news@other.localhost' }), marked('bot@localhost/pusher')];
  const byPerson = chat('by a person', { from: 'bot@localhost/phone' });

  test('a tap', async () => {
    await using chatServer = await startSource({ otherAttachments: [component, bot] });
    await chatServer.attached();
    for (const xml of others) chatServer.server.push(xml, { dir: 'out' });
    chatServer.server.push(byPerson, { dir: 'in' });
    await eventually(() => expect(chatServer.bodies()).toEqual([undefined, undefined, 'by a person']));
    expect(chatServer.skipped).toEqual(['own', 'own']);
  });

  test.each([
    ['direct', createDirectFeed, (xml: string) => xml],
    [
      'service_log',
      createServiceLogFeed,
      (xml: string) => `<message from='localhost'><forwarded xmlns='urn:xmpp:forward:0'>${xml}</forwarded></message>`,
    ],
  ] as const)('the feed %s', (feed, create, wrap) => {
    const bodies: (string | undefined)[] = [];
    const skipped: string[] = [];
    const readJid = createJidReader();
    const { received } = create({
      attachment: attachmentTo({ feed }),
      ...createOwnTraffic([component, bot], readJid),
      flow: new Flow((packet) => bodies.push(packet?.stanza.text('body')), unbounded),
      events: createEventBus(),
      timers: systemTimers,
      reportState: () => undefined,
      toPacket: (seen) => packetFrom(seen, { id: 'packet' as PacketId, origin: 'chat', receivedAt: 0 }, readJid).packet,
      skip: (reason) => skipped.push(reason),
      onOther: () => undefined,
    });
    for (const xml of [...others, byPerson]) received(parseStanza(wrap(xml)), xml.length);
    expect({ bodies, skipped }).toEqual({ bodies: ['by a person'], skipped: ['own', 'own'] });
  });

  test('an account', async () => {
    await using server = await startScriptedAccountServer({});
    await using rig = await startClientSource({ port: server.port, otherAttachments: [component, bot] });
    await rig.attached();
    for (const xml of [...others, byPerson]) server.send(xml);
    await eventually(() => expect(rig.bodies()).toEqual(['by a person']));
    expect(rig.skipped).toEqual(['own', 'own']);
  });

  test('an HTTP source, whose posts have no mark', async () => {
    await using chatServer = await startHttpSource();
    using client = await openHttpConnection(chatServer.port);
    for (const author of ['bot', 'alice']) {
      client.send(mongooseimPost(`author=${author}&server=localhost&receiver=bob&message=by+${author}`));
      expect((await client.answer())?.status).toBe(200);
    }
    expect(chatServer.bodies()).toEqual(['by alice']);
  });
});

const unbounded = { maxBytes: Number.POSITIVE_INFINITY };
