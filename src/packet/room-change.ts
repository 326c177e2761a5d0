import type { Stanza } from '../model/packet.ts';
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
