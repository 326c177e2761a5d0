import type { Attachment } from '../config/config.ts';
import type { Stanza } from '../model/packet.ts';
import type { JidReader } from '../packet/jid.ts';
import { withoutMucSub } from '../packet/room.ts';
import { findChild } from '../packet/xml/element.ts';

/**
 * Whether the pusher itself has sent a stanza, through whichever of its attachments: none of that is pushed, or what an
 * answer orders would be pushed for ever. `from` stands for an address that is left out.
 */
export type IsOwn = (stanza: Stanza, from?: string) => boolean;

export interface OwnTraffic {
  readonly isOwn: IsOwn;
  /** Whether a bare JID is that of one of our accounts: what it says where no mark can be seen may be the pusher's. */
  readonly isAccount: (bare: string) => boolean;
}

/** The child that marks what the pusher sends as an account. */
export const sentNs = 'urn:x-event-pusher:sent:1';

/**
 * A component speaks for its domain alone, so that domain tells. An account's other clients are somebody else, so there
 * the mark tells; it counts for nothing from anybody who is none of our accounts, nor one of them in a room.
 */
export function createOwnTraffic(attachments: readonly Attachment[], readJid: JidReader): OwnTraffic {
  const domains = new Set(attachments.flatMap((attachment) => (attachment.type === 'component' ? [domainOf(attachment.domain)] : [])));
  const accounts = new Set(attachments.flatMap(addressesOf).map((jid) => readJid(jid).jid.full));

  return {
    isOwn: (seen, from = '') => {
      const stanza = withoutMucSub(seen);
      const sender = stanza.attrs['from'] ?? from;
      if (domains.has(domainOf(sender))) return true;
      if (accounts.size === 0 || !isMarked(stanza)) return false;
      const { bare, full } = readJid(sender).jid;
      return accounts.has(bare) || accounts.has(full);
    },
    isAccount: (bare) => accounts.has(bare),
  };
}

/** Whether it bears the mark, whoever has set it. */
export function isMarked(message: Stanza): boolean {
  return findChild(message, 'sent', sentNs) !== undefined;
}

/** The domain of a JID as it is written, in lower case; enough to tell our own name. */
export function domainOf(jid = ''): string {
  const slash = jid.indexOf('/');
  const bare = slash < 0 ? jid : jid.slice(0, slash);
  return bare.slice(bare.indexOf('@') + 1).toLowerCase();
}

/** An account, and who it is in its rooms. */
function addressesOf(attachment: Attachment): readonly string[] {
  if (attachment.type !== 'client') return [];
  const { jid, rooms } = attachment;
  return [`${jid.user}@${jid.domain}`, ...rooms.map((room) => `${room.jid}/${room.nick}`)];
}
