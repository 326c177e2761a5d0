import type { Direction, Jid, Kind, PacketEvent, PacketId, Stanza } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';

/** One stanza seen at one point, with a direction. Plain and frozen: what a handler does to it harms no other. */
export interface Packet {
  readonly id: PacketId;
  readonly direction: Direction;
  readonly stanza: Stanza;
  readonly event: PacketEvent;
  readonly kind: Kind;
  readonly from: Jid;
  readonly to: Jid;
  /** The local virtual host that saw it. */
  readonly host: string;
  /** The attachment it came from. */
  readonly origin: string;
  readonly session: string | undefined;
  readonly sessions: number | undefined;
  /** Who said it in a room, as a bare JID: `from` is the room and a nickname. Undefined where not known, and outside of rooms. */
  readonly sender: Jid | undefined;
  readonly stanzaId: string | undefined;
  /** When the chat server saw it, or else we. */
  readonly time: EpochMs;
  readonly receivedAt: EpochMs;
  /** When a delayed copy was first sent (XEP-0203). */
  readonly delayed: EpochMs | undefined;
  /** Bytes of the stanza as it came: what it costs while it waits. */
  readonly bytes: number;
  /** Names the packet over restarts where the feed can (tap: host, node, epoch, seq); the watchdog counts strikes by it. */
  readonly key: string;
}
