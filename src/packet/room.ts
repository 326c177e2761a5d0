import type { Packet, Stanza } from '../model/packet.ts';
import { roomNews } from './room-change.ts';
import { findChild } from './xml/element.ts';

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
