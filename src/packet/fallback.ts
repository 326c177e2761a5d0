import type { Stanza } from '../../pools/contract.ts';
import { findChildren } from './xml/element.ts';

const fallbackNs = 'urn:xmpp:fallback:0';

/**
 * Whether the whole body is there only for clients that do not know one of these features, by their namespaces
 * (XEP-0428). An indication without `for`, as its first version wrote them, is for any.
 */
export function isBodyStandIn(message: Stanza, isFeature: (namespace: string) => boolean): boolean {
  return findChildren(message, 'fallback', fallbackNs).some(
    (fallback) => (fallback.attrs['for'] === undefined || isFeature(fallback.attrs['for'])) && coversBody(fallback, message),
  );
}

/** Empty it is about the whole message, else about what it names: the body, or from one character of it up to another. */
function coversBody(fallback: Stanza, message: Stanza): boolean {
  if (!fallback.children.some((child) => typeof child !== 'string')) return true;
  return findChildren(fallback, 'body', fallbackNs).some(({ attrs: { start = '0', end = 'Infinity' } }) => {
    return Number(start) <= 0 && Number(end) >= Array.from(message.text('body')).length;
  });
}
