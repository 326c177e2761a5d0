/** Classifies stanzas: the event that a packet reports, and the kind of its content. */
import { type Kind, type LifeEvent, lifeEvents, type PacketEvent, type Stanza } from '../model/packet.ts';
import { roomChangeOf } from './room.ts';
import { findChild, findChildren, localName } from './xml/element.ts';

/** An event that a feed reports in addition to the stanzas on their way: see {@link PacketEvent}. */
export type Report = LifeEvent | 'status' | 'unack';

export const reports: readonly Report[] = ['status', 'unack', ...lifeEvents];
const reportNames: ReadonlySet<string> = new Set(reports);

/** The event of a stanza on its way. A message type that is missing or unknown counts as `normal` (RFC 6121 §5.2.2). */
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

/** The type of a stanza: by default `normal` for a message, `available` for a presence (RFC 6121 §5.2.2, §4.7.1). */
export function typeOf({ name, attrs }: Stanza): string {
  const type = attrs['type'];
  if (type !== undefined) return type;
  if (name === 'message') return 'normal';
  return name === 'presence' ? 'available' : '';
}

/** Whether a packet reports on a user, a client or a room. Handlers receive such packets only if their rules name the event. */
export function isReport(event: PacketEvent): event is Report {
  return reportNames.has(event);
}

/** The kind of a report, which is that of its stanza for `unack`. */
export function kindOfReport(report: Report): 'life' | 'status' | undefined {
  if (report === 'unack') return undefined;
  return report === 'status' ? 'status' : 'life';
}

/** An element that gives a message a kind. */
interface Mark {
  readonly kind: Kind;
  readonly names: readonly string[];
  /** The lowest rank wins: an encrypted correction is `encrypted`. */
  readonly rank: number;
}

/** From this rank on, a mark counts only in a message without a body or with a fallback body for the mark. */
const bodilessRank = 4;

/** By namespace. */
const marks: ReadonlyMap<string, Mark> = new Map([
  // XEP-0424
  ['urn:xmpp:message-retract:0', { kind: 'retraction', names: ['retract'], rank: 0 }],
  ['urn:xmpp:message-retract:1', { kind: 'retraction', names: ['retract'], rank: 0 }],
  // XEP-0444
  ['urn:xmpp:reactions:0', { kind: 'reaction', names: ['reactions'], rank: 1 }],
  // XEP-0384, XEP-0373, XEP-0027, and XEP-0380, which marks encryption by any method
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

/** Wrappers of marks that apply to another message (XEP-0422) or come from a moderator (XEP-0425), as in early retractions. */
const wrappers: ReadonlySet<string> = new Set(['urn:xmpp:fasten:0', 'urn:xmpp:message-moderate:0']);

/**
 * Classifies a stanza by the strongest mark among its children; `message` if there is none. `endsStay`: the presence is known to
 * end its receiver's stay in a room.
 */
export function kindOf(stanza: Stanza, { endsStay = false } = {}): Kind {
  if (stanza.name === 'iq') return 'iq';
  if (stanza.name === 'presence') return roomChangeOf(stanza, endsStay) ?? 'presence';
  const mark = strongest(stanza);
  if (mark === undefined || (mark.rank >= bodilessRank && stanza.text('body') !== '' && !hasFallbackBody(stanza))) return 'message';
  return mark.kind;
}

function strongest(element: Stanza): Mark | undefined {
  let best: Mark | undefined;
  for (const child of element.children) {
    if (typeof child === 'string') continue;
    const mark = wrappers.has(child.ns) ? strongest(child) : markOf(child);
    if (mark !== undefined && (best === undefined || mark.rank < best.rank)) best = mark;
  }
  return best;
}

function markOf({ name, ns }: Stanza): Mark | undefined {
  const mark = marks.get(ns);
  return mark?.names.includes(localName(name)) === true ? mark : undefined;
}

/**
 * Whether the first body is text for people. The body of an encrypted message only mentions the encryption, and the body of a
 * marked message may be a fallback for older clients (XEP-0428).
 */
export function hasText({ stanza, kind }: { readonly stanza: Stanza; readonly kind: Kind }): boolean {
  if (stanza.text('body') === '' || kind === 'encrypted') return false;
  return kind === 'message' || !hasFallbackBody(stanza);
}

const fallbackNs = 'urn:xmpp:fallback:0';

/**
 * Whether the whole body is a fallback for clients without the feature of a mark (XEP-0428). An indication without `for`, as in
 * the first version of the XEP, applies to any feature.
 */
function hasFallbackBody(message: Stanza): boolean {
  const indications = findChildren(message, 'fallback', fallbackNs).filter(
    ({ attrs }) => attrs['for'] === undefined || marks.has(attrs['for']),
  );
  if (indications.length === 0) return false;
  const length = countCharacters(message.text('body')); // counted once: a message may have thousands of indications and a long body
  return indications.some((fallback) => coversBody(fallback, length));
}

/** Counts Unicode code points. */
function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** An empty indication covers the whole message; otherwise it covers the named body, or a range of its characters. */
function coversBody(fallback: Stanza, length: number): boolean {
  if (!fallback.children.some((child) => typeof child !== 'string')) return true;
  return findChildren(fallback, 'body', fallbackNs).some(({ attrs: { start = '0', end = 'Infinity' } }) => {
    return Number(start) <= 0 && Number(end) >= length;
  });
}

/** Whether the sender asks that the message not be stored (XEP-0334) and does not ask for the opposite. */
export function asksNotToBeStored(stanza: Stanza): boolean {
  const hints = (name: string): boolean => findChild(stanza, name, 'urn:xmpp:hints') !== undefined;
  return (hints('no-store') || hints('no-permanent-store')) && !hints('store');
}

/** Namespaces of annotations that servers and clients add to a message (XEP-0203, XEP-0334, XEP-0359); they have no content of their own. */
const annotations: ReadonlySet<string> = new Set(['jabber:x:delay', 'urn:xmpp:delay', 'urn:xmpp:hints', 'urn:xmpp:sid:0']);

/**
 * Whether a stanza contains only elements that `matches` accepts, and annotations. Any user can write the elements that identify
 * a copy, and could otherwise hide a message behind one.
 */
export function containsOnly({ children }: Stanza, matches: (child: Stanza) => boolean): boolean {
  return children.every((child) => typeof child === 'string' || matches(child) || annotations.has(child.ns));
}
