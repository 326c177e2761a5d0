import type { ClientAttachment } from '../../config/config.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Random } from '../../kit/random.ts';
import type { Timers } from '../../kit/timers.ts';
import type { PacketId } from '../../model/packet.ts';
import type { JidReader } from '../../packet/jid.ts';
import type { Accept, Mark } from '../../packet/receipt.ts';
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
