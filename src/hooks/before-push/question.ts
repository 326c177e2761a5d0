/**
 * The question that a business server is asked before a push, as OpenIM asks it: `callbackBeforePushCommand`. The README
 * shows this mapping as one table.
 */
import type { Jid, Packet } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import { isGroupchat, isPrivateRoomMessage, mucUserOf, roomAround } from '../../packet/room.ts';
import { findChild } from '../../packet/xml/element.ts';
import { mentionsIn } from './mentions.ts';
import { platformOf } from './platform.ts';
import { occupantId, partyIdOf, userIdOf } from './user-id.ts';

/** The fields of the request, in the order in which OpenIM shows them. Each is always there, and always of its type. */
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

/** What a packet asks. Of what XMPP does not have the fields are empty, 0 or false. */
export function questionOf(packet: Packet, readJid: JidReader): Question {
  const { stanza, host } = packet;
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
    atUserIDList: [...new Set(mentionsIn(stanza, readJid).map((jid) => mentioned(jid, parties.room?.bare ?? roomAround(packet), host)))],
    content,
  };
}

const singleSession = 1;
const groupSession = 2;

interface Parties {
  readonly sendID: string;
  /** Resource of the sender's client; empty where a room hides it. */
  readonly resource: string;
  readonly room: Jid | undefined;
  /** Who the packet is for, as far as it says: one user, or for what is said to a room nobody that we know of. */
  readonly receivers: readonly string[];
}

function partiesOf({ stanza, direction, kind, from, to, sender, host }: Packet, readJid: JidReader): Parties {
  switch (kind) {
    case 'room-destroyed':
      return { sendID: from.bare, resource: '', room: from, receivers: [userIdOf(to, host)] };
    case 'room-left':
      return { sendID: userIdOf(to, host), resource: to.resource, room: from, receivers: [userIdOf(to, host)] };
    case 'room-removed':
      return { sendID: actorOf({ stanza, from, host }, readJid), resource: '', room: from, receivers: [userIdOf(to, host)] };
    default:
      if (isPrivateRoomMessage(stanza)) return whispered({ direction, from, to, host });
      if (!isGroupchat(stanza))
        return { sendID: userIdOf(from, host), resource: from.resource, room: undefined, receivers: [userIdOf(to, host)] };
      return direction === 'in'
        ? { sendID: userIdOf(from, host), resource: from.resource, room: to, receivers: [] }
        : { sendID: sender === undefined ? from.full : userIdOf(sender, host), resource: '', room: from, receivers: [userIdOf(to, host)] };
  }
}

/** The room occupant is identified by nickname alone, which does not identify a client. */
function whispered({ direction, from, to, host }: Pick<Packet, 'direction' | 'from' | 'host' | 'to'>): Parties {
  const sendID = partyIdOf(from, host, { inRoom: direction === 'out' });
  const receivers = [partyIdOf(to, host, { inRoom: direction === 'in' })];
  return { sendID, resource: direction === 'in' ? from.resource : '', room: undefined, receivers };
}

/** Who has removed a member, where the room tells it (XEP-0045 §8.2), else the room itself. */
function actorOf({ stanza, from, host }: Pick<Packet, 'from' | 'host' | 'stanza'>, readJid: JidReader): string {
  const news = mucUserOf(stanza);
  const item = news && findChild(news, 'item', news.ns);
  const { jid = '', nick = '' } = (item && findChild(item, 'actor', item.ns)?.attrs) ?? {};
  if (jid !== '') return userIdOf(readJid(jid).jid, host);
  return nick === '' ? from.bare : occupantId(from, nick);
}

/** The numbers are OpenIM's: a text, a member who left, one who was removed, a group that is no more; 0 for what it does not know. */
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

/** What was said; of a room's news the reason that was given for it. */
function contentOf({ kind, stanza }: Packet): string {
  const news = mucUserOf(stanza);
  switch (kind) {
    case 'room-destroyed':
      return news?.text('destroy', 'reason') ?? '';
    case 'room-left':
      return stanza.text('status');
    case 'room-removed':
      return news?.text('item', 'reason') ?? '';
    default:
      return stanza.text('body');
  }
}

/** Whom a room's member mentions by nickname only the room knows. */
function mentioned(jid: Jid, room: string | undefined, host: string): string {
  return jid.bare === room ? jid.full : userIdOf(jid, host);
}
