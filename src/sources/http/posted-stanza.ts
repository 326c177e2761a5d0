import type { PacketId, Stanza } from '../../model/packet.ts';
import { element } from '../../packet/xml/element.ts';
import type { PostedForm } from './posted-form.ts';

/**
 * The chat message that a post tells of, as far as it tells: addresses without resources, the receiver on the sender's
 * host (MongooseIM leaves the receiver's own out), and an id of ours, since the one that the client gave is not posted.
 */
export function postedStanza({ author, server, receiver, message }: PostedForm, id: PacketId): Stanza {
  const attrs = { xmlns: 'jabber:client', type: 'chat', id, from: address(author, server), to: address(receiver, server) };
  return element('message', attrs, [element('body', {}, [message])]);
}

function address(user: string, server: string): string {
  return user === '' ? server : `${user}@${server}`;
}
