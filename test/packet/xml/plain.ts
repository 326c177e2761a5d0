import type { Stanza } from '../../../src/model/packet.ts';
import type { PlainElement } from './whole-document.ts';

/** A stanza without its methods, for comparison with the result of saxes, which trims namespaces. */
export function plain({ name, ns, attrs, children }: Stanza): PlainElement {
  return {
    name,
    ns: ns.trim(),
    attrs: { ...attrs },
    children: children.map((child) => (typeof child === 'string' ? child : plain(child))),
  };
}
