import type { ComponentAttachment } from '../../config/config.ts';
import type { Timers } from '../../kit/clock.ts';
import type { Packet, Stanza } from '../../model/packet.ts';
import type { SeenStanza } from '../../packet/from-xml.ts';
import type { AttachmentState, EventSink } from '../../telemetry/events.ts';
import type { Flow } from '../flow.ts';
import type { IsOwn } from '../own-traffic.ts';

/** Why something that came down a feed became no packet; bounded, since it is a label. */
export type SkipReason = 'archive' | 'carbon' | 'duplicate' | 'error' | 'forged' | 'malformed' | 'own' | 'too-large' | 'unknown-direction';

/** What all feeds share. */
export interface FeedOptions {
  readonly attachment: ComponentAttachment;
  readonly flow: Flow;
  readonly isOwn: IsOwn;
  readonly events: EventSink;
  readonly timers: Timers;
  /** Says how a host fares on this connection. */
  readonly tell: (host: string, state: AttachmentState, reason?: string) => void;
  readonly toPacket: (seen: SeenStanza) => Packet;
  /** Counts a skipped stanza; `host` if known. */
  readonly skip: (reason: SkipReason, host?: string) => void;
  /** Takes what is not for this feed: pings and questions of others, stray answers. */
  readonly strange: (stanza: Stanza) => void;
}
