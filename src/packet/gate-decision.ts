/** The decision about a message that a chat server holds, and the message with a changed text. */
import type { Packet, Stanza } from '../model/packet.ts';
import { type Child, element, localName, withChildren } from './xml/element.ts';

/** Decides about one held message. Never rejects. */
export type Decide = (packet: Packet) => Promise<GateDecision>;

export type GateDecision =
  | { readonly kind: 'allowed' }
  /** The message continues with this text. */
  | { readonly kind: 'changed'; readonly body: string }
  /** No decision: the chat server applies its own policy for this case. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** The message stops here; the text is for its sender. */
  | { readonly kind: 'refused'; readonly text: string };

/**
 * Replaces the text of a message: its first `<body>` contains the new text, further bodies and XHTML-IM's `html` (XEP-0071) are
 * removed, everything else is unchanged. The gate modules of the chat servers do the same.
 */
export function withBody(message: Stanza, text: string): Stanza {
  const first = message.children.find((child) => isBody(child, message));
  const kept = message.children.filter((child) => child === first || !(isBody(child, message) || isXhtml(child)));
  const children = kept.map((child) => (typeof child !== 'string' && child === first ? element('body', child.attrs, [text]) : child));
  return withChildren(message, children);
}

function isBody(child: Child, { ns }: Stanza): boolean {
  return typeof child !== 'string' && localName(child.name) === 'body' && child.ns === ns;
}

function isXhtml(child: Child): boolean {
  return typeof child !== 'string' && localName(child.name) === 'html' && child.ns === 'http://jabber.org/protocol/xhtml-im';
}
