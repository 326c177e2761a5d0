import type { ClientAttachment } from '../../config/config.ts';
import type { Clock, Timers } from '../../kit/clock.ts';
import type { Random } from '../../kit/pacing.ts';
import type { Accept, Mark, PacketId } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import type { EventSink } from '../../telemetry/events.ts';
import type { IsOwn } from '../own-traffic.ts';

export interface ClientOptions {
  readonly attachment: ClientAttachment;
  readonly accept: Accept;
  /** Where each of its archives had got to. */
  readonly marks: readonly Mark[];
  readonly isOwn: IsOwn;
  readonly newPacketId: () => PacketId;
  readonly readJid: JidReader;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly events: EventSink;
}
