/**
 * The feed of ejabberd's stock `mod_service_log`: copies of everything that local users send and receive, unmarked and
 * doubled, without acknowledgement (at most once). What the tap would tell has to be inferred:
 *
 * - a stanza from a local user is seen when it is sent (`in`) and again, byte for byte the same, once per client that
 *   receives it: the second sighting becomes `out`, the others are doubles;
 * - a stanza from anybody else is seen only when it is received: the first sighting is `out`, the others are doubles;
 * - so what is sent to an absent user gives no `out` until the user is back.
 */
import { createHash } from 'node:crypto';
import type { Direction, Stanza } from '../../model/packet.ts';
import { domainOf } from '../own-traffic.ts';
import type { Feed } from './feed.ts';
import type { FeedOptions } from './feed-options.ts';
import { reasonToSkip } from './skip.ts';
import { forwarded } from './tap-item.ts';

/** Copies of one stanza come close together; this many stanzas later they are strangers. */
const rememberedStanzas = 4096;

export function createServiceLogFeed(options: FeedOptions): Feed {
  const { attachment } = options;
  const hosts = new Set(attachment.hosts);
  const sightings = createSightings(rememberedStanzas);
  let serial = 0;

  function copy(stanza: Stanza, { host, bytes }: { readonly host: string; readonly bytes: number }): void {
    const reason = reasonToSkip(stanza, { domain: attachment.domain, receives: false, isOwn: options.isOwn });
    if (reason !== undefined) return options.skip(reason);
    const direction = directionOf(seenWhenSent(stanza, hosts), sightings.count(fingerprint(stanza)));
    if (direction === undefined) return options.skip('duplicate');

    serial += 1;
    const session = direction === 'in' ? stanza.attrs['from'] : undefined;
    const packet = options.toPacket({ stanza, direction, host, session, bytes, key: `${attachment.name}/${serial}` });
    options.flow.hand(packet, { stream: attachment.name, mark: undefined, committed: () => options.flow.landed(bytes) }, bytes);
  }

  return {
    attached: () => {
      for (const host of hosts) options.tell(host, 'attached');
    },
    detached: () => undefined,
    resubscribe: () => undefined,
    unreadable: ({ head, reason }) => {
      const host = head?.attrs['from'];
      options.skip(reason, host !== undefined && hosts.has(host) ? host : undefined);
    },
    received: (wrapper, bytes) => {
      if (wrapper.name !== 'message') return options.strange(wrapper);
      const host = wrapper.attrs['from'] ?? '';
      if (!hosts.has(host)) return options.skip('forged');
      const stanza = forwarded(wrapper);
      if (stanza === undefined) return options.skip('malformed');
      copy(stanza, { host, bytes });
    },
  };
}

function directionOf(whenSent: boolean, sighting: number): Direction | undefined {
  if (whenSent && sighting === 1) return 'in';
  const firstReceived = whenSent ? 2 : 1;
  return sighting === firstReceived ? 'out' : undefined;
}

/** Whether there is a copy from when it was sent: it bears a local client's full JID, and the server did not broadcast it. */
function seenWhenSent({ name, attrs }: Stanza, hosts: ReadonlySet<string>): boolean {
  const { from = '', to, type } = attrs;
  if (!from.includes('/') || !hosts.has(domainOf(from))) return false;
  const broadcast = name === 'presence' && (type === undefined || type === 'unavailable') && hosts.has(domainOf(to));
  return !broadcast;
}

/** Names a stanza whatever client receives it: the archive adds its id only to some of the copies, so that is left out. */
function fingerprint(stanza: Stanza): string {
  const { from, id, type } = stanza.attrs;
  const to = (stanza.attrs['to'] ?? '').split('/', 1)[0] ?? '';
  const children = stanza.children
    .filter((child) => typeof child === 'string' || !addedOnTheWay(child))
    .map((child) => (typeof child === 'string' ? child : child.xml));
  return createHash('sha1')
    .update(JSON.stringify([stanza.name, from, to, id, type, children]))
    .digest('base64');
}

function addedOnTheWay(child: Stanza): boolean {
  return child.ns === 'urn:xmpp:sid:0' || child.ns === 'urn:xmpp:mam:tmp' || child.ns === 'urn:xmpp:delay';
}

/** Counts how often each of the last `size` different things was seen. */
function createSightings(size: number): { count(what: string): number } {
  const seen = new Map<string, number>();
  return {
    count: (what) => {
      const times = (seen.get(what) ?? 0) + 1;
      seen.delete(what); // so that it stands last again
      seen.set(what, times);
      const oldest = seen.size > size ? seen.keys().next() : undefined;
      if (oldest?.done === false) seen.delete(oldest.value);
      return times;
    },
  };
}
