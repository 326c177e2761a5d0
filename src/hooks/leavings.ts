import type { Body, DeliveryId, HeaderPair } from '../../pools/contract.ts';
import type { Clock } from '../kit/clock.ts';
import type { Packet } from '../packet/packet.ts';
import type { DeadReason, StillBorn } from '../spool/dead-letter.ts';
import type { NewRequest } from '../spool/spool.ts';
import type { LoadedHandler } from './handler.ts';
import { laneOf } from './lane.ts';
import { packetToJson } from './packet-json.ts';

/** Makes the rows that a packet may leave in the spool for a handler. */
export interface Leavings {
  /** The request its callbacks prepared. */
  delivery(handler: LoadedHandler, packet: Packet, request: { readonly headers: readonly HeaderPair[]; readonly body: Body }): NewRequest;
  /** The whole packet, because its callbacks did not make a request of it. */
  letter(handler: LoadedHandler, packet: Packet, why: { readonly reason: DeadReason; readonly detail: string }): StillBorn;
}

export function createLeavings({ clock, newId }: { readonly clock: Clock; readonly newId: () => DeliveryId }): Leavings {
  return {
    delivery: ({ config, delivers }, packet, { headers, body }) => ({
      id: newId(),
      packetId: packet.id,
      host: packet.host,
      handler: config.name,
      pool: config.pool,
      lane: laneOf(packet, config.name, config.ordering),
      sender: (packet.sender ?? packet.from).bare,
      receiver: packet.to.bare,
      target: {
        kind: 'http',
        method: 'POST',
        path: config.requestPath,
        headers,
        ...(delivers ? { stanza: packet.stanza.xml } : {}),
      },
      body,
      seenAt: packet.time,
      createdAt: clock.now(),
    }),

    letter: ({ config }, packet, { reason, detail }) => ({
      id: newId(),
      packetId: packet.id,
      host: packet.host,
      handler: config.name,
      pool: config.pool,
      sender: (packet.sender ?? packet.from).bare,
      receiver: packet.to.bare,
      reason,
      detail,
      packet: packetToJson(packet),
      seenAt: packet.time,
      createdAt: clock.now(),
    }),
  };
}
