import type { PacketAsked, RequestPrepared } from '../../pools/accept-callbacks.ts';
import { createRfc3339 } from '../kit/clock.ts';
import type { Answered, DeliveryId, OfflinePushInfo } from '../model/delivery.ts';
import { type Acc, type Direction, factsOf, type Jid, type Packet, type PacketFacts, type Stanza } from '../model/packet.ts';
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

/** A packet under evaluation, and the arguments of its callbacks, with one `acc` for all of them. Users' modules get a frozen stanza. */
export class PacketContext {
  readonly packet: Packet;
  readonly deliveryId: DeliveryId | undefined;
  readonly answered: Answered | undefined;
  /** Argument of the functions of built-in modules. */
  readonly fields: PacketFields;
  #facts: PacketFacts | undefined;

  constructor(packet: Packet, rfc3339: Rfc3339, { deliveryId, answered }: ContextOptions) {
    this.packet = packet;
    this.deliveryId = deliveryId;
    this.answered = answered;
    this.fields = new PacketFields(this, rfc3339);
  }

  /** Encoded once for all deliveries of the packet. */
  get facts(): PacketFacts {
    this.#facts ??= factsOf(this.packet);
    return this.#facts;
  }

  /** Argument of `shouldMakeReq`: a plain object, which a module may copy. */
  packetAsked({ opts }: LoadedHandler): PacketAsked {
    const { acc, dir, packet, from, to } = this.fields;
    freezeStanza(packet);
    return { acc, dir, packet, from, to, opts };
  }

  /** Argument of `prepareHeaders` and `prepareBody`. */
  requestPrepared({ opts }: LoadedHandler): RequestPrepared {
    const { acc, dir, host, message, sender, receiver, packet, from, to, offlinePushInfo } = this.fields;
    freezeStanza(packet);
    return { acc, dir, host, message, sender, receiver, opts, packet, from, to, offlinePushInfo };
  }
}

/** A packet in the terms of callbacks. Each value is made when it is read: the default module needs no `acc`, which takes as long as its form. */
class PacketFields implements Omit<RequestPrepared, 'opts'> {
  readonly dir: Direction;
  readonly packet: Stanza;
  readonly from: Jid;
  readonly to: Jid;
  readonly #context: PacketContext;
  readonly #rfc3339: Rfc3339;
  #acc: Acc | undefined;

  constructor(context: PacketContext, rfc3339: Rfc3339) {
    const { direction, stanza, from, to } = context.packet;
    this.dir = direction;
    this.packet = stanza;
    this.from = from;
    this.to = to;
    this.#context = context;
    this.#rfc3339 = rfc3339;
  }

  get acc(): Acc {
    this.#acc ??= accOf(this.#context.packet, this.#rfc3339);
    return this.#acc;
  }

  get host(): string {
    return this.#author.server;
  }

  get message(): string {
    return this.packet.text('body');
  }

  get sender(): string {
    return this.#author.user;
  }

  get receiver(): string {
    return this.to.user;
  }

  get offlinePushInfo(): OfflinePushInfo | undefined {
    const { answered } = this.#context;
    return answered?.kind === 'allowed' ? answered.offlinePushInfo : undefined;
  }

  get #author(): Jid {
    return this.#context.packet.sender ?? this.from;
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
    occupant: packet.occupant,
    stanzaId,
    delayed: delayed === undefined ? undefined : new Date(delayed).toISOString(),
    event,
    kind,
    metadata: new Map(),
  });
}
