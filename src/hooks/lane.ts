import type { Ordering } from '../config/config.ts';
import type { Packet } from '../model/packet.ts';
import { roomOf } from '../packet/room.ts';

/** The lane of a packet's delivery for a handler: what is in one lane is delivered one after the other. Null: no order. */
export function laneOf(packet: Packet, handler: string, ordering: Ordering): string | null {
  switch (ordering) {
    case 'conversation':
      return `${handler} ${conversationOf(packet)}`;
    case 'sender':
      return `${handler} ${(packet.sender ?? packet.from).bare}`;
    case 'none':
      return null;
    default:
      return ordering satisfies never;
  }
}

/**
 * The conversation a packet belongs to: the two bare JIDs in an order of their own, so that question and answer share
 * it, or the room's bare JID for what is said in a room.
 */
export function conversationOf(packet: Pick<Packet, 'direction' | 'from' | 'stanza' | 'to'>): string {
  const { from, to } = packet;
  const room = roomOf(packet);
  if (room !== undefined) return room;
  return from.bare < to.bare ? `${from.bare} ${to.bare}` : `${to.bare} ${from.bare}`;
}
