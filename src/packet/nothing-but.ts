import type { Stanza } from '../model/packet.ts';

/** What servers and clients note beside the content of a message (XEP-0203, XEP-0334, XEP-0359): it says nothing by itself. */
const notes: ReadonlySet<string> = new Set(['jabber:x:delay', 'urn:xmpp:delay', 'urn:xmpp:hints', 'urn:xmpp:sid:0']);

/**
 * Whether a stanza holds what `isThat` finds and nothing else that could reach anybody. Anybody can write the elements
 * by which copies are known, and would hide a message of their own behind one.
 */
export function isNothingBut({ children }: Stanza, isThat: (child: Stanza) => boolean): boolean {
  return children.every((child) => typeof child === 'string' || isThat(child) || notes.has(child.ns));
}
