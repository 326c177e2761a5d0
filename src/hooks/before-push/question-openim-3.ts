/**
 * The questions of OpenIM 3 (`pkg/callbackstruct/push.go` of open-im-server 3.8.3) before a push. docs/guides/before-push.md has the
 * table of the fields.
 */
import type { DeliveryId } from '../../model/delivery.ts';
import type { Packet } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import { contentOf, mentionedIds, type Parties, partiesOf, platformWordOf } from './question.ts';

interface Asker {
  readonly operationID: string;
  readonly platformID: number;
  readonly platform: string;
}

interface AskedMessage {
  readonly clientMsgID: string;
  readonly sendID: string;
  readonly groupID: string;
  readonly contentType: number;
  readonly sessionType: number;
  readonly atUserIDList: readonly string[];
  /** The JSON text of an object whose fields depend on `contentType`. */
  readonly content: string;
}

interface OnlineQuestion extends Asker, AskedMessage {
  readonly callbackCommand: 'callbackBeforeOnlinePushCommand';
  readonly userIDList: readonly string[];
}

interface OfflineQuestion extends Asker, AskedMessage {
  readonly callbackCommand: 'callbackBeforeOfflinePushCommand';
  readonly userIDList: readonly string[];
  readonly title: string;
  readonly desc: string;
  readonly ex: string;
  readonly iOSPushSound: string;
  readonly iOSBadgeCount: boolean;
  readonly signalInfo: string;
}

interface GroupQuestion extends Asker, AskedMessage {
  readonly callbackCommand: 'callbackBeforeGroupOnlinePushCommand';
  readonly seq: number;
}

export type OpenIm3Question = GroupQuestion | OfflineQuestion | OnlineQuestion;

/**
 * The question about a packet, with its fields in OpenIM's order. What a user sends to a room is asked about without receivers;
 * what is routed to a user without a client, as an offline push; everything else as an online push.
 */
export function questionOfOpenIm3(packet: Packet, id: DeliveryId, readJid: JidReader): OpenIm3Question {
  const parties = partiesOf(packet, readJid);
  const asker: Asker = { operationID: id, ...platformOf(parties.resource) };
  const message = messageOf(packet, parties, readJid);
  const userIDList = parties.receivers;

  if (userIDList.length === 0) return { callbackCommand: 'callbackBeforeGroupOnlinePushCommand', ...asker, ...message, seq: 0 };
  if (packet.sessions !== 0) return { callbackCommand: 'callbackBeforeOnlinePushCommand', ...asker, userIDList, ...message };
  return {
    callbackCommand: 'callbackBeforeOfflinePushCommand',
    ...asker,
    userIDList,
    title: packet.stanza.text('subject'),
    desc: contentOf(packet),
    ex: '',
    iOSPushSound: '',
    iOSBadgeCount: false,
    signalInfo: '',
    ...message,
  };
}

const singleSession = 1;
const groupSession = 3; // 2 was the group session of OpenIM 2

function messageOf(packet: Packet, parties: Parties, readJid: JidReader): AskedMessage {
  const atUserIDList = mentionedIds(packet, parties, readJid);
  const { contentType, content } = contentIn(packet, parties, atUserIDList);
  return {
    clientMsgID: packet.stanza.attrs['id'] ?? '',
    sendID: parties.sendID,
    groupID: parties.room?.bare ?? '',
    contentType,
    sessionType: parties.room === undefined ? singleSession : groupSession,
    atUserIDList,
    content,
  };
}

/** OpenIM's numbers and elements: 101 text, 106 text with mentions, 1504, 1508, 1511 notifications about groups; 0 for all others. */
function contentIn(packet: Packet, parties: Parties, atUserList: readonly string[]): Pick<AskedMessage, 'content' | 'contentType'> {
  const text = contentOf(packet);
  const operationTime = packet.time;
  const groupID = parties.room?.bare ?? '';
  const members = parties.receivers.map((userID) => ({ groupID, userID }));
  const opUser = { groupID, userID: parties.sendID };
  switch (packet.kind) {
    case 'room-left':
      return contentAs(1504, { group: { groupID }, quitUser: opUser, operationTime });
    case 'room-removed':
      return contentAs(1508, { group: { groupID }, opUser, kickedUserList: members, operationTime });
    case 'room-destroyed':
      return contentAs(1511, { group: { groupID }, opUser, operationTime });
    case 'correction':
    case 'message':
      if (text === '') return contentAs(0, { content: '' });
      return atUserList.length === 0 ? contentAs(101, { content: text }) : contentAs(106, { text, atUserList, isAtSelf: false });
    default:
      return contentAs(0, { content: text });
  }
}

function contentAs(contentType: number, element: object): Pick<AskedMessage, 'content' | 'contentType'> {
  return { contentType, content: JSON.stringify(element) };
}

/** By the word at the start of a resource. */
const platforms: ReadonlyMap<string, Pick<Asker, 'platform' | 'platformID'>> = new Map([
  ['ios', { platformID: 1, platform: 'IOS' }],
  ['android', { platformID: 2, platform: 'Android' }],
  ['windows', { platformID: 3, platform: 'Windows' }],
  ['macos', { platformID: 4, platform: 'OSX' }],
  ['osx', { platformID: 4, platform: 'OSX' }],
  ['web', { platformID: 5, platform: 'Web' }],
  ['linux', { platformID: 7, platform: 'Linux' }],
  ['ipad', { platformID: 9, platform: 'IPad' }],
  ['harmonyos', { platformID: 11, platform: 'HarmonyOS' }],
]);

function platformOf(resource: string): Pick<Asker, 'platform' | 'platformID'> {
  return platforms.get(platformWordOf(resource)) ?? { platformID: 0, platform: '' };
}
