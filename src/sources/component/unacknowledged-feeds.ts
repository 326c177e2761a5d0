/** The feeds that work with a stock chat server: unacknowledged, so each stanza is delivered at most once. */
import { createHash } from 'node:crypto';
import type { Direction, Stanza } from '../../model/packet.ts';
import { domainOf } from '../../packet/jid.ts';
import { type Feed, type FeedContext, reasonToSkip } from './feed.ts';
import { forwarded } from './tap-item.ts';

/**
 * The feed of a bot (`feed = "direct"`): stanzas addressed to the component itself. From a local user the direction is `in`,
 * from any other sender `out` on the attachment's first host.
 */
export function createDirectFeed(context: FeedContext): Feed {
  const { attachment } = context;
  const [firstHost = ''] = attachment.hosts;
  const handOver = createHandOver(context);

  return {
    ...alwaysAttached(context),
    unreadable: ({ reason }) => context.skip(reason),
    received: (stanza, bytes) => {
      if (stanza.name === 'iq') return context.onOther(stanza);
      if (stanza.name !== 'message' && stanza.name !== 'presence') return context.skip('malformed');
      const reason = reasonToSkip(stanza, { domain: attachment.domain, receives: true, isOwn: context.isOwn });
      if (reason !== undefined) return context.skip(reason);
      const senderHost = domainOf(stanza.attrs['from']);
      const isLocal = attachment.hosts.includes(senderHost);
      handOver(stanza, { direction: isLocal ? 'in' : 'out', host: isLocal ? senderHost : firstHost, bytes });
    },
  };
}

/** Copies of one stanza arrive close together; a copy more than this many stanzas later counts as a new stanza. */
const rememberedStanzas = 4096;

/**
 * The feed of ejabberd's stock `mod_service_log` (`feed = "service_log"`): copies of all stanzas that local users send and
 * receive, without a direction and with duplicates. The direction is inferred:
 *
 * - a stanza from a local user is copied when it is sent (`in`) and again, byte for byte the same, once per client that
 *   receives it: the second copy becomes `out`, later ones are duplicates;
 * - a stanza from any other sender is copied only when it is received: the first copy is `out`, later ones are duplicates;
 * - so a stanza to an absent user has no `out` until the user is back.
 */
export function createServiceLogFeed(context: FeedContext): Feed {
  const { attachment } = context;
  const hosts = new Set(attachment.hosts);
  const copies = new CopyCounter(rememberedStanzas);
  const handOver = createHandOver(context);

  function copy(stanza: Stanza, { host, bytes }: { readonly host: string; readonly bytes: number }): void {
    const reason = reasonToSkip(stanza, { domain: attachment.domain, receives: false, isOwn: context.isOwn });
    if (reason !== undefined) return context.skip(reason);
    const direction = directionOf(isCopiedWhenSent(stanza, hosts), copies.count(fingerprint(stanza)));
    if (direction === undefined) return context.skip('duplicate');
    handOver(stanza, { direction, host, bytes });
  }

  return {
    ...alwaysAttached(context),
    unreadable: ({ head, reason }) => {
      const host = head?.attrs['from'];
      context.skip(reason, host !== undefined && hosts.has(host) ? host : undefined);
    },
    received: (wrapper, bytes) => {
      if (wrapper.name !== 'message') return context.onOther(wrapper);
      const host = wrapper.attrs['from'] ?? '';
      if (!hosts.has(host)) return context.skip('forged');
      const stanza = forwarded(wrapper);
      if (stanza === undefined) return context.skip('malformed');
      copy(stanza, { host, bytes });
    },
  };
}

/** A stream that is up delivers all stanzas of its hosts: there is nothing to negotiate. */
function alwaysAttached({ attachment, reportState }: FeedContext): Pick<Feed, 'attached' | 'detached' | 'resubscribe'> {
  return {
    attached: () => {
      for (const host of attachment.hosts) reportState(host, 'attached');
    },
    detached: () => undefined,
    resubscribe: () => undefined,
  };
}

interface Placed {
  readonly direction: Direction;
  readonly host: string;
  readonly bytes: number;
}

/** Hands packets over without a mark, numbered since the start of the process. */
function createHandOver({ attachment: { name }, flow, toPacket }: FeedContext): (stanza: Stanza, placed: Placed) => void {
  let serial = 0;
  return (stanza, { direction, host, bytes }) => {
    serial += 1;
    const session = direction === 'in' ? stanza.attrs['from'] : undefined;
    const packet = toPacket({ stanza, direction, host, session, bytes, key: `${name}/${serial}` });
    flow.hand(packet, { stream: name, mark: undefined, committed: () => flow.committed(bytes) }, bytes);
  };
}

function directionOf(copiedWhenSent: boolean, copyNumber: number): Direction | undefined {
  if (copiedWhenSent && copyNumber === 1) return 'in';
  const firstReceived = copiedWhenSent ? 2 : 1;
  return copyNumber === firstReceived ? 'out' : undefined;
}

/** Whether one of the copies was made at sending: the sender is a local client with a full JID, and the stanza is no broadcast of the server. */
function isCopiedWhenSent({ name, attrs }: Stanza, hosts: ReadonlySet<string>): boolean {
  const { from = '', to, type } = attrs;
  if (!from.includes('/') || !hosts.has(domainOf(from))) return false;
  const broadcast = name === 'presence' && (type === undefined || type === 'unavailable') && hosts.has(domainOf(to));
  return !broadcast;
}

/** Identifies a stanza independent of the receiving client and of the archive id, which only some of the copies have. */
function fingerprint(stanza: Stanza): string {
  const { from, id, type } = stanza.attrs;
  const to = (stanza.attrs['to'] ?? '').split('/', 1)[0] ?? '';
  const children = stanza.children
    .filter((child) => typeof child === 'string' || !isAddedByServer(child))
    .map((child) => (typeof child === 'string' ? child : child.xml));
  return createHash('sha1')
    .update(JSON.stringify([stanza.name, from, to, id, type, children]))
    .digest('base64');
}

function isAddedByServer({ ns }: Stanza): boolean {
  return ns === 'urn:xmpp:sid:0' || ns === 'urn:xmpp:mam:tmp' || ns === 'urn:xmpp:delay';
}

/** Counts the copies of each of the last `size` different stanzas. */
class CopyCounter {
  readonly #size: number;
  readonly #counts = new Map<string, number>();

  constructor(size: number) {
    this.#size = size;
  }

  count(print: string): number {
    const copies = (this.#counts.get(print) ?? 0) + 1;
    this.#counts.delete(print); // moves it to the end
    this.#counts.set(print, copies);
    const oldest = this.#counts.size > this.#size ? this.#counts.keys().next() : undefined;
    if (oldest?.done === false) this.#counts.delete(oldest.value);
    return copies;
  }
}
