/**
 * The question to a business server before a push, in OpenIM's protocol (`callbackBeforePushCommand` of OpenIM 2).
 * docs/guides/before-push.md has the table of the fields.
 */
import type { Jid, Packet, Stanza } from '../../model/packet.ts';
import { bareJid, type JidReader, makeJid } from '../../packet/jid.ts';
import { isGroupchat, isPrivateRoomMessage, mucUserOf, roomAround } from '../../packet/room.ts';
import { findChild, findChildren } from '../../packet/xml/element.ts';

/** The fields of the request in OpenIM's order. Every field is always present, with its type. */
export interface Question {
  readonly callbackCommand: 'callbackBeforePushCommand';
  readonly platformID: number;
  readonly platform: string;
  readonly userIDList: readonly string[];
  readonly title: string;
  readonly desc: string;
  readonly ex: string;
  readonly iOSPushSound: string;
  readonly iOSBadgeCount: boolean;
  readonly signalInfo: string;
  readonly clientMsgID: string;
  readonly sendID: string;
  readonly groupID: string;
  readonly contentType: number;
  readonly sessionType: number;
  readonly atUserIDList: readonly string[];
  readonly content: string;
}

/** The question about a packet. Fields without a counterpart in XMPP are empty, 0 or false. */
export function questionOf(packet: Packet, readJid: JidReader): Question {
  const { stanza } = packet;
  const parties = partiesOf(packet, readJid);
  const content = contentOf(packet);
  return {
    callbackCommand: 'callbackBeforePushCommand',
    ...platformOf(parties.resource),
    userIDList: parties.receivers,
    title: stanza.text('subject'),
    desc: content,
    ex: '',
    iOSPushSound: '',
    iOSBadgeCount: false,
    signalInfo: '',
    clientMsgID: stanza.attrs['id'] ?? '',
    sendID: parties.sendID,
    groupID: parties.room?.bare ?? '',
    contentType: contentTypeOf(packet),
    sessionType: parties.room === undefined ? singleSession : groupSession,
    atUserIDList: mentionedIds(packet, parties, readJid),
    content,
  };
}

const singleSession = 1;
const groupSession = 2;

export interface Parties {
  readonly sendID: string;
  /** Resource of the sender's client; empty if a room hides it. */
  readonly resource: string;
  readonly room: Jid | undefined;
  /** The known receiver; empty for a message from a user to a room. */
  readonly receivers: readonly string[];
}

/** The users and the room of a packet, by their ids for the business server. */
export function partiesOf({ stanza, direction, kind, from, to, sender, host }: Packet, readJid: JidReader): Parties {
  switch (kind) {
    case 'room-destroyed':
      return { sendID: from.bare, resource: '', room: from, receivers: [userIdOf(to, host)] };
    case 'room-left':
      return { sendID: userIdOf(to, host), resource: to.resource, room: from, receivers: [userIdOf(to, host)] };
    case 'room-removed':
      return { sendID: actorOf({ stanza, from, host }, readJid), resource: '', room: from, receivers: [userIdOf(to, host)] };
    default:
      if (isPrivateRoomMessage(stanza)) return partiesOfPrivateMessage({ direction, from, to, host });
      if (!isGroupchat(stanza))
        return { sendID: userIdOf(from, host), resource: from.resource, room: undefined, receivers: [userIdOf(to, host)] };
      return direction === 'in'
        ? { sendID: userIdOf(from, host), resource: from.resource, room: to, receivers: [] }
        : { sendID: sender === undefined ? from.full : userIdOf(sender, host), resource: '', room: from, receivers: [userIdOf(to, host)] };
  }
}

/** The room occupant is identified by nickname only, which does not identify a client. */
function partiesOfPrivateMessage({ direction, from, to, host }: Pick<Packet, 'direction' | 'from' | 'host' | 'to'>): Parties {
  const sendID = partyIdOf(from, host, { inRoom: direction === 'out' });
  const receivers = [partyIdOf(to, host, { inRoom: direction === 'in' })];
  return { sendID, resource: direction === 'in' ? from.resource : '', room: undefined, receivers };
}

/** The user who removed a member, if the room reports one (XEP-0045 §8.2), otherwise the room. */
function actorOf({ stanza, from, host }: Pick<Packet, 'from' | 'host' | 'stanza'>, readJid: JidReader): string {
  const mucUser = mucUserOf(stanza);
  const item = mucUser && findChild(mucUser, 'item', mucUser.ns);
  const { jid = '', nick = '' } = (item && findChild(item, 'actor', item.ns)?.attrs) ?? {};
  if (jid !== '') return userIdOf(readJid(jid).jid, host);
  return nick === '' ? from.bare : makeJid(from.user, from.server, nick).full;
}

/** OpenIM's numbers: 1 for text, 1504 a member left, 1508 a member was removed, 1511 a group was dismissed; 0 for all other content. */
function contentTypeOf({ kind, stanza }: Packet): number {
  switch (kind) {
    case 'room-left':
      return 1504;
    case 'room-removed':
      return 1508;
    case 'room-destroyed':
      return 1511;
    case 'message':
    case 'correction':
      return stanza.text('body') === '' ? 0 : 1;
    default:
      return 0;
  }
}

/** The text of a message, or the reason of a room change. */
export function contentOf({ kind, stanza }: Packet): string {
  const mucUser = mucUserOf(stanza);
  switch (kind) {
    case 'room-destroyed':
      return mucUser?.text('destroy', 'reason') ?? '';
    case 'room-left':
      return stanza.text('status');
    case 'room-removed':
      return mucUser?.text('item', 'reason') ?? '';
    default:
      return stanza.text('body');
  }
}

/** A client's platform with OpenIM's number; 0 and the empty string if unknown. */
interface Platform {
  readonly platformID: number;
  readonly platform: string;
}

function platformOf(resource: string): Platform {
  const word = platformWordOf(resource);
  return platforms.find(({ platform }) => platform.toLowerCase() === word) ?? unknownPlatform;
}

/** A stanza names the platform of a client in the resource only, by convention at its start: `ios`, `Android-17c`, `web.3f`. */
export function platformWordOf(resource: string): string {
  const [, word = ''] = /^([a-z]+)(?![a-z])/i.exec(resource) ?? [];
  return word.toLowerCase();
}

const unknownPlatform: Platform = { platformID: 0, platform: '' };

const platforms: readonly Platform[] = [
  { platformID: 1, platform: 'iOS' },
  { platformID: 2, platform: 'Android' },
  { platformID: 3, platform: 'Windows' },
  { platformID: 4, platform: 'macOS' },
  { platformID: 5, platform: 'Web' },
  { platformID: 7, platform: 'Linux' },
];

/** The ids of the users that a message mentions, each once. */
export function mentionedIds(packet: Packet, { room }: Parties, readJid: JidReader): readonly string[] {
  const around = room?.bare ?? roomAround(packet);
  return [...new Set(mentionsIn(packet.stanza, readJid).map((jid) => mentionedIdOf(jid, around, packet.host)))];
}

/** The users that a message mentions (XEP-0372 §3.2), in their order; URIs without a valid JID are skipped. */
function mentionsIn(message: Stanza, readJid: JidReader): readonly Jid[] {
  return findChildren(message, 'reference', 'urn:xmpp:reference:0')
    .filter(({ attrs }) => attrs['type'] === 'mention')
    .flatMap(({ attrs }) => jidIn(attrs['uri'] ?? '', readJid) ?? []);
}

/** The JID in an `xmpp:` URI without an authority (RFC 5122 §2.2). */
function jidIn(uri: string, readJid: JidReader): Jid | undefined {
  const [, path = ''] = /^xmpp:([^?#]+)/i.exec(uri) ?? [];
  const decoded = decode(path);
  if (decoded === undefined || decoded === '' || decoded.startsWith('/')) return undefined;
  const { jid, prepared } = readJid(decoded);
  return prepared ? jid : undefined;
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined; // a stray %: not a valid JID
  }
}

/** A room occupant is mentioned by nickname, which only the room can resolve. */
function mentionedIdOf(jid: Jid, room: string | undefined, host: string): string {
  return jid.bare === room ? jid.full : userIdOf(jid, host);
}

/**
 * The user ID of a JID for the business server: the local part for users of the packet's own host, otherwise the bare JID (rooms, users of
 * other hosts). {@link jidOfUser} is the inverse.
 */
function userIdOf({ user, server, bare }: Jid, host: string): string {
  return user !== '' && server === host ? user : bare;
}

/** As {@link userIdOf}, but keeps the nickname of a room occupant, which distinguishes it from other occupants. */
function partyIdOf(jid: Jid, host: string, { inRoom }: { readonly inRoom: boolean }): string {
  return inRoom && jid.server !== host ? jid.full : userIdOf(jid, host);
}

interface PacketSurroundings {
  /** The packet's host. */
  readonly host: string;
  /** Bare JID of the room of the packet, if any. */
  readonly room: string | undefined;
}

/**
 * The JID of a user ID from a business server. With an `@` it is a JID, whose resource is removed unless it is a nickname in
 * `room`; otherwise it is a local part of the packet's host. Undefined: it is not a valid JID.
 */
export function jidOfUser(id: string, { host, room }: PacketSurroundings, readJid: JidReader): Jid | undefined {
  const { jid, prepared } = readJid(id.includes('@') ? id : `${id}@${host}`);
  const isUser = prepared && jid.user !== '' && (id.includes('@') || jid.resource === '');
  if (!isUser) return undefined;
  return jid.bare === room ? jid : bareJid(jid);
}
