import { type Element, xml } from '@xmpp/client';
import type { Stanza } from '../../../pools/contract.ts';
import { localName } from '../../packet/xml/element.ts';

/** An element as the library builds them. Prefixes are resolved, so that it finds what it looks for however it was spelled. */
export function toLibrary(stanza: Stanza): Element {
  const children = stanza.children.map((child) => (typeof child === 'string' ? child : toLibrary(child)));
  return xml(localName(stanza.name), headOf(stanza), ...children);
}

/** Enough of a stanza for the library to count it (XEP-0198): its own parts read no messages, and trip over strange addresses. */
export function toCount({ name, ns }: Stanza): Element {
  return xml(localName(name), { xmlns: ns });
}

function headOf({ attrs, ns }: Stanza): Record<string, string> {
  const plain = Object.entries(attrs).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'));
  return { ...Object.fromEntries(plain), xmlns: ns };
}
