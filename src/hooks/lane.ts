import type { Ordering } from '../config/config.ts';
import type { Packet } from '../packet/packet.ts';

/** The lane of a packet's delivery for a handler: what is in one lane is delivered one after the other. Null: no order. */
export function laneOf(packet: Packet, handler: string, ordering: Ordering): string | null {
  switch (ordering) {
    case 'conversation':
      return `${handler} ${conversationOf(packet)}`;
    case 'sender':
      return `${handler} ${packet.from.bare}`;
    case 'none':
      return null;
    default:
      return ordering satisfies never;
  }
}

/**
 * The conversation a packet belongs to: the two bare JIDs in an order of their own, so that question and answer share
 * it, or the room's bare JID for room messages (XEP-0045: a room is who a member writes to and who a member hears from).
 */
export function conversationOf({ direction, stanza, from, to }: Pick<Packet, 'direction' | 'from' | 'stanza' | 'to'>): string {
  if (stanza.attrs['type'] === 'groupchat') return direction === 'in' ? to.bare : from.bare;
  return from.bare < to.bare ? `${from.bare} ${to.bare}` : `${to.bare} ${from.bare}`;
}
