import { type Element, xml } from '@xmpp/client';
import type { Stanza } from '../../model/packet.ts';
import { localName } from '../../packet/xml/element.ts';

/**
 * Converts an element to the library's class. Prefixes are resolved, so that the library finds elements independent of the prefix.
 * A namespace is written only if it differs from the parent's: MongooseIM rejects an `<after/>` with any attribute.
 */
export function toLibrary(stanza: Stanza, around = ''): Element {
  const children = stanza.children.map((child) => (typeof child === 'string' ? child : toLibrary(child, stanza.ns)));
  return xml(localName(stanza.name), headOf(stanza, around), ...children);
}

/** Placeholder for a stanza without a readable head; the server counts it too. */
export const uncountable: Element = xml('message', { xmlns: 'jabber:client' });

/** Enough of a stanza for the library to count it (XEP-0198): its own parts read no messages, and trip over strange addresses. */
export function toCount({ name, ns }: Stanza): Element {
  return xml(localName(name), { xmlns: ns });
}

function headOf({ attrs, ns }: Stanza, around: string): Record<string, string> {
  const plain = Object.entries(attrs).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'));
  return { ...Object.fromEntries(plain), ...(ns === around ? {} : { xmlns: ns }) };
}
