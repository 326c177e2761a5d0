/** What a message says about other messages, and about what it is encrypted with. */
import type { Stanza } from '../../model/packet.ts';
import { findChild, findChildren } from '../../packet/xml/element.ts';

/** The id of the message that this one corrects (XEP-0308). */
export function replaces(message: Stanza): string | null {
  return findChild(message, 'replace', 'urn:xmpp:message-correct:0')?.attrs['id'] ?? null;
}

/**
 * The id of the message that this one takes back (XEP-0424), or a moderator does (XEP-0425); before version 0.4 and 0.3 of
 * them the id stood on an enclosing element.
 */
export function retracts(message: Stanza): string | null {
  const retract = findChild(message, 'retract', 'urn:xmpp:message-retract:1');
  if (retract !== undefined) return retract.attrs['id'] ?? null;

  const fastened = findChild(message, 'apply-to', 'urn:xmpp:fasten:0');
  if (fastened === undefined) return null;
  const inside = findChild(fastened, 'moderated', 'urn:xmpp:message-moderate:0') ?? fastened;
  return findChild(inside, 'retract', 'urn:xmpp:message-retract:0') === undefined ? null : (fastened.attrs['id'] ?? null);
}

/** All reactions of the sender to one message: an empty list takes earlier ones back. */
export interface Reactions {
  readonly id: string | null;
  readonly emojis: readonly string[];
}

/** XEP-0444. */
export function reactionsOf(message: Stanza): Reactions | null {
  const namespace = 'urn:xmpp:reactions:0';
  const reactions = findChild(message, 'reactions', namespace);
  if (reactions === undefined) return null;
  return { id: reactions.attrs['id'] ?? null, emojis: findChildren(reactions, 'reaction', namespace).map((reaction) => reaction.text()) };
}

/** The namespace that XEP-0380 names, else that of a payload we know: OMEMO (XEP-0384, both), OpenPGP (XEP-0373, XEP-0027). */
export function encryptedWith(message: Stanza): string | null {
  const named = findChild(message, 'encryption', 'urn:xmpp:eme:0')?.attrs['namespace'];
  if (named !== undefined) return named;
  return payloads.find(([name, namespace]) => findChild(message, name, namespace) !== undefined)?.[1] ?? null;
}

const payloads = [
  ['encrypted', 'urn:xmpp:omemo:2'],
  ['encrypted', 'eu.siacs.conversations.axolotl'],
  ['openpgp', 'urn:xmpp:openpgp:0'],
  ['x', 'jabber:x:encrypted'],
] as const;
