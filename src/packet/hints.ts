import type { Stanza } from '../model/packet.ts';
import { findChild } from './xml/element.ts';

const hintsNs = 'urn:xmpp:hints';

/** Whether its sender asks that a message be kept nowhere (XEP-0334), and does not ask for the opposite. */
export function asksNotToBeStored(stanza: Stanza): boolean {
  const hints = (name: string): boolean => findChild(stanza, name, hintsNs) !== undefined;
  return (hints('no-store') || hints('no-permanent-store')) && !hints('store');
}
