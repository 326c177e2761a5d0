/** Evaluated packets as rows of the spool: deliveries, dead letters, and packets as JSON text. */
import type { Ordering } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import type { DeadReason } from '../model/attempt.ts';
import type { Body, DeliveryId, HeaderPair, HttpTarget, NewRequest } from '../model/delivery.ts';
import type { Jid, Packet, PacketId } from '../model/packet.ts';
import { eventOf } from '../packet/kind.ts';
import { isGroupchat, roomOf } from '../packet/room.ts';
import { parseStanza } from '../packet/xml/parse.ts';
import type { FailedPacket } from '../spool/spool.ts';
import type { PacketContext } from './context.ts';
import type { LoadedHandler } from './handler.ts';

interface DeliveryFactoryOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: () => DeliveryId;
}

export class DeliveryFactory {
  readonly #clock: DeliveryFactoryOptions['clock'];
  readonly #newId: () => DeliveryId;
  #sharedTarget: HttpTarget = { kind: 'http', method: 'POST', path: '', headers: [] };

  constructor({ clock, newId }: DeliveryFactoryOptions) {
    this.#clock = clock;
    this.#newId = newId;
  }

  /** The request that the callbacks prepared. */
  request({ config, hasDeliveryCallbacks }: LoadedHandler, context: PacketContext, { headers, body }: PreparedRequest): NewRequest {
    const { packet, answered, deliveryId = this.#newId() } = context;
    const plain = this.#plainTargetOf(config.requestPath, headers);
    const target = answered === undefined ? plain : { ...plain, answered };
    return {
      id: deliveryId,
      packetId: packet.id,
      facts: context.facts,
      host: packet.host,
      handler: config.name,
      pool: config.pool,
      lane: laneOf(packet, config.name, config.ordering),
      sender: (packet.sender ?? packet.from).bare,
      receiver: packet.to.bare,
      target: hasDeliveryCallbacks ? { ...target, stanza: packet.stanza.xml } : target,
      body,
      seenAt: packet.time,
      createdAt: this.#clock.now(),
    };
  }

  /** Requests of a built-in module have the same headers: they share one object, so that it is encoded and compared once. */
  #plainTargetOf(path: string, headers: PreparedRequest['headers']): HttpTarget {
    const shared = this.#sharedTarget;
    if (shared.path === path && shared.headers === headers) return shared;
    this.#sharedTarget = { kind: 'http', method: 'POST', path, headers };
    return this.#sharedTarget;
  }

  /** A dead letter with the whole packet, because the callbacks made no request of it. */
  failedPacket({ config }: LoadedHandler, context: PacketContext, { reason, detail }: PacketFailure): FailedPacket {
    const { packet, deliveryId = this.#newId() } = context;
    return {
      id: deliveryId,
      packetId: packet.id,
      facts: context.facts,
      host: packet.host,
      handler: config.name,
      pool: config.pool,
      sender: (packet.sender ?? packet.from).bare,
      receiver: packet.to.bare,
      reason,
      detail,
      packet: packetToJson(packet),
      seenAt: packet.time,
      createdAt: this.#clock.now(),
    };
  }
}

export interface PreparedRequest {
  readonly headers: readonly HeaderPair[];
  readonly body: Body;
}

interface PacketFailure {
  readonly reason: DeadReason;
  readonly detail: string;
}

/** The lane of a packet's delivery: deliveries of one lane are sent one after the other. Null: no order. */
export function laneOf(packet: Packet, handler: string, ordering: Ordering): string | null {
  switch (ordering) {
    case 'conversation':
      return `${handler} ${conversationOf(packet)}${isRoomCopy(packet) ? ` ${packet.to.bare}` : ''}`;
    case 'sender':
      return `${handler} ${(packet.sender ?? packet.from).bare}`;
    case 'none':
      return null;
    default:
      return ordering satisfies never;
  }
}

/** A copy of a room's message for one occupant. Order matters to each occupant by itself, so the copies do not wait for each other. */
function isRoomCopy({ direction, stanza }: Packet): boolean {
  return direction === 'out' && isGroupchat(stanza);
}

/**
 * The conversation of a packet: the bare JID of the room for a room's messages and events, otherwise the two bare JIDs in sorted order, the same for both
 * directions.
 */
export function conversationOf(packet: Pick<Packet, 'direction' | 'event' | 'from' | 'stanza' | 'to'>): string {
  const { from, to } = packet;
  const room = roomOf(packet);
  if (room !== undefined) return room;
  return from.bare < to.bare ? `${from.bare} ${to.bare}` : `${to.bare} ${from.bare}`;
}

/** A whole packet as JSON text, for dead letters and asks. {@link packetFromJson} reads it. */
export function packetToJson(packet: Packet): string {
  return JSON.stringify({ version, ...packet, stanza: packet.stanza.xml });
}

/** Reads the text of {@link packetToJson}. Throws for other texts and for the format of a newer version. */
export function packetFromJson(text: string): Packet {
  const stored = JSON.parse(text) as StoredPacket; // written by packetToJson: the version is checked
  if (stored.version !== version) throw new Error(`cannot read a stored packet of version ${String(stored.version)}`);

  const stanza = parseStanza(stored.stanza);
  return Object.freeze({
    id: stored.id as PacketId,
    direction: stored.direction,
    stanza,
    event: stored.event ?? eventOf(stanza),
    kind: stored.kind,
    from: Object.freeze(stored.from),
    to: Object.freeze(stored.to),
    host: stored.host,
    origin: stored.origin,
    session: stored.session,
    sessions: stored.sessions,
    sender: stored.sender && Object.freeze(stored.sender),
    occupant: stored.occupant,
    stanzaId: stored.stanzaId,
    time: stored.time,
    receivedAt: stored.receivedAt,
    delayed: stored.delayed,
    bytes: stored.bytes,
    key: stored.key,
  });
}

/** Incremented when the meaning of a field changes. */
const version = 1;

/** JIDs are stored with all their parts: preparing them again could change those that were passed on unprepared. */
interface StoredPacket extends Omit<Packet, 'event' | 'from' | 'stanza' | 'to'> {
  readonly version: number;
  readonly from: Jid;
  readonly to: Jid;
  readonly stanza: string;
  /** Missing in packets that were stored before reports existed: the event of the stanza. */
  readonly event?: Packet['event'];
}
