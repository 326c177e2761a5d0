import { wrap } from '../../../demo/tap-server.ts';
import type { ComponentAttachment } from '../../../src/config/config.ts';
import { readCaptures } from '../../support/captures.ts';

/** A component's stream as a chat server sends it, and the settings for its feed. */
export interface RecordedStream {
  readonly feed: ComponentAttachment['feed'];
  readonly host: string;
  readonly domain: string;
  readonly bytes: Buffer;
}

/** Recordings of real servers, and a tap's stream with all kinds of items. */
export function recordedStreams(): readonly RecordedStream[] {
  const captures = readCaptures();
  const captured = (file: string, change: (xml: string) => string = (xml) => xml) =>
    Buffer.from(change(captures.get(file)?.toString() ?? ''));
  const talk = { host: 'talk.example', domain: 'pusher.talk.example' };
  const chat = { host: 'chat.example', domain: 'pusher.chat.example' };

  return [
    { ...chat, feed: 'tap', bytes: captured('prosody-tap.xml', (xml) => xml.replace("id='r1'", "id='resume-chat.example'")) },
    { ...talk, feed: 'tap', bytes: captured('ejabberd-tap.xml', (xml) => xml.replace("id='r7'", "id='resume-talk.example'")) },
    { ...talk, feed: 'service_log', bytes: captured('ejabberd-service-log.xml') },
    { ...chat, feed: 'direct', domain: 'bot.chat.example', bytes: captured('prosody-direct.xml') },
    { ...chat, feed: 'tap', bytes: Buffer.from(header + resumed(chat) + tappedItems({ ...chat, epoch: 'e1' }) + end) },
  ];
}

export const header =
  "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='pusher.chat.example'><handshake/>";
export const end = '</stream:stream>';

export function resumed({ host, domain }: Pick<RecordedStream, 'domain' | 'host'>): string {
  const resumed = "<resumed xmlns='urn:x-event-pusher:tap:1' epoch='e1' node='n' from-seq='1' pending='4' dropped='0'/>";
  return `<iq type='result' id='resume-${host}' from='${host}' to='${domain}'>${resumed}</iq>`;
}

/** Status items, unack items, and a room message with its sender. */
export function tappedItems(to: Pick<RecordedStream, 'domain' | 'host'> & { readonly epoch: string }): string {
  const alice = `alice@${to.host}/phone`;
  const room = `hall@rooms.${to.host}`;
  return [
    wrap(`<presence xmlns='jabber:client' from='${alice}'/>`, { dir: 'status', status: 'online', session: alice }, { ...to, seq: 1 }),
    wrap(
      `<message xmlns='jabber:client' type='groupchat' from='${room}/ż😀' to='bob@${to.host}'><body>hi ż😀</body></message>`,
      { dir: 'out', sessions: 0, sender: `alice@${to.host}` },
      { ...to, seq: 2 },
    ),
    wrap(
      `<message xmlns='jabber:client' type='chat' from='bob@${to.host}/x' to='${alice}'><body>lost &amp; found</body><no-store xmlns='urn:xmpp:hints'/></message>`,
      { dir: 'unack', session: alice, sessions: 1 },
      { ...to, seq: 3 },
    ),
    wrap(`<presence xmlns='jabber:client' type='unavailable' from='${alice}'/>`, { dir: 'status', status: 'offline' }, { ...to, seq: 4 }),
  ].join('');
}
