import type { ClientAttachment } from '../../config/service-config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../kit/lifecycle.ts';
import type { Random } from '../../kit/pacing.ts';
import type { Mark, Stanza } from '../../model/packet.ts';
import { readStamp } from '../../packet/from-xml.ts';
import type { JidReader } from '../../packet/jid.ts';
import { containsOnly } from '../../packet/kind.ts';
import { element, findChild } from '../../packet/xml/element.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { IsOwn } from '../source.ts';
import { isResponse, pingElement, type Unreadable } from '../xmpp-stream.ts';
import { Archive } from './archive.ts';
import { Room, type RoomOptions } from './room.ts';
import { archiveIdBy, isCopy, mamNs, readArchiveItem, type Sighting, uncarboned } from './sighting.ts';

/** Why a stanza became no packet; a closed set, since it is a metric label. */
export type SkipReason = 'duplicate' | 'error' | 'forged' | 'malformed' | 'own' | 'room-self' | 'too-large';

export interface AccountOptions {
  readonly attachment: ClientAttachment;
  /** The last committed position of each archive. */
  readonly marks: readonly Mark[];
  readonly isOwn: IsOwn;
  readonly readJid: JidReader;
  readonly send: (stanza: Stanza) => void;
  /** Hands over a message of an archive. Without a sighting only the mark is written. */
  readonly hand: (archive: string, sighting: Sighting | undefined, mark: Mark | undefined) => void;
  readonly skip: (reason: SkipReason) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: EventSink;
}

/** Where a message was found: in the archive of the account or room `jid`, or live. */
interface Found {
  readonly jid: string;
  readonly bytes: number;
  readonly archived: boolean;
}

const timeNs = 'urn:xmpp:time';
const heldBytes = 4 * 1024 * 1024;

/** The account's part in a session: it receives all messages, joins its rooms, and reads missed messages from the archives. */
export class Account {
  readonly #options: AccountOptions;
  /** Bare JID of the account. */
  readonly #own: string;
  readonly #domain: string;
  readonly #requests: IqRequests;
  readonly #archives = new Map<string, Archive>();
  readonly #rooms = new Map<string, Room>();
  /** Offset of the server's clock to the local one: marks hold the send time, which the server sets. */
  #clockOffsetMs = 0;
  #reportedState = '';
  #cancelPull: () => void = () => undefined;

  constructor(options: AccountOptions) {
    const { attachment } = options;
    this.#options = options;
    this.#own = this.#bare(`${attachment.jid.user}@${attachment.jid.domain}`);
    this.#domain = this.#bare(attachment.jid.domain);
    this.#requests = new IqRequests({ send: options.send, isSame: (answering, asked) => this.#isSame(answering, asked) });
    this.#archives.set(this.#own, this.#createArchive(this.#own));
    for (const { jid, nick } of attachment.rooms) this.#addRoom(this.#bare(jid), nick);
  }

  /** A new session is up. */
  opened(): void {
    const { attachment, send } = this.#options;
    if (attachment.carbons) {
      const enable = element('enable', { xmlns: 'urn:xmpp:carbons:2' });
      this.#requests.send('set', enable).then((answer) => this.#carbonsAnswered(answer), ignoreEndOfSession);
    }
    const priority = element('priority', {}, [String(attachment.priority)]);
    send(element('presence', { xmlns: 'jabber:client' }, attachment.priority === 0 ? [] : [priority]));
    const time = element('time', { xmlns: timeNs });
    this.#requests.send('get', time, this.#domain).then((answer) => this.#timeAnswered(answer), ignoreEndOfSession);
    this.#archiveOf(this.#own).open();
    for (const room of this.#rooms.values()) room.join();
    this.#pullRegularly();
    this.resumed();
  }

  /** The previous session continues; the states reported for its connection no longer count. */
  resumed(): void {
    this.#reportedState = '';
    this.#reportState();
  }

  /** The session is over and cannot be resumed. */
  closed(): void {
    this.#cancelPull();
    this.#requests.abandon();
    this.#archiveOf(this.#own).close();
    for (const room of this.#rooms.values()) room.leave();
  }

  received(stanza: Stanza, bytes: number): void {
    if (stanza.name === 'message') this.#message(stanza, bytes);
    else if (stanza.name === 'presence') this.#rooms.get(this.#bare(stanza.attrs['from'] ?? this.#own))?.presence(stanza);
    else this.#requests.answered(stanza);
  }

  /** Counts an unreadable stanza once. If its head contains its archive id, the archive does not deliver it again. */
  unreadable({ head, reason }: Unreadable): void {
    const { skip } = this.#options;
    if (head === undefined) return skip(reason);
    const from = head.attrs['from'] ?? this.#own;
    const result = findChild(head, 'result', mamNs);
    const jid = this.#rooms.has(this.#bare(from)) ? this.#bare(from) : this.#own;
    const id = result === undefined ? archiveIdBy(head, (by) => this.#bare(by) === jid) : result.attrs['id'];
    const archive = result === undefined ? this.#archives.get(jid) : this.#archiveAt(from);
    if (id === undefined || archive === undefined || archive.unreadable(id, result?.attrs['queryid'])) skip(reason);
  }

  /** Resolves when the server has received all stanzas sent before. */
  ping(): Promise<unknown> {
    return this.#requests.send('get', pingElement(), this.#domain);
  }

  #bare(jid: string): string {
    return this.#options.readJid(jid).jid.bare;
  }

  /** A response of our own server may have no address, or that of the account. */
  #isSame(answering: string | undefined, asked: string | undefined): boolean {
    if (asked === undefined) return answering === undefined || this.#bare(answering) === this.#own;
    const { readJid } = this.#options;
    return answering !== undefined && readJid(answering).jid.full === readJid(asked).jid.full;
  }

  #addRoom(jid: string, nick: string): void {
    const archive = this.#createArchive(jid);
    const { send, timers, random, attachment } = this.#options;
    const request: RoomOptions['request'] = (type, child, to) => this.#requests.send(type, child, to);
    const { reconnectCapMs } = attachment;
    this.#archives.set(jid, archive);
    this.#rooms.set(
      jid,
      new Room({ jid, nick, archive, send, request, onChange: () => this.#reportState(), reconnectCapMs, timers, random }),
    );
  }

  #createArchive(jid: string): Archive {
    const { attachment, clock, timers, marks, hand, skip, events } = this.#options;
    const at = { attachment: attachment.name, host: attachment.jid.domain, node: jid };
    return new Archive({
      timers,
      clock: { now: () => clock.now() + this.#clockOffsetMs, monotonic: () => clock.monotonic() },
      enabled: attachment.archive,
      jid,
      mark: marks.find(({ attachment: name, host, node }) => name === at.attachment && host === at.host && node === jid),
      newMark: (epoch, h) => ({ ...at, epoch, h }),
      request: (child) => this.#requests.send('set', child, jid === this.#own ? undefined : jid),
      hand: (sighting, mark) => hand(jid, sighting, mark),
      toSighting: ({ message, id, time }, bytes) => {
        const sighting = this.#toSighting(message, { jid, bytes, archived: true });
        return sighting && { ...sighting, archiveId: id, time };
      },
      onDuplicate: () => skip('duplicate'),
      onGap: () => events.emit('archive.gap', { attachment: at.attachment, host: at.host }),
      onChange: () => this.#reportState(),
      heldBytes,
    });
  }

  #archiveOf(jid: string): Archive {
    const archive = this.#archives.get(jid);
    if (archive === undefined) throw new ServiceError('SERVICE_FAILED', `there is no archive of ${jid}`);
    return archive;
  }

  /** An archive sends from an address without a resource: one with a resource is another client, or an occupant of the room. */
  #archiveAt(from: string): Archive | undefined {
    return from.includes('/') ? undefined : this.#archives.get(this.#bare(from));
  }

  #message(stanza: Stanza, bytes: number): void {
    const { skip } = this.#options;
    const { from = this.#own } = stanza.attrs;
    const item = readArchiveItem(stanza);
    const archive = item === undefined ? undefined : this.#archiveAt(from);
    if (item !== undefined && archive !== undefined) return archive.item(item, bytes);
    const isFromOwn = this.#bare(from) === this.#own; // XEP-0280 §11
    if (!isFromOwn && containsOnly(stanza, isCopy)) return skip('forged');
    const original = isFromOwn ? uncarboned(stanza) : stanza;
    if (original === undefined) return skip('malformed');
    const room = original.attrs['type'] === 'groupchat' ? this.#rooms.get(this.#bare(from)) : undefined;
    if (room?.isWelcome(original) === true) return skip('room-self');
    const jid = room?.jid ?? this.#own;
    const sighting = this.#toSighting(original, { jid, bytes, archived: false });
    if (sighting !== undefined) this.#archiveOf(jid).live(sighting);
  }

  /** A message of the account, or of the room `jid`, as a packet's content. Undefined (and counted) if it becomes no packet. */
  #toSighting(message: Stanza, { jid, bytes, archived }: Found): Sighting | undefined {
    const { isOwn, skip } = this.#options;
    const own = this.#own;
    const { from = own, to, type } = message.attrs;
    const isOfRoom = jid !== own;
    if (type === 'error') return void skip('error');
    if (!isOfRoom && type === 'groupchat') return void skip('duplicate'); // the room's own archive has it
    if (isOwn(message, own)) return void skip('own');
    const isSent = !isOfRoom && this.#bare(from) === own;
    return {
      stanza: isOfRoom && to === undefined ? addressed(message, own) : message,
      direction: isSent ? 'in' : 'out',
      session: isSent && from.includes('/') ? from : undefined,
      sender: isOfRoom ? this.#rooms.get(jid)?.senderOf(message, { archived }) : undefined,
      archiveId: archiveIdBy(message, (by) => this.#bare(by) === jid),
      time: undefined,
      bytes,
    };
  }

  #carbonsAnswered({ attrs }: Stanza): void {
    if (attrs['type'] !== 'error') return;
    this.#options.events.emit('notice', {
      text: `${this.#domain} has no carbons (XEP-0280): messages that other clients of ${this.#own} send and receive are seen only in the archive`,
    });
  }

  /** Reads the server's time (XEP-0202). */
  #timeAnswered(answer: Stanza): void {
    const utc = readStamp(findChild(answer, 'time', timeNs)?.text('utc') ?? '');
    if (utc !== undefined) this.#clockOffsetMs = utc - this.#options.clock.now();
  }

  /** With a priority below 0 a server need not deliver messages that no other client has received: only the archive has them. */
  #pullRegularly(): void {
    const { attachment, timers } = this.#options;
    if (attachment.priority >= 0) return;
    this.#cancelPull = timers.after(attachment.pingIntervalMs, () => {
      this.#archiveOf(this.#own).pull();
      this.#pullRegularly();
    });
  }

  /** Reports whether all origins of the hosts' packets, the archives and rooms, are ready. */
  #reportState(): void {
    const { attachment, events } = this.#options;
    const archive = this.#archiveOf(this.#own);
    const parts = [{ ready: archive.caughtUp, trouble: archive.trouble }, ...this.#rooms.values()];
    const reason = parts.flatMap(({ trouble }) => (trouble === '' ? [] : [trouble])).join('; ');
    const ready = parts.every((part) => part.ready);
    const state = ready ? 'attached' : reason === '' ? 'resuming' : 'refused';
    if (this.#reportedState === `${state} ${reason}`) return;
    this.#reportedState = `${state} ${reason}`;
    for (const host of attachment.hosts) events.emit('attachment.state', { attachment: attachment.name, host, state, reason });
  }
}

function ignoreEndOfSession(): void {
  // the end of the connection gives the reason
}

/** The archives of rooms store a message without a receiver; a live message is addressed to each occupant. */
function addressed(message: Stanza, to: string): Stanza {
  return element(message.name, { xmlns: message.ns, ...message.attrs, to }, message.children);
}

interface IqOptions {
  readonly send: (iq: Stanza) => void;
  /** Whether the sender of a response is the receiver of the request. */
  readonly isSame: (answering: string | undefined, asked: string | undefined) => boolean;
}

/** Requests to the server and to others (RFC 6120 §8.2.3), each with its response or the end of the session. */
class IqRequests {
  readonly #options: IqOptions;
  readonly #open = new Map<string, { readonly to: string | undefined; readonly answer: Deferred<Stanza> }>();
  #sent = 0;

  constructor(options: IqOptions) {
    this.#options = options;
  }

  /** Resolves with the response, which may be an error; rejects if the session ends first. `to` defaults to the account's own address. */
  send(type: 'get' | 'set', child: Stanza, to?: string): Promise<Stanza> {
    this.#sent += 1;
    const id = `pusher-${this.#sent}`;
    const answer = createDeferred<Stanza>();
    this.#open.set(id, { to, answer });
    this.#options.send(element('iq', { xmlns: 'jabber:client', type, id, to }, [child]));
    return answer.promise;
  }

  /** Resolves the request that an IQ responds to, if it comes from the receiver of the request. */
  answered(iq: Stanza): void {
    const { id = '', from } = iq.attrs;
    const request = isResponse(iq) ? this.#open.get(id) : undefined;
    if (request === undefined || !this.#options.isSame(from, request.to)) return;
    this.#open.delete(id);
    request.answer.resolve(iq);
  }

  /** The session is over: rejects all open requests. */
  abandon(): void {
    const error = () => new ServiceError('STREAM_INVALID', 'the session ended before the answer arrived');
    for (const { answer } of this.#open.values()) answer.reject(error());
    this.#open.clear();
  }
}
