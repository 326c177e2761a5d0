import type { Stanza } from '../../pools/contract.ts';
import type { Packet } from './packet.ts';

/** Whether it is said in a room, to all (XEP-0045 §7.4). */
export function isSaidInRoom({ name, attrs }: Stanza): boolean {
  return name === 'message' && attrs['type'] === 'groupchat';
}

/** The bare JID of the room that a message is said in: a room is who an occupant writes to and who an occupant hears from. */
export function roomOf({ direction, stanza, from, to }: Pick<Packet, 'direction' | 'from' | 'stanza' | 'to'>): string | undefined {
  if (!isSaidInRoom(stanza)) return undefined;
  return direction === 'in' ? to.bare : from.bare;
}
