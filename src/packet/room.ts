import type { Direction, Packet, Stanza } from '../model/packet.ts';
import { findChild, findChildren } from './xml/element.ts';

/** What ends a user's stay in a room. */
export type RoomChange = 'room-destroyed' | 'room-left' | 'room-removed';

export function isRoomChange(kind: string): kind is RoomChange {
  return kind === 'room-destroyed' || kind === 'room-left' || kind === 'room-removed';
}

export const mucUserNs = 'http://jabber.org/protocol/muc#user';

/** Banned, kicked, no longer a member, the room is for members alone now, the service shuts down. XEP-0045 §15.6. */
const removing: readonly string[] = ['301', '307', '321', '322', '332'];

/**
 * What a presence from a room says of its receiver's own stay there: that it was left, that the receiver was removed, or
 * that the room is no more (XEP-0045 §7.14, §8.2, §9.1, §9.4, §10.9). Each of them is told to who goes by one presence;
 * what the others in the room hear of it is none, nor is a change of nickname (303), nor what another user of the receiver's
 * own domain pretends: rooms have a domain of their own. MongooseIM and old versions of ejabberd leave out 110 when they
 * remove an occupant. If the presence shows the address, the address identifies the occupant; otherwise `endsStay` may.
 */
export function roomChangeOf(stanza: Stanza, endsStay = false): RoomChange | undefined {
  if (stanza.name !== 'presence' || stanza.attrs['type'] !== 'unavailable' || isBetweenUsers(stanza)) return undefined;
  const about = roomNews(stanza);
  if (about === undefined) return undefined;
  if (findChild(about, 'destroy', mucUserNs) !== undefined) return 'room-destroyed';

  const codes = new Set(findChildren(about, 'status', mucUserNs).map((status) => status.attrs['code']));
  if (codes.has('303') || !(codes.has('110') || endsStay || isAboutReceiver(about, stanza))) return undefined;
  return removing.some((code) => codes.has(code)) ? 'room-removed' : 'room-left';
}

function isAboutReceiver(about: Stanza, { attrs: { to = '' } }: Stanza): boolean {
  const { jid = '' } = findChild(about, 'item', mucUserNs)?.attrs ?? {};
  if (jid === '' || to === '') return false;
  const [shown, receiver] = jid.includes('/') && to.includes('/') ? [jid, to] : [bareOf(jid), bareOf(to)];
  return withLowerBare(shown) === withLowerBare(receiver);
}

function bareOf(jid: string): string {
  return jid.split('/', 1)[0] ?? '';
}

/** A server may send an address as the user typed it; only the resource is case-sensitive. */
function withLowerBare(jid: string): string {
  const bare = bareOf(jid);
  return bare.toLowerCase() + jid.slice(bare.length);
}

function isBetweenUsers({ attrs: { from = '', to = '' } }: Stanza): boolean {
  return domainOf(from) === domainOf(to);
}

function domainOf(jid: string): string {
  const bare = bareOf(jid);
  return bare.slice(bare.indexOf('@') + 1).toLowerCase();
}

/** What a room has put into a stanza about who is in it. */
export function roomNews(stanza: Stanza): Stanza | undefined {
  return findChild(stanza, 'x', mucUserNs);
}

const occupantIdNs = 'urn:xmpp:occupant-id:0';

/** Whether it is said in a room, to all (XEP-0045 §7.4). */
export function isSaidInRoom({ name, attrs }: Stanza): boolean {
  return name === 'message' && attrs['type'] === 'groupchat';
}

/** The bare JID of the room that a message is said in: a room is who an occupant writes to and who an occupant hears from. */
export function roomOf({ direction, stanza, from, to }: Pick<Packet, 'direction' | 'from' | 'stanza' | 'to'>): string | undefined {
  if (!isSaidInRoom(stanza)) return undefined;
  return direction === 'in' ? to.bare : from.bare;
}

/**
 * Whether a message is private within a room (XEP-0045 §7.5). Clients and rooms mark such messages, because `room/nickname`
 * has the same form as `user/resource`.
 */
export function isWhispered(stanza: Stanza): boolean {
  const { name, attrs } = stanza;
  if (name !== 'message' || attrs['type'] === 'groupchat' || attrs['type'] === 'error') return false;
  return roomNews(stanza) !== undefined || findChild(stanza, 'occupant-id', occupantIdNs) !== undefined;
}

/** The bare JID of the room in which the message was sent, to all occupants or to one. */
export function roomAround(packet: Pick<Packet, 'direction' | 'from' | 'stanza' | 'to'>): string | undefined {
  if (!isWhispered(packet.stanza)) return roomOf(packet);
  return packet.direction === 'in' ? packet.to.bare : packet.from.bare;
}

/** Maximum number of nicknames; each takes some hundred bytes. */
const maxStays = 20_000;

/**
 * The nicknames of users in rooms, as learned from presences since the start. They identify whose stay ends if the room does not:
 * MongooseIM omits status 110 for a removed occupant and hides addresses in most rooms.
 */
export class Stays {
  readonly #nicks = new Map<string, string>();

  /** Records a presence. Returns whether it is known to end the receiver's own stay. */
  endsWith(stanza: Stanza, direction: Direction): boolean {
    if (direction !== 'out' || stanza.name !== 'presence') return false;
    const news = roomNews(stanza);
    if (news === undefined) return false;
    const { from = '', to = '', type } = stanza.attrs;
    const slash = from.indexOf('/');
    const stay = `${to} ${from.slice(0, slash)}`;
    const nick = from.slice(slash + 1);
    if (type === undefined) {
      if (findChildren(news, 'status', mucUserNs).some(({ attrs }) => attrs['code'] === '110')) this.#begin(stay, nick);
      return false;
    }
    return type === 'unavailable' && this.#nicks.get(stay) === nick && this.#nicks.delete(stay);
  }

  #begin(stay: string, nick: string): void {
    this.#nicks.delete(stay);
    this.#nicks.set(stay, nick);
    const [oldest = ''] = this.#nicks.keys();
    if (this.#nicks.size > maxStays) this.#nicks.delete(oldest);
  }
}
