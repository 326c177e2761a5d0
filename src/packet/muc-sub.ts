import type { Stanza } from '../model/packet.ts';
import { childElements, findChild, withChildren } from './xml/element.ts';

const eventNs = 'http://jabber.org/protocol/pubsub#event';
const messagesNode = 'urn:xmpp:mucsub:nodes:messages';

/**
 * Extracts a room message for a subscriber who is not in the room: ejabberd's MUC/Sub nests it in a PubSub event from the
 * room. Returns that message with the archive id and delay of the event; any other stanza is returned unchanged. A room nests
 * only its own messages and adds no body: an event with another sender or a body is a forgery and is returned unchanged.
 */
export function withoutMucSub(stanza: Stanza): Stanza {
  if (stanza.name !== 'message' || stanza.attrs['type'] === 'error') return stanza;
  const event = findChild(stanza, 'event', eventNs);
  const nested = event === undefined ? undefined : nestedMessage(event);
  if (nested === undefined || !isFromItsRoom(nested, stanza) || findChild(stanza, 'body') !== undefined) return stanza;
  const notes = stanza.children.filter((child) => child !== event && typeof child !== 'string');
  return notes.length === 0 ? nested : withChildren(nested, [...nested.children, ...notes]);
}

function nestedMessage(event: Stanza): Stanza | undefined {
  const items = findChild(event, 'items', eventNs);
  const [item, ...others] = items?.attrs['node'] === messagesNode ? childElements(items) : [];
  const [message, ...more] = item === undefined || others.length > 0 ? [] : childElements(item);
  return message?.name === 'message' && message.ns === 'jabber:client' && more.length === 0 ? message : undefined;
}

function isFromItsRoom(nested: Stanza, { attrs: { from = '' } }: Stanza): boolean {
  const room = bareOf(from);
  return room !== '' && nested.attrs['type'] === 'groupchat' && bareOf(nested.attrs['from'] ?? '') === room;
}

function bareOf(jid: string): string {
  const slash = jid.indexOf('/');
  return (slash < 0 ? jid : jid.slice(0, slash)).toLowerCase();
}
