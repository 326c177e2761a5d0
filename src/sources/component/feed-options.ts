import type { Direction, Stanza } from '../../../pools/contract.ts';
import type { ComponentAttachment } from '../../config/config.ts';
import type { EpochMs } from '../../kit/clock.ts';
import type { Timers } from '../../kit/timers.ts';
import type { Packet } from '../../packet/packet.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { Flow } from './flow.ts';

/** Why something that came down a feed became no packet; bounded, since it is a label. */
export type SkipReason = 'archive' | 'carbon' | 'duplicate' | 'error' | 'forged' | 'malformed' | 'own' | 'unknown-direction';

/** What a feed knows of a stanza that may become a packet. */
export interface Sighting {
  readonly stanza: Stanza;
  readonly direction: Direction;
  readonly host: string;
  readonly session?: string | undefined;
  readonly sessions?: number | undefined;
  /** When the server saw it; undefined: now. */
  readonly time?: EpochMs | undefined;
  readonly bytes: number;
  /** See `Packet.key`. */
  readonly key: string;
}

/** What all feeds share. */
export interface FeedOptions {
  readonly attachment: ComponentAttachment;
  readonly flow: Flow;
  readonly events: EventSink;
  readonly timers: Timers;
  readonly toPacket: (sighting: Sighting) => Packet;
  /** Counts what was skipped. */
  readonly skip: (reason: SkipReason) => void;
  /** Takes what is not for this feed: pings and questions of others, stray answers. */
  readonly strange: (stanza: Stanza) => void;
}
