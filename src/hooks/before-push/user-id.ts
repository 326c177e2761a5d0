import type { Jid } from '../../model/packet.ts';
import { bareJid, type JidReader, makeJid } from '../../packet/jid.ts';

/**
 * A user as a business server knows it: the local part for users of the packet's own host, the bare JID for all others
 * (so for rooms, and users elsewhere). {@link jidOfUser} is the way back.
 */
export function userIdOf({ user, server, bare }: Jid, host: string): string {
  return user !== '' && server === host ? user : bare;
}

interface Around {
  /** The packet's host. */
  readonly host: string;
  readonly room: string | undefined;
}

/**
 * The JID of a user ID from a business server. With an `@` it is a JID, whose resource is removed unless it is a nickname in
 * `room` (a bare JID); otherwise it is a local part of the packet's host. Undefined: it is not a valid JID.
 */
export function jidOfUser(id: string, { host, room }: Around, readJid: JidReader): Jid | undefined {
  const { jid, prepared } = readJid(id.includes('@') ? id : `${id}@${host}`);
  const isUser = prepared && jid.user !== '' && (id.includes('@') || jid.resource === '');
  if (!isUser) return undefined;
  return jid.bare === room ? jid : bareJid(jid);
}

/** As {@link userIdOf}, but keeps the nickname of a room occupant, which distinguishes it from other occupants. */
export function partyIdOf(jid: Jid, host: string, { inRoom }: { readonly inRoom: boolean }): string {
  return inRoom && jid.server !== host ? jid.full : userIdOf(jid, host);
}

/** A room's member as the room shows it: there is no other name for who hides behind a nickname. */
export function occupantId(room: Jid, nick: string): string {
  return makeJid(room.user, room.server, nick).full;
}
