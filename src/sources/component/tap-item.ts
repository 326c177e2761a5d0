import type { EpochMs } from '../../kit/clock.ts';
import type { Direction, Stanza } from '../../model/packet.ts';
import type { Report } from '../../packet/kind.ts';
import { findChild } from '../../packet/xml/element.ts';
import type { SkipReason } from './feed-options.ts';
import { type OwnSide, reasonToSkip } from './skip.ts';
import type { Resumed } from './tap-ledger.ts';

export const tapNs = 'urn:x-event-pusher:tap:1';
const forwardNs = 'urn:xmpp:forward:0';

/** One item of a tap, as it came: nothing is believed yet but its shape. */
export interface TapItem {
  readonly seq: number;
  readonly epoch: string;
  /** One of {@link directions}, or a value of a later tap. */
  readonly direction: string;
  readonly session: string | undefined;
  readonly sessions: number | undefined;
  /** Who said it in a room. */
  readonly sender: string | undefined;
  readonly time: EpochMs | undefined;
  /** The tap left the stanza out because it exceeds the requested size. */
  readonly tooLarge: boolean;
  /** Undefined when nothing was forwarded, more than one stanza, or one that this cannot be told of. */
  readonly stanza: Stanza | undefined;
}

/** Fill level of a tap's queue, sent and unsent items; at a ratio of 1 the oldest unsent items are dropped. */
export interface QueueFill {
  readonly items: number;
  readonly bytes: number;
  readonly ratio: number;
}

/** How a stanza was seen: passing by in a direction, or told with a report. */
export interface Seen {
  readonly direction: Direction;
  readonly report: Report | undefined;
}

const directions: ReadonlyMap<string, Seen> = new Map<string, Seen>([
  ['in', { direction: 'in', report: undefined }],
  ['out', { direction: 'out', report: undefined }],
  ['status', { direction: 'in', report: 'status' }],
  ['unack', { direction: 'out', report: 'unack' }],
]);

/** The content of an item, or why it has no packet. */
export function readSeen({ direction, stanza, tooLarge }: TapItem, own: OwnSide): SkipReason | (Seen & { readonly stanza: Stanza }) {
  if (tooLarge) return 'too-large';
  const seen = directions.get(direction);
  if (seen === undefined) return 'unknown-direction';
  if (stanza === undefined) return 'malformed';
  return reasonToSkip(stanza, own) ?? { ...seen, stanza };
}

/** Reads `<message><tap …/><forwarded>…</forwarded></message>`; undefined when it is no tap item. */
export function readTapItem(message: Stanza): TapItem | undefined {
  const tap = findChild(message, 'tap', tapNs);
  const seq = Number(tap?.attrs['seq']);
  if (tap === undefined || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  const { epoch, dir = '', session, sessions, sender, stamp, reason } = tap.attrs;
  const stanza = forwarded(message);
  return {
    seq,
    epoch: epoch ?? '',
    direction: dir,
    session,
    sessions: count(sessions),
    sender,
    time: instant(stamp),
    tooLarge: reason === 'too-large' && stanza === undefined,
    stanza: stanza !== undefined && fits(stanza, directions.get(dir)?.report) ? stanza : undefined,
  };
}

/** Reads `<resumed/>` out of an answer; undefined when it is not there or not whole. */
export function readResumed(iq: Stanza): Resumed | undefined {
  const resumed = findChild(iq, 'resumed', tapNs);
  if (resumed === undefined) return undefined;
  const { epoch, node, 'from-seq': from } = resumed.attrs;
  const fromSeq = Number(from);
  if (epoch === undefined || epoch === '' || !Number.isSafeInteger(fromSeq) || fromSeq < 1) return undefined;
  return { epoch, node: node ?? '', fromSeq };
}

/** Fill level of a tap's queue, from a `<resumed/>` or the answer to an acknowledgement with `report`. Undefined: an older tap. */
export function readQueueFill(iq: Stanza): QueueFill | undefined {
  const {
    pending,
    bytes,
    'max-bytes': maxBytes,
    'max-items': maxItems,
  } = (findChild(iq, 'resumed', tapNs) ?? findChild(iq, 'queue', tapNs))?.attrs ?? {};
  const [items, used, limit] = [number(pending), number(bytes), number(maxBytes)];
  if (items === undefined || used === undefined || !limit) return undefined;
  return { items, bytes: used, ratio: Math.max(used / limit, items / (number(maxItems) || Number.POSITIVE_INFINITY)) };
}

/** The one stanza inside `<forwarded/>` (XEP-0297). */
export function forwarded(message: Stanza): Stanza | undefined {
  const stanzas = findChild(message, 'forwarded', forwardNs)?.children.filter((child) => typeof child !== 'string') ?? [];
  return stanzas.length === 1 && isStanza(stanzas[0]) ? stanzas[0] : undefined;
}

function isStanza(candidate: Stanza | undefined): boolean {
  return candidate?.ns === 'jabber:client' && ['iq', 'message', 'presence'].includes(candidate.name);
}

/** A user comes with a presence that is available and goes with one that is not; what a client left unacknowledged is a message. */
function fits({ name, attrs: { type } }: Stanza, report: Report | undefined): boolean {
  switch (report) {
    case 'status':
      return name === 'presence' && (type === undefined || type === 'unavailable');
    case 'unack':
      return name === 'message';
    case undefined:
      return true;
    default:
      return report satisfies never;
  }
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Our own module wrote it, so its shape is not looked at closely: this runs for every packet. */
function instant(stamp: string | undefined): EpochMs | undefined {
  const at = Date.parse(stamp ?? '');
  return Number.isNaN(at) ? undefined : at;
}

export function isAnswer({ name, attrs }: Stanza): boolean {
  return name === 'iq' && (attrs['type'] === 'result' || attrs['type'] === 'error');
}

export function errorCondition(iq: Stanza): string {
  const error = iq.children.find((child): child is Stanza => typeof child !== 'string' && child.name === 'error');
  const condition = error?.children.find((child): child is Stanza => typeof child !== 'string');
  return condition?.name ?? 'an answer without <resumed/>';
}
