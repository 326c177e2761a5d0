import type { Stanza } from '../model/packet.ts';
import { findChildren } from './xml/element.ts';

const fallbackNs = 'urn:xmpp:fallback:0';

/**
 * Whether the whole body is there only for clients that do not know one of these features, by their namespaces
 * (XEP-0428). An indication without `for`, as its first version wrote them, is for any.
 */
export function isBodyStandIn(message: Stanza, isFeature: (namespace: string) => boolean): boolean {
  const indications = findChildren(message, 'fallback', fallbackNs).filter(
    ({ attrs }) => attrs['for'] === undefined || isFeature(attrs['for']),
  );
  if (indications.length === 0) return false;
  const length = countCharacters(message.text('body')); // counted once: a message may have thousands of fallback indications and a long body
  return indications.some((fallback) => coversBody(fallback, length));
}

/** Counts Unicode code points. */
function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** Empty it is about the whole message, else about what it names: the body, or from one character of it up to another. */
function coversBody(fallback: Stanza, length: number): boolean {
  if (!fallback.children.some((child) => typeof child !== 'string')) return true;
  return findChildren(fallback, 'body', fallbackNs).some(({ attrs: { start = '0', end = 'Infinity' } }) => {
    return Number(start) <= 0 && Number(end) >= length;
  });
}
