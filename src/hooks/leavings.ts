import type { BeforePushConfig } from '../config/config.ts';
import type { Clock } from '../kit/clock.ts';
import type { DeadReason } from '../model/attempt.ts';
import type { Answered, Body, DeliveryId, HeaderPair, NewRequest } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import type { JidReader } from '../packet/jid.ts';
import type { FailedPacket } from '../spool/dead-letter.ts';
import { questionOf } from './before-push/question.ts';
import type { LoadedHandler } from './handler.ts';
import { laneOf } from './lane.ts';
import { packetToJson } from './packet-json.ts';

/** Makes the rows that a packet may leave in the spool for a handler. */
export interface Leavings {
  /** The request its callbacks prepared. */
  delivery(handler: LoadedHandler, packet: Packet, request: Prepared): NewRequest;
  /** The question that a business server is asked first. */
  ask(handler: LoadedHandler, packet: Packet, beforePush: BeforePushConfig): NewRequest;
  /** The whole packet, because its callbacks did not make a request of it. */
  letter(handler: LoadedHandler, packet: Packet, why: { readonly reason: DeadReason; readonly detail: string }): FailedPacket;
}

export interface Prepared {
  readonly headers: readonly HeaderPair[];
  readonly body: Body;
  /** What a business server has answered, where one was asked. */
  readonly answered?: Answered | undefined;
}

export interface LeavingsOptions {
  readonly clock: Clock;
  readonly newId: () => DeliveryId;
  readonly readJid: JidReader;
}

export function createLeavings({ clock, newId, readJid }: LeavingsOptions): Leavings {
  return {
    delivery: ({ config, delivers }, packet, { headers, body, answered }) => ({
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
        ...(answered === undefined ? {} : { answered }),
      },
      body,
      seenAt: packet.time,
      createdAt: clock.now(),
    }),

    ask: ({ config }, packet, { queue, pool, requestPath }) => {
      const id = newId();
      const lane = laneOf(packet, config.name, config.ordering);
      return {
        id,
        packetId: packet.id,
        host: packet.host,
        handler: queue,
        pool,
        lane: lane === null ? null : `ask ${lane}`,
        sender: (packet.sender ?? packet.from).bare,
        receiver: packet.to.bare,
        target: {
          kind: 'http',
          method: 'POST',
          path: requestPath,
          headers: [
            ['content-type', 'application/json'],
            ['operationID', id],
          ],
          purpose: { kind: 'ask', handler: config.name, packet: packetToJson(packet) },
        },
        body: JSON.stringify(questionOf(packet, readJid)),
        seenAt: packet.time,
        createdAt: clock.now(),
      };
    },

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
