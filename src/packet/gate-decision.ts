import type { Packet, Stanza } from '../model/packet.ts';
import { type Child, element, localName, withChildren } from './xml/element.ts';

/** What becomes of a message that a chat server holds. */
export type GateDecision =
  | { readonly kind: 'allowed' }
  /** It goes on with this text. */
  | { readonly kind: 'changed'; readonly body: string }
  /** Nobody can say: the chat server does what it was told to do then. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** It does not go on; the text is for its sender. */
  | { readonly kind: 'refused'; readonly text: string };

/** Decides about one held message. Never rejects. */
export type Decide = (packet: Packet) => Promise<GateDecision>;

const xhtmlNs = 'http://jabber.org/protocol/xhtml-im';

/**
 * A message with another text: its first `<body>` bears it, every other one and XHTML-IM's `html` (XEP-0071) are gone,
 * and nothing else is changed. What the modules of the gate do in the chat server.
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
  return typeof child !== 'string' && localName(child.name) === 'html' && child.ns === xhtmlNs;
}
