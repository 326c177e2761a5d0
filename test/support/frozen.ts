import type { Stanza } from '../../src/model/packet.ts';
import { createStanzaParser } from '../../src/packet/xml/parse.ts';

/** A stanza as a source reads it: not frozen yet. */
export function readUnfrozen(xml: string): Stanza {
  return createStanzaParser()(xml);
}

/** Whether a stanza and all elements inside it are frozen. */
export function isDeeplyFrozen(stanza: Stanza): boolean {
  const parts = [stanza, stanza.attrs, stanza.children];
  return parts.every(Object.isFrozen) && stanza.children.every((child) => typeof child === 'string' || isDeeplyFrozen(child));
}
