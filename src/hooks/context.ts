import type { Acc, PacketAsked, RequestPrepared } from '../../pools/callbacks.ts';
import { createRfc3339 } from '../kit/clock.ts';
import type { OfflinePushInfo } from '../model/delivery.ts';
import type { Packet } from '../model/packet.ts';
import { roomOf } from '../packet/room.ts';
import type { LoadedHandler } from './handler.ts';

/** What the callbacks are given for one packet: each handler its own plain objects, all of them the same `acc`. */
export interface PacketContext {
  asked(handler: LoadedHandler): PacketAsked;
  prepared(handler: LoadedHandler): RequestPrepared;
}

/** `offlinePushInfo`: what a business server wants pushes of it to say. */
export type ContextOf = (packet: Packet, offlinePushInfo?: OfflinePushInfo) => PacketContext;

/** Gives the context of one packet after the other. */
export function createContexts(): ContextOf {
  const rfc3339 = createRfc3339();

  return (packet, offlinePushInfo) => {
    const { direction, stanza, from, to } = packet;
    const sender = packet.sender ?? from;
    let shared: Acc | undefined;

    function acc(): Acc {
      shared ??= accOf(packet, rfc3339);
      return shared;
    }

    return {
      asked: ({ opts }) => ({ acc: acc(), dir: direction, packet: stanza, from, to, opts }),
      prepared: ({ opts }) => ({
        acc: acc(),
        dir: direction,
        host: sender.server,
        message: stanza.text('body'),
        sender: sender.user,
        receiver: to.user,
        opts,
        packet: stanza,
        from,
        to,
        offlinePushInfo,
      }),
    };
  };
}

/** Frozen, since the handlers of a packet share it; `metadata` is the one place where they may leave something. */
function accOf(packet: Packet, rfc3339: ReturnType<typeof createRfc3339>): Acc {
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
