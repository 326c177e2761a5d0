import type { Element } from '@xmpp/client';
import type { Clock } from '../../kit/clock.ts';
import type { Mark, Stanza } from '../../model/packet.ts';
import { readStamp } from '../../packet/from-xml.ts';
import { containsOnly } from '../../packet/kind.ts';
import { element, findChild } from '../../packet/xml/element.ts';
import type { Unreadable } from '../xmpp-stream.ts';
import { type Archive, createArchive } from './archive.ts';
import { toLibrary } from './bridge.ts';
import type { ClientOptions } from './client-options.ts';
import { createQuestions } from './questions.ts';
import { createRoom, type Room } from './room.ts';
import { archiveIdBy, isCopy, mamNs, readArchiveItem, type Sighting, uncarboned } from './sighting.ts';

/** Why something that came was no packet; bounded, since it is a label. */
export type SkipReason = 'duplicate' | 'error' | 'forged' | 'malformed' | 'own' | 'room-self' | 'too-large';

export interface AccountOptions extends Omit<ClientOptions, 'accept' | 'newPacketId'> {
  readonly send: (sent: Element) => void;
  readonly hand: (archive: string, sighting: Sighting | undefined, mark: Mark | undefined) => void;
  readonly skip: (reason: SkipReason) => void;
}

/** What an account does with its session: it hears of everything, joins its rooms, and reads up what it has missed. */
export interface Account {
  /** A new session. */
  opened(): void;
  /** The session before goes on. */
  resumed(): void;
  /** The session is over and cannot be resumed. */
  closed(): void;
  received(stanza: Stanza, bytes: number): void;
  unreadable(unreadable: Unreadable): void;
  /** Resolves when the server has taken in all that was sent before. */
  ping(): Promise<unknown>;
}

/** How a message was found: in the archive of the account or room `jid`, or live. */
interface Seen {
  readonly jid: string;
  readonly bytes: number;
  readonly archived: boolean;
}

const timeNs = 'urn:xmpp:time';
const heldBytes = 4 * 1024 * 1024;

export function createAccount(options: AccountOptions): Account {
  const { attachment, clock, events, timers, hand, skip } = options;
  const bareOf = (jid: string) => options.readJid(jid).jid.bare;
  const own = bareOf(`${attachment.jid.user}@${attachment.jid.domain}`);
  const domain = bareOf(attachment.jid.domain);
  const questions = createQuestions({ send, isSame });
  /** Offset of the server's clock to the local one: marks hold the send time, which the server sets. */
  let aheadMs = 0;
  const serverClock: Clock = { now: () => clock.now() + aheadMs, monotonic: clock.monotonic };
  let lastTold = '';
  let callOffLook: () => void = () => undefined;
  const archive = archiveOf(own, undefined);
  const rooms = new Map<string, Room>();

  for (const { jid, nick } of attachment.rooms) {
    const bare = bareOf(jid);
    const room = { jid: bare, nick };
    const { reconnectCapMs } = attachment;
    rooms.set(
      bare,
      createRoom({ ...options, room, archive: archiveOf(bare, room), send, ask: questions.ask, onChange: tell, reconnectCapMs }),
    );
  }

  function send(stanza: Stanza): void {
    options.send(toLibrary(stanza));
  }

  /** Answers of the own server may come without an address, or with that of the account. */
  function isSame(answering: string | undefined, asked: string | undefined): boolean {
    if (asked === undefined) return answering === undefined || bareOf(answering) === own;
    return answering !== undefined && options.readJid(answering).jid.full === options.readJid(asked).jid.full;
  }

  function archiveOf(jid: string, room: { readonly nick: string } | undefined): Archive {
    const place = { attachment: attachment.name, host: attachment.jid.domain, node: jid };
    return createArchive({
      ...options,
      clock: serverClock,
      enabled: attachment.archive,
      jid,
      mark: options.marks.find(({ attachment, host, node }) => attachment === place.attachment && host === place.host && node === jid),
      newMark: (epoch, h) => ({ ...place, epoch, h }),
      ask: (child) => questions.ask('set', child, room === undefined ? undefined : jid),
      hand: (sighting, mark) => hand(jid, sighting, mark),
      see: ({ message, id, time }, bytes) => {
        const sighting = see(message, { jid, bytes, archived: true });
        return sighting && { ...sighting, archiveId: id, time };
      },
      onDouble: () => skip('duplicate'),
      onGap: () => events.emit('archive.gap', { attachment: attachment.name, host: attachment.jid.domain }),
      onChange: tell,
      heldBytes,
    });
  }

  /** A message of the account, or of the room `jid`, as a packet sees it. Undefined (and counted) where it is none. */
  function see(message: Stanza, { jid, bytes, archived }: Seen): Sighting | undefined {
    const { from = own, type } = message.attrs;
    if (type === 'error') return skipped('error');
    const isOfRoom = jid !== own;
    if (!isOfRoom && type === 'groupchat') return skipped('duplicate'); // the room's own archive has it
    const sentByUs = isOfRoom ? isOurNick(jid, from) : bareOf(from) === own;
    if (options.isOwn(message, own)) return skipped('own');
    const mine = !isOfRoom && sentByUs;
    const session = mine && from.includes('/') ? from : undefined;
    const archiveId = archiveIdBy(message, (by) => bareOf(by) === jid);
    const stanza = isOfRoom && message.attrs['to'] === undefined ? addressed(message, own) : message;
    const sender = isOfRoom ? rooms.get(jid)?.senderOf(message, { archived }) : undefined;
    return { stanza, direction: mine ? 'in' : 'out', session, sender, archiveId, time: undefined, bytes };
  }

  function isOurNick(room: string, from: string): boolean {
    return attachment.rooms.some(({ jid, nick }) => bareOf(jid) === room && from === `${room}/${nick}`);
  }

  function skipped(reason: SkipReason): undefined {
    skip(reason);
  }

  function message(stanza: Stanza, bytes: number): void {
    const { from = own } = stanza.attrs;
    const found = readArchiveItem(stanza);
    const asked = found === undefined ? undefined : archiveAt(from);
    if (found !== undefined && asked !== undefined) return asked.item(found, bytes);
    const copied = bareOf(from) === own; // XEP-0280 §11
    if (!copied && containsOnly(stanza, isCopy)) return skip('forged');
    const original = copied ? uncarboned(stanza) : stanza;
    if (original === undefined) return skip('malformed');
    const room = original.attrs['type'] === 'groupchat' ? rooms.get(bareOf(from)) : undefined;
    if (room?.isWelcome(original) === true) return skip('room-self');
    const jid = room?.jid ?? own;
    const sighting = see(original, { jid, bytes, archived: false });
    if (sighting !== undefined) (room?.archive ?? archive).live(sighting);
  }

  /** Counts it once. If its head contains its archive id, the archive does not deliver it again. */
  function unreadable({ head, reason }: Unreadable): void {
    const from = head?.attrs['from'] ?? own;
    const result = head && findChild(head, 'result', mamNs);
    if (head === undefined) return skip(reason);
    const jid = rooms.has(bareOf(from)) ? bareOf(from) : own;
    const id = result === undefined ? archiveIdBy(head, (by) => bareOf(by) === jid) : result.attrs['id'];
    const place = result === undefined ? (rooms.get(jid)?.archive ?? archive) : archiveAt(from);
    if (id === undefined || place === undefined || place.lose(id, result?.attrs['queryid'])) skip(reason);
  }

  /** An archive speaks for itself, without a resource: with one it is another client, or somebody in the room. */
  function archiveAt(from: string): Archive | undefined {
    if (from.includes('/')) return undefined;
    const bare = bareOf(from);
    return bare === own ? archive : rooms.get(bare)?.archive;
  }

  function opened(): void {
    if (attachment.carbons) questions.ask('set', element('enable', { xmlns: 'urn:xmpp:carbons:2' })).then(carbonsAnswered, () => undefined);
    const priority = element('priority', {}, [String(attachment.priority)]);
    send(element('presence', { xmlns: 'jabber:client' }, attachment.priority === 0 ? [] : [priority]));
    questions.ask('get', element('time', { xmlns: timeNs }), domain).then(timeAnswered, () => undefined);
    archive.open();
    for (const room of rooms.values()) room.join();
    lookNowAndThen();
    tellAnew();
  }

  function carbonsAnswered({ attrs }: Stanza): void {
    if (attrs['type'] !== 'error') return;
    events.emit('notice', {
      text: `${domain} has no carbons (XEP-0280): what other clients of ${own} send and receive is seen only in the archive`,
    });
  }

  /** Asks for the server's time (XEP-0202). */
  function timeAnswered(answer: Stanza): void {
    const utc = readStamp(findChild(answer, 'time', timeNs)?.text('utc') ?? '');
    if (utc !== undefined) aheadMs = utc - clock.now();
  }

  /** Below 0 a server need not tell of what no other client has received: only the archive does. */
  function lookNowAndThen(): void {
    if (attachment.priority >= 0) return;
    callOffLook = timers.after(attachment.pingIntervalMs, () => {
      archive.pull();
      lookNowAndThen();
    });
  }

  function closed(): void {
    callOffLook();
    questions.abandon();
    archive.close();
    for (const room of rooms.values()) room.leave();
  }

  /** What was told of a connection that is gone counts no more. */
  function tellAnew(): void {
    lastTold = '';
    tell();
  }

  /** Whether all that the hosts' packets come from is there. */
  function tell(): void {
    const parts = [{ ready: archive.caughtUp, trouble: archive.trouble }, ...rooms.values()];
    const reason = parts.flatMap(({ trouble }) => (trouble === '' ? [] : [trouble])).join('; ');
    const ready = parts.every((part) => part.ready);
    const state = ready ? 'attached' : reason === '' ? 'resuming' : 'refused';
    if (lastTold === `${state} ${reason}`) return;
    lastTold = `${state} ${reason}`;
    for (const host of attachment.hosts) events.emit('attachment.state', { attachment: attachment.name, host, state, reason });
  }

  return {
    opened,
    resumed: tellAnew,
    closed,
    received: (stanza, bytes) => {
      if (stanza.name === 'message') message(stanza, bytes);
      else if (stanza.name === 'presence') rooms.get(bareOf(stanza.attrs['from'] ?? own))?.presence(stanza);
      else questions.answered(stanza);
    },
    unreadable,
    ping: () => questions.ask('get', element('ping', { xmlns: 'urn:xmpp:ping' }), domain),
  };
}

/** Archives of rooms keep what was said to all; a live message is addressed to each. */
function addressed(message: Stanza, to: string): Stanza {
  return element(message.name, { xmlns: message.ns, ...message.attrs, to }, message.children);
}
