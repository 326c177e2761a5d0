import type { Kind, PacketEvent, Stanza } from '../model/packet.ts';
import { roomChangeOf } from './room.ts';
import { findChild, findChildren, localName } from './xml/element.ts';

interface Mark {
  readonly kind: Kind;
  readonly names: readonly string[];
  /** A smaller one is stronger: a correction that is encrypted is `encrypted`. */
  readonly rank: number;
}

/** From here on a mark counts only in a message without a body, or with one that stands in for the mark. */
const bodilessRank = 4;

/** What makes a message more than a text, by namespace. */
const marks: ReadonlyMap<string, Mark> = new Map([
  // XEP-0424
  ['urn:xmpp:message-retract:0', { kind: 'retraction', names: ['retract'], rank: 0 }],
  ['urn:xmpp:message-retract:1', { kind: 'retraction', names: ['retract'], rank: 0 }],
  // XEP-0444
  ['urn:xmpp:reactions:0', { kind: 'reaction', names: ['reactions'], rank: 1 }],
  // XEP-0384, XEP-0373, XEP-0027, and XEP-0380, which says so whatever the method
  ['eu.siacs.conversations.axolotl', { kind: 'encrypted', names: ['encrypted'], rank: 2 }],
  ['urn:xmpp:omemo:1', { kind: 'encrypted', names: ['encrypted'], rank: 2 }],
  ['urn:xmpp:omemo:2', { kind: 'encrypted', names: ['encrypted'], rank: 2 }],
  ['urn:xmpp:openpgp:0', { kind: 'encrypted', names: ['openpgp'], rank: 2 }],
  ['jabber:x:encrypted', { kind: 'encrypted', names: ['x'], rank: 2 }],
  ['urn:xmpp:eme:0', { kind: 'encrypted', names: ['encryption'], rank: 2 }],
  // XEP-0308
  ['urn:xmpp:message-correct:0', { kind: 'correction', names: ['replace'], rank: 3 }],
  // XEP-0184
  ['urn:xmpp:receipts', { kind: 'receipt', names: ['received'], rank: bodilessRank }],
  // XEP-0333
  ['urn:xmpp:chat-markers:0', { kind: 'marker', names: ['received', 'displayed', 'acknowledged'], rank: bodilessRank + 1 }],
  // XEP-0085
  [
    'http://jabber.org/protocol/chatstates',
    { kind: 'chat-state', names: ['active', 'composing', 'gone', 'inactive', 'paused'], rank: bodilessRank + 2 },
  ],
]);

/** Around what is applied to another message (XEP-0422), and by whom (XEP-0425), as retractions once were. */
const wrappings: ReadonlySet<string> = new Set(['urn:xmpp:fasten:0', 'urn:xmpp:message-moderate:0']);

/**
 * Classifies a stanza by the strongest indication among its children; `message` if there is none. `endsStay`: the presence is
 * known to end its receiver's stay in a room.
 */
export function kindOf(stanza: Stanza, { endsStay = false } = {}): Kind {
  if (stanza.name === 'iq') return 'iq';
  if (stanza.name === 'presence') return roomChangeOf(stanza, endsStay) ?? 'presence';
  const mark = strongest(stanza);
  if (mark === undefined || (mark.rank >= bodilessRank && stanza.text('body') !== '' && !isStandIn(stanza))) return 'message';
  return mark.kind;
}

/**
 * Whether the first body says something to people. That of an encrypted message says that it is encrypted, and a mark may
 * come with one that tells older clients of it (XEP-0428).
 */
export function hasText({ stanza, kind }: { readonly stanza: Stanza; readonly kind: Kind }): boolean {
  if (stanza.text('body') === '' || kind === 'encrypted') return false;
  return kind === 'message' || !isStandIn(stanza);
}

function isStandIn(message: Stanza): boolean {
  return isBodyStandIn(message, (namespace) => marks.has(namespace));
}

function strongest(element: Stanza): Mark | undefined {
  let best: Mark | undefined;
  for (const child of element.children) {
    if (typeof child === 'string') continue;
    const mark = wrappings.has(child.ns) ? strongest(child) : markOf(child);
    if (mark !== undefined && (best === undefined || mark.rank < best.rank)) best = mark;
  }
  return best;
}

function markOf({ name, ns }: Stanza): Mark | undefined {
  const mark = marks.get(ns);
  return mark?.names.includes(localName(name)) === true ? mark : undefined;
}

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

/** What a feed may tell with a stanza that is not passing by: see {@link PacketEvent}. */
export type Report = 'status' | 'unack';

/** What happens when a stanza passes by; a message's type that is missing or unknown counts as `normal` (RFC 6121 §5.2.2). */
export function eventOf({ name, attrs }: Stanza): Exclude<PacketEvent, Report> {
  if (name === 'iq' || name === 'presence') return name;
  switch (attrs['type']) {
    case 'chat':
    case 'error':
    case 'groupchat':
    case 'headline':
      return attrs['type'];
    default:
      return 'normal';
  }
}

/** Whether a packet reports on a user or a client: only those who ask for that by its name are meant to meet it. */
export function isReport(event: PacketEvent): event is Report {
  return event === 'status' || event === 'unack';
}

const hintsNs = 'urn:xmpp:hints';

/** Whether its sender asks that a message be kept nowhere (XEP-0334), and does not ask for the opposite. */
export function asksNotToBeStored(stanza: Stanza): boolean {
  const hints = (name: string): boolean => findChild(stanza, name, hintsNs) !== undefined;
  return (hints('no-store') || hints('no-permanent-store')) && !hints('store');
}

/** What servers and clients note beside the content of a message (XEP-0203, XEP-0334, XEP-0359): it says nothing by itself. */
const notes: ReadonlySet<string> = new Set(['jabber:x:delay', 'urn:xmpp:delay', 'urn:xmpp:hints', 'urn:xmpp:sid:0']);

/**
 * Whether a stanza holds what `isThat` finds and nothing else that could reach anybody. Anybody can write the elements
 * by which copies are known, and would hide a message of their own behind one.
 */
export function isNothingBut({ children }: Stanza, isThat: (child: Stanza) => boolean): boolean {
  return children.every((child) => typeof child === 'string' || isThat(child) || notes.has(child.ns));
}
