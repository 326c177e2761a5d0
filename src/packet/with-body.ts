import type { Stanza } from '../model/packet.ts';
import { type Child, element, localName, withChildren } from './xml/element.ts';

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
