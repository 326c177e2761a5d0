/** Multi-user chat (XEP-0045): room messages, the ends of stays in rooms, and room messages nested by ejabberd's MUC/Sub. */
import { ownCopy } from '../kit/own-copy.ts';
import type { Direction, Packet, Stanza } from '../model/packet.ts';
import { childElements, findChild, findChildren, withChildren } from './xml/element.ts';

type InRoom = Pick<Packet, 'direction' | 'event' | 'from' | 'stanza' | 'to'>;

/** Whether a message goes to all occupants of a room (XEP-0045 §7.4). */
export function isGroupchat({ name, attrs }: Stanza): boolean {
  return name === 'message' && attrs['type'] === 'groupchat';
}

/** Bare JID of the room of a groupchat message, or of an event of the room; undefined for any other stanza. */
export function roomOf({ direction, event, stanza, from, to }: InRoom): string | undefined {
  if (event.startsWith('room-')) return to.bare;
  if (!isGroupchat(stanza)) return undefined;
  return direction === 'in' ? to.bare : from.bare;
}

/** Bare JID of the room in which a message was sent, to all occupants or to one. */
export function roomAround(packet: InRoom): string | undefined {
  if (!isPrivateRoomMessage(packet.stanza)) return roomOf(packet);
  return packet.direction === 'in' ? packet.to.bare : packet.from.bare;
}

/**
 * Whether a message is private within a room (XEP-0045 §7.5). Clients and rooms mark such messages, because `room/nickname` has
 * the same form as `user/resource`.
 */
export function isPrivateRoomMessage(stanza: Stanza): boolean {
  const { name, attrs } = stanza;
  if (name !== 'message' || attrs['type'] === 'groupchat' || attrs['type'] === 'error') return false;
  return mucUserOf(stanza) !== undefined || findChild(stanza, 'occupant-id', 'urn:xmpp:occupant-id:0') !== undefined;
}

/** The element with which a room describes occupants and their status. */
export function mucUserOf(stanza: Stanza): Stanza | undefined {
  return findChild(stanza, 'x', mucUserNs);
}

const mucUserNs = 'http://jabber.org/protocol/muc#user';

/** The end of a user's stay in a room. */
type RoomChange = 'room-destroyed' | 'room-left' | 'room-removed';

export function isRoomChange(kind: string): kind is RoomChange {
  return kind === 'room-destroyed' || kind === 'room-left' || kind === 'room-removed';
}

/** Status codes: banned, kicked, affiliation lost, room became members-only, service shutdown. XEP-0045 §15.6. */
const removing: readonly string[] = ['301', '307', '321', '322', '332'];

/**
 * The end of its receiver's own stay that a presence from a room reports: the user left, was removed, or the room was destroyed
 * (XEP-0045 §7.14, §8.2, §9.1, §9.4, §10.9). Undefined for the presence that the other occupants receive, for a change of nickname
 * (303), and for a presence from a user of the receiver's own domain, because rooms have a domain of their own. MongooseIM and old
 * versions of ejabberd omit status 110 when they remove an occupant. If the presence shows the occupant's address, that address
 * identifies the occupant; otherwise `endsStay` may.
 */
export function roomChangeOf(stanza: Stanza, endsStay = false): RoomChange | undefined {
  if (stanza.name !== 'presence' || stanza.attrs['type'] !== 'unavailable' || isWithinDomain(stanza)) return undefined;
  const mucUser = mucUserOf(stanza);
  if (mucUser === undefined) return undefined;
  if (findChild(mucUser, 'destroy', mucUserNs) !== undefined) return 'room-destroyed';

  const codes = statusCodes(mucUser);
  if (codes.has('303') || !(codes.has('110') || endsStay || isAboutReceiver(mucUser, stanza))) return undefined;
  return removing.some((code) => codes.has(code)) ? 'room-removed' : 'room-left';
}

function statusCodes(mucUser: Stanza): ReadonlySet<string | undefined> {
  return new Set(findChildren(mucUser, 'status', mucUserNs).map((status) => status.attrs['code']));
}

function isAboutReceiver(mucUser: Stanza, { attrs: { to = '' } }: Stanza): boolean {
  const { jid = '' } = findChild(mucUser, 'item', mucUserNs)?.attrs ?? {};
  if (jid === '' || to === '') return false;
  const [shown, receiver] = jid.includes('/') && to.includes('/') ? [jid, to] : [bareOf(jid), bareOf(to)];
  return withLowerBare(shown) === withLowerBare(receiver);
}

/** Lowers the case of the bare JID, which a server may send as the user typed it. Only the resource is case-sensitive. */
function withLowerBare(jid: string): string {
  const bare = bareOf(jid);
  return bare.toLowerCase() + jid.slice(bare.length);
}

function isWithinDomain({ attrs: { from = '', to = '' } }: Stanza): boolean {
  return domainOf(from) === domainOf(to);
}

function domainOf(jid: string): string {
  const bare = bareOf(jid);
  return bare.slice(bare.indexOf('@') + 1).toLowerCase();
}

function bareOf(jid: string): string {
  return jid.split('/', 1)[0] ?? '';
}

/** Maximum number of nicknames; each takes some hundred bytes. */
const maxStays = 20_000;

/**
 * The nicknames of users in rooms, learned from presences since the start. They identify whose stay ends if the room does not:
 * MongooseIM omits status 110 for a removed occupant and hides addresses in most rooms.
 */
export class Stays {
  readonly #nicks = new Map<string, string>();

  /** Records a presence. Returns whether it is known to end the receiver's own stay. */
  observe(stanza: Stanza, direction: Direction): boolean {
    if (direction !== 'out' || stanza.name !== 'presence') return false;
    const mucUser = mucUserOf(stanza);
    if (mucUser === undefined) return false;
    const { from = '', to = '', type } = stanza.attrs;
    const slash = from.indexOf('/');
    const stay = `${to} ${from.slice(0, slash)}`;
    const nick = from.slice(slash + 1);
    if (type === undefined) {
      if (statusCodes(mucUser).has('110')) this.#begin(stay, nick);
      return false;
    }
    return type === 'unavailable' && this.#nicks.get(stay) === nick && this.#nicks.delete(stay);
  }

  #begin(stay: string, nick: string): void {
    this.#nicks.delete(stay);
    this.#nicks.set(ownCopy(stay), ownCopy(nick));
    const [oldest = ''] = this.#nicks.keys();
    if (this.#nicks.size > maxStays) this.#nicks.delete(oldest);
  }
}

const pubsubEventNs = 'http://jabber.org/protocol/pubsub#event';

/**
 * Extracts a room message for a subscriber who is not in the room: ejabberd's MUC/Sub nests it in a PubSub event from the room.
 * Returns that message with the archive id and delay of the event, and any other stanza unchanged. A room nests only its own
 * messages and adds no body, so an event with another sender or a body is a forgery and is returned unchanged.
 */
export function withoutMucSub(stanza: Stanza): Stanza {
  if (stanza.name !== 'message' || stanza.attrs['type'] === 'error') return stanza;
  const event = findChild(stanza, 'event', pubsubEventNs);
  const nested = event === undefined ? undefined : nestedMessage(event);
  if (nested === undefined || !isFromItsRoom(nested, stanza) || findChild(stanza, 'body') !== undefined) return stanza;
  const added = stanza.children.filter((child) => child !== event && typeof child !== 'string');
  return added.length === 0 ? nested : withChildren(nested, [...nested.children, ...added]);
}

function nestedMessage(event: Stanza): Stanza | undefined {
  const items = findChild(event, 'items', pubsubEventNs);
  const [item, ...others] = items?.attrs['node'] === 'urn:xmpp:mucsub:nodes:messages' ? childElements(items) : [];
  const [message, ...more] = item === undefined || others.length > 0 ? [] : childElements(item);
  return message?.name === 'message' && message.ns === 'jabber:client' && more.length === 0 ? message : undefined;
}

function isFromItsRoom(nested: Stanza, { attrs: { from = '' } }: Stanza): boolean {
  const room = bareOf(from).toLowerCase();
  return room !== '' && nested.attrs['type'] === 'groupchat' && bareOf(nested.attrs['from'] ?? '').toLowerCase() === room;
}
