import type { Acc, PacketAsked, RequestPrepared } from '../../pools/callbacks.ts';
import { createRfc3339 } from '../kit/clock.ts';
import type { Answered, DeliveryId } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import { roomOf } from '../packet/room.ts';
import { freezeStanza } from '../packet/xml/element.ts';
import type { LoadedHandler } from './handler.ts';

/** What an evaluation starts with in addition to the packet. */
interface ContextOptions {
  /** Id of the delivery or the dead letter. Default: a new id. */
  readonly deliveryId?: DeliveryId | undefined;
  /** Answer of the business server about this push, if one was asked. */
  readonly answered?: Answered | undefined;
}

type Rfc3339 = ReturnType<typeof createRfc3339>;

/** A packet under evaluation, and the arguments of its callbacks: an object for each handler, with one `acc` for all of them. */
export class PacketContext {
  readonly packet: Packet;
  readonly deliveryId: DeliveryId | undefined;
  readonly answered: Answered | undefined;
  readonly #rfc3339: Rfc3339;
  #acc: Acc | undefined;

  constructor(packet: Packet, rfc3339: Rfc3339, { deliveryId, answered }: ContextOptions) {
    this.packet = packet;
    this.deliveryId = deliveryId;
    this.answered = answered;
    this.#rfc3339 = rfc3339;
  }

  /** Argument of `shouldMakeReq`. */
  packetAsked({ opts, builtIn }: LoadedHandler): PacketAsked {
    const { direction, stanza, from, to } = this.packet;
    if (!builtIn) freezeStanza(stanza); // our own modules change nothing
    return { acc: this.acc, dir: direction, packet: stanza, from, to, opts };
  }

  /** Argument of `prepareHeaders` and `prepareBody`. */
  requestPrepared({ opts, builtIn }: LoadedHandler): RequestPrepared {
    const { direction, stanza, from, to, sender = from } = this.packet;
    if (!builtIn) freezeStanza(stanza);
    return {
      acc: this.acc,
      dir: direction,
      host: sender.server,
      message: stanza.text('body'),
      sender: sender.user,
      receiver: to.user,
      opts,
      packet: stanza,
      from,
      to,
      offlinePushInfo: this.answered?.kind === 'allowed' ? this.answered.offlinePushInfo : undefined,
    };
  }

  get acc(): Acc {
    this.#acc ??= accOf(this.packet, this.#rfc3339);
    return this.#acc;
  }
}

/** Makes the contexts of successive packets. */
export function createContexts(): (packet: Packet, options?: ContextOptions) => PacketContext {
  const rfc3339 = createRfc3339();
  return (packet, options = noOptions) => new PacketContext(packet, rfc3339, options);
}

const noOptions: ContextOptions = {};

/** Frozen, because the handlers of a packet share it; a handler may leave values for later ones in `metadata` only. */
function accOf(packet: Packet, rfc3339: Rfc3339): Acc {
  const { id, host, origin, sessions, session, stanzaId, delayed, event, kind } = packet;
  return Object.freeze({
    id,
    time: rfc3339(packet.time),
    receivedAt: rfc3339(packet.receivedAt),
    host,
    origin,
    sessions,
    session,
    room: roomOf(packet),
    sender: packet.sender?.bare,
    stanzaId,
    delayed: delayed === undefined ? undefined : new Date(delayed).toISOString(),
    event,
    kind,
    metadata: new Map(),
  });
}
