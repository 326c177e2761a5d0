import type { Stanza } from '../../../pools/contract.ts';
import type { EpochMs } from '../../kit/clock.ts';
import { findChild } from '../../packet/xml/element.ts';
import type { Resumed } from './tap-ledger.ts';

export const tapNs = 'urn:x-event-pusher:tap:1';
const forwardNs = 'urn:xmpp:forward:0';

/** One item of a tap, as it came: nothing is believed yet but its shape. */
export interface TapItem {
  readonly seq: number;
  readonly epoch: string;
  /** `in`, `out`, or a word that a later tap may use. */
  readonly direction: string;
  readonly session: string | undefined;
  readonly sessions: number | undefined;
  readonly time: EpochMs | undefined;
  /** Undefined when nothing, or more than one stanza, was forwarded. */
  readonly stanza: Stanza | undefined;
}

/** Reads `<message><tap …/><forwarded>…</forwarded></message>`; undefined when it is no tap item. */
export function readTapItem(message: Stanza): TapItem | undefined {
  const tap = findChild(message, 'tap', tapNs);
  const seq = Number(tap?.attrs['seq']);
  if (tap === undefined || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  const { epoch, dir, session, sessions, stamp } = tap.attrs;
  return {
    seq,
    epoch: epoch ?? '',
    direction: dir ?? '',
    session,
    sessions: count(sessions),
    time: instant(stamp),
    stanza: forwarded(message),
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

/** The one stanza inside `<forwarded/>` (XEP-0297). */
export function forwarded(message: Stanza): Stanza | undefined {
  const stanzas = findChild(message, 'forwarded', forwardNs)?.children.filter((child) => typeof child !== 'string') ?? [];
  return stanzas.length === 1 && isStanza(stanzas[0]) ? stanzas[0] : undefined;
}

function isStanza(candidate: Stanza | undefined): boolean {
  return candidate?.ns === 'jabber:client' && ['iq', 'message', 'presence'].includes(candidate.name);
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Our own module wrote it, so its shape is not looked at closely: this runs for every packet. */
function instant(stamp: string | undefined): EpochMs | undefined {
  const at = Date.parse(stamp ?? '');
  return Number.isNaN(at) ? undefined : at;
}
