import { createHash } from 'node:crypto';
import type { EpochMs } from '../../kit/clock.ts';
import type { Direction, Stanza } from '../../model/packet.ts';
import { readStamp } from '../../packet/from-xml.ts';
import { childElements, element, findChild, findChildren, localName } from '../../packet/xml/element.ts';

/** A message of the account or of one of its rooms, live or from an archive. */
export interface Sighting {
  readonly stanza: Stanza;
  readonly direction: Direction;
  /** Full JID of the client that sent it, if it is one of the account's. */
  readonly session: string | undefined;
  /** Bare JID of the sender in a room, if the room reveals it. */
  readonly sender: string | undefined;
  /** Its id in the archive (XEP-0359); undefined if the server does not add it. */
  readonly archiveId: string | undefined;
  /** When the server received it; undefined if it does not report that. */
  readonly time: EpochMs | undefined;
  readonly bytes: number;
}

/** One result of an archive query (XEP-0313 §4.2). */
export interface ArchiveItem {
  readonly query: string;
  readonly id: string;
  readonly message: Stanza;
  readonly time: EpochMs | undefined;
}

export const mamNs = 'urn:xmpp:mam:2';
const delayNs = 'urn:xmpp:delay';
const forwardNs = 'urn:xmpp:forward:0';
const carbonsNs = 'urn:xmpp:carbons:2';
const stanzaIdNs = 'urn:xmpp:sid:0';
const hintsNs = 'urn:xmpp:hints';

export function readArchiveItem(message: Stanza): ArchiveItem | undefined {
  const result = findChild(message, 'result', mamNs);
  const forwarded = result && findChild(result, 'forwarded', forwardNs);
  const original = forwarded && messageIn(forwarded);
  const { id, queryid } = result?.attrs ?? {};
  if (forwarded === undefined || original === undefined || id === undefined || queryid === undefined) return undefined;
  const stamp = findChild(forwarded, 'delay', delayNs)?.attrs['stamp'];
  return {
    query: queryid,
    id,
    message: stamp === undefined ? original : delayed(original, stamp),
    time: stamp === undefined ? undefined : readStamp(stamp),
  };
}

/** The message inside of a carbon copy, or the message itself. Undefined: a carbon copy without one. */
export function uncarboned(message: Stanza): Stanza | undefined {
  const carbon = carbonIn(message);
  if (carbon === undefined) return message;
  const forwarded = findChild(carbon, 'forwarded', forwardNs);
  return forwarded && messageIn(forwarded);
}

function carbonIn(message: Stanza): Stanza | undefined {
  return childElements(message).find(isCarbon);
}

/** Whether an element wraps a message as an archive or a server does; any user can send such an element. */
export function isCopy(child: Stanza): boolean {
  return isCarbon(child) || (child.ns === mamNs && localName(child.name) === 'result');
}

function isCarbon({ name, ns }: Stanza): boolean {
  return ns === carbonsNs && ['received', 'sent'].includes(localName(name));
}

/** The id that this archive assigned; ids of other origins may be forged by the sender. */
export function archiveIdBy(message: Stanza, isArchive: (jid: string) => boolean): string | undefined {
  const ids = findChildren(message, 'stanza-id', stanzaIdNs);
  return ids.find(({ attrs }) => attrs['by'] !== undefined && isArchive(attrs['by']))?.attrs['id'];
}

export function isDelayed(message: Stanza): boolean {
  return findChild(message, 'delay', delayNs) !== undefined;
}

/** Whether archives store such a message by default (XEP-0313 §5.1.1, XEP-0334): with a body, unless a hint excludes it. */
export function isKept(message: Stanza): boolean {
  if (findChild(message, 'no-store', hintsNs) !== undefined || findChild(message, 'no-permanent-store', hintsNs) !== undefined)
    return false;
  const { type } = message.attrs;
  return type !== 'headline' && (findChild(message, 'body') !== undefined || findChild(message, 'store', hintsNs) !== undefined);
}

/** A short digest that identifies a message without its archive id. */
export function printOf(message: Stanza): string {
  const { from, to = '', id, type } = message.attrs;
  const looks = JSON.stringify([from, to.split('/', 1)[0], id, type, message.text('body')]);
  return createHash('sha256').update(looks).digest('base64url');
}

function messageIn(forwarded: Stanza): Stanza | undefined {
  return childElements(forwarded).find(({ name }) => localName(name) === 'message');
}

/** A copy with the time of first sending, as a server adds it to a stored message (XEP-0203). */
function delayed(message: Stanza, stamp: string): Stanza {
  if (isDelayed(message)) return message;
  return element(message.name, { xmlns: message.ns, ...message.attrs }, [...message.children, element('delay', { xmlns: delayNs, stamp })]);
}
