import type { EpochMs } from '../../kit/clock.ts';
import { type Direction, lifeEvents, type Stanza } from '../../model/packet.ts';
import type { Report } from '../../packet/kind.ts';
import { findChild } from '../../packet/xml/element.ts';
import { type OwnSide, reasonToSkip, type SkipReason } from './feed.ts';
import type { Resumed } from './tap-ledger.ts';

export const tapNs = 'urn:x-event-pusher:tap:1';
const forwardNs = 'urn:xmpp:forward:0';

/** One item of a tap, as received: only its shape is checked. */
export interface TapItem {
  readonly seq: number;
  readonly epoch: string;
  /** `in`, `out`, `status`, `unack`, `event` with the name of a life event, or a value of a later tap. */
  readonly direction: string;
  readonly session: string | undefined;
  readonly sessions: number | undefined;
  /** Sender of a message in a room. */
  readonly sender: string | undefined;
  /** False: the copy of a room's message for a member who is not in the room. */
  readonly occupant: boolean | undefined;
  readonly time: EpochMs | undefined;
  /** The tap left the stanza out because it exceeds the requested size. */
  readonly tooLarge: boolean;
  /** Undefined unless exactly one stanza was forwarded, of a kind that suits the direction. */
  readonly stanza: Stanza | undefined;
}

/** Fill level of a tap's queue, sent and unsent items; at a ratio of 1 the oldest unsent items are dropped. */
interface QueueFill {
  readonly items: number;
  readonly bytes: number;
  readonly ratio: number;
  /** Copies for absent members that the tap did not make, because a room had more members than its limit. */
  readonly leftOut: number;
}

/** A direction, and for items that report an event the kind of report. */
interface Sighting {
  readonly direction: Direction;
  readonly report: Report | undefined;
}

const sightings: ReadonlyMap<string, Sighting> = new Map<string, Sighting>([
  ['in', { direction: 'in', report: undefined }],
  ['out', { direction: 'out', report: undefined }],
  ['status', { direction: 'in', report: 'status' }],
  ['unack', { direction: 'out', report: 'unack' }],
  ...lifeEvents.map((name) => [`event ${name}`, { direction: 'in', report: name }] as const),
]);

/** The content of an item, or why it becomes no packet. */
export function readContent({ direction, stanza, tooLarge }: TapItem, own: OwnSide): SkipReason | (Sighting & { readonly stanza: Stanza }) {
  if (tooLarge) return 'too-large';
  const sighting = sightings.get(direction);
  if (sighting === undefined) return 'unknown-direction';
  if (stanza === undefined) return 'malformed';
  return reasonToSkip(stanza, own) ?? { direction: sighting.direction, report: sighting.report, stanza };
}

/** Reads `<message><tap …/><forwarded>…</forwarded></message>`; undefined if it is no tap item. */
export function readTapItem(message: Stanza): TapItem | undefined {
  const tap = findChild(message, 'tap', tapNs);
  const seq = Number(tap?.attrs['seq']);
  if (tap === undefined || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  const { epoch, dir = '', event = '', session, sessions, sender, occupant, stamp, reason } = tap.attrs;
  const direction = dir === 'event' ? `event ${event}` : dir;
  const stanza = forwarded(message);
  return {
    seq,
    epoch: epoch ?? '',
    direction,
    session,
    sessions: digits(sessions, 9),
    sender,
    occupant: occupant === 'false' ? false : undefined,
    time: instant(stamp),
    tooLarge: reason === 'too-large' && stanza === undefined,
    stanza: stanza !== undefined && suits(sightings.get(direction)?.report, stanza) ? stanza : undefined,
  };
}

/** Reads `<resumed/>` of an answer; undefined if it is missing or incomplete. */
export function readResumed(iq: Stanza): Resumed | undefined {
  const resumed = findChild(iq, 'resumed', tapNs);
  if (resumed === undefined) return undefined;
  const { epoch, node, 'from-seq': from, taken } = resumed.attrs;
  const fromSeq = Number(from);
  if (epoch === undefined || epoch === '' || !Number.isSafeInteger(fromSeq) || fromSeq < 1) return undefined;
  return { epoch, node: node ?? '', fromSeq, taken: digits(taken, 15) ?? 0 };
}

/** Fill level of a tap's queue, from a `<resumed/>` or the answer to an acknowledgement with `report`. Undefined: an older tap. */
export function readQueueFill(iq: Stanza): QueueFill | undefined {
  const attrs = (findChild(iq, 'resumed', tapNs) ?? findChild(iq, 'queue', tapNs))?.attrs ?? {};
  const items = digits(attrs['pending'], 15);
  const bytes = digits(attrs['bytes'], 15);
  const maxBytes = digits(attrs['max-bytes'], 15);
  const maxItems = digits(attrs['max-items'], 15);
  if (items === undefined || bytes === undefined || !maxBytes) return undefined;
  const leftOut = digits(attrs['left-out'], 15) ?? 0;
  return { items, bytes, leftOut, ratio: Math.max(bytes / maxBytes, items / (maxItems || Number.POSITIVE_INFINITY)) };
}

/** The one stanza inside `<forwarded/>` (XEP-0297). */
export function forwarded(message: Stanza): Stanza | undefined {
  const stanzas = findChild(message, 'forwarded', forwardNs)?.children.filter((child) => typeof child !== 'string') ?? [];
  return stanzas.length === 1 && isStanza(stanzas[0]) ? stanzas[0] : undefined;
}

function isStanza(candidate: Stanza | undefined): boolean {
  return candidate?.ns === 'jabber:client' && ['iq', 'message', 'presence'].includes(candidate.name);
}

/** An `unack` report is a message; any other is an available or unavailable presence. */
function suits(report: Report | undefined, { name, attrs: { type } }: Stanza): boolean {
  if (report === undefined) return true;
  return report === 'unack' ? name === 'message' : name === 'presence' && (type === undefined || type === 'unavailable');
}

function digits(text: string | undefined, most: number): number | undefined {
  return text !== undefined && text.length <= most && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Parsed leniently: our own module writes it, and this runs for every packet. */
function instant(stamp: string | undefined): EpochMs | undefined {
  const at = Date.parse(stamp ?? '');
  return Number.isNaN(at) ? undefined : at;
}
