/** The port of a feed, and the rules that all feeds share. */
import type { ComponentAttachment } from '../../config/config.ts';
import type { Timers } from '../../kit/clock.ts';
import type { Packet, Stanza, Subscription } from '../../model/packet.ts';
import type { SeenStanza } from '../../packet/from-xml.ts';
import { domainOf } from '../../packet/jid.ts';
import { containsOnly } from '../../packet/kind.ts';
import { withoutMucSub } from '../../packet/room.ts';
import { localName } from '../../packet/xml/element.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import type { Flow, IsOwn } from '../source.ts';
import type { Unreadable } from '../xmpp-stream.ts';

/** Makes packets of the stanzas that arrive on a component's stream. A feed lives as long as its source, over many streams. */
export interface Feed {
  /** A stream is up. */
  attached(outlet: Outlet): void;
  /** The stream is gone. */
  detached(): void;
  /** One stanza has arrived; `bytes` is its size on the wire. Answers to our own pings do not get here. */
  received(stanza: Stanza, bytes: number): void;
  /** Called for an unreadable stanza: it is counted, and acknowledged in order if the feed acknowledges. */
  unreadable(unreadable: Unreadable): void;
  /** Changes the requested stanzas; a feed that cannot choose ignores this. */
  resubscribe(subscription: Subscription): void;
}

/** The sending side of a stream. */
export interface Outlet {
  /** Writes one stanza; no effect once the stream is gone. */
  send(xml: string): void;
}

/** What a connection gives its feed. */
export interface FeedContext {
  readonly attachment: ComponentAttachment;
  readonly flow: Flow;
  readonly isOwn: IsOwn;
  readonly events: EventSink;
  readonly timers: Timers;
  /** Reports the state of a host on this connection. */
  readonly reportState: (host: string, state: AttachmentState, reason?: string) => void;
  readonly toPacket: (seen: SeenStanza) => Packet;
  /** Counts a skipped stanza; `host` if known. */
  readonly skip: (reason: SkipReason, host?: string) => void;
  /** Receives the stanzas that are not part of the feed: requests of users and servers, stray responses. */
  readonly onOther: (stanza: Stanza) => void;
}

/** Why a stanza became no packet; a closed set, since it is a metric label. */
export type SkipReason = 'archive' | 'carbon' | 'duplicate' | 'error' | 'forged' | 'malformed' | 'own' | 'too-large' | 'unknown-direction';

/** How a feed recognises the traffic of its own component. */
export interface OwnSide {
  /** The component's domain. */
  readonly domain: string;
  /** Whether stanzas addressed to the component are events (feed `direct`). */
  readonly receives: boolean;
  readonly isOwn: IsOwn;
}

/**
 * Why a stanza is no event of its own, on any feed; undefined if it is one. `own`: our own traffic. `archive`: an archive
 * result (XEP-0313), which would push old messages again. `carbon`: a copy (XEP-0280) of a message that is seen anyway.
 * `error`: it is about another stanza. A copy must come from the account's own address or have no other content: otherwise
 * any user could hide a message by adding such an element.
 */
export function reasonToSkip(seen: Stanza, own: OwnSide): SkipReason | undefined {
  const stanza = withoutMucSub(seen);
  if (own.isOwn(stanza)) return 'own';
  if (!own.receives && domainOf(stanza.attrs['to']) === own.domain) return 'own';
  if (stanza.attrs['type'] === 'error') return 'error';
  const reason = firstCopyReason(stanza);
  if (reason === undefined || isFromOwnAccount(stanza)) return reason;
  return containsOnly(stanza, (child) => copyReason(child) === reason) ? reason : undefined;
}

function firstCopyReason({ children }: Stanza): SkipReason | undefined {
  for (const child of children) {
    const reason = typeof child === 'string' ? undefined : copyReason(child);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

const archiveNamespaces: ReadonlySet<string> = new Set(['urn:xmpp:mam:0', 'urn:xmpp:mam:1', 'urn:xmpp:mam:2', 'urn:xmpp:mam:tmp']);
const carbonsNs = 'urn:xmpp:carbons:2';

function copyReason({ name, ns }: Stanza): 'archive' | 'carbon' | undefined {
  const local = localName(name);
  if (archiveNamespaces.has(ns) && (local === 'result' || local === 'fin')) return 'archive';
  return ns === carbonsNs && (local === 'received' || local === 'sent') ? 'carbon' : undefined;
}

function isFromOwnAccount({ attrs: { from, to = '' } }: Stanza): boolean {
  return from === undefined || bareOf(from) === bareOf(to);
}

function bareOf(jid: string): string {
  const slash = jid.indexOf('/');
  return (slash < 0 ? jid : jid.slice(0, slash)).toLowerCase();
}
