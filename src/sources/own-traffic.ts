import type { Attachment } from '../config/service-config.ts';
import type { Stanza } from '../model/packet.ts';
import { domainOf, type JidReader } from '../packet/jid.ts';
import { withoutMucSub } from '../packet/room.ts';
import { findChild } from '../packet/xml/element.ts';
import type { IsOwn } from './source.ts';

export interface OwnTraffic {
  readonly isOwn: IsOwn;
  /** Whether a bare JID is one of our accounts: its messages may be the pusher's if the origin does not show the mark. */
  readonly isAccount: (bare: string) => boolean;
}

/** Namespace of the child that marks the messages that the pusher sends as an account. */
export const sentNs = 'urn:x-event-pusher:sent:1';

/**
 * A component is recognised by its domain, which only it may use. An account also has other clients, so its messages are
 * recognised by the mark; the mark counts only from our accounts, and from their addresses in rooms.
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

/** Whether a message has the mark, from any sender. */
export function isMarked(message: Stanza): boolean {
  return findChild(message, 'sent', sentNs) !== undefined;
}

/** The address of an account, and its addresses in rooms. */
function addressesOf(attachment: Attachment): readonly string[] {
  if (attachment.type !== 'client') return [];
  const { jid, rooms } = attachment;
  return [`${jid.user}@${jid.domain}`, ...rooms.map((room) => `${room.jid}/${room.nick}`)];
}
