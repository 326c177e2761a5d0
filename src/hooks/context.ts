import type { Acc, PacketAsked, RequestPrepared } from '../../pools/callbacks.ts';
import type { EpochMs } from '../kit/clock.ts';
import type { Packet } from '../packet/packet.ts';
import type { LoadedHandler } from './handler.ts';

/** Makes what the callbacks are given for one packet: each handler its own object, all of them the same `acc`. */
export interface PacketContext {
  asked(handler: LoadedHandler): PacketAsked;
  prepared(handler: LoadedHandler): RequestPrepared;
}

export function createContext(packet: Packet): PacketContext {
  const { direction, stanza, from, to } = packet;
  let shared: Acc | undefined;

  function acc(): Acc {
    shared ??= accOf(packet);
    return shared;
  }

  return {
    asked: ({ opts }) => ({ acc: acc(), dir: direction, packet: stanza, from, to, opts }),
    prepared: ({ opts }) => ({
      acc: acc(),
      dir: direction,
      host: from.server,
      message: stanza.text('body'),
      sender: from.user,
      receiver: to.user,
      opts,
      packet: stanza,
      from,
      to,
    }),
  };
}

/** Frozen, since the handlers of a packet share it; `metadata` is the one place where they may leave something. */
function accOf(packet: Packet): Acc {
  let metadata: Map<string, unknown> | undefined;

  return Object.freeze({
    id: packet.id,
    // Most callbacks never look at these three, and a date costs more to write than all the rest.
    get time() {
      return rfc3339(packet.time);
    },
    get receivedAt() {
      return rfc3339(packet.receivedAt);
    },
    get metadata() {
      metadata ??= new Map();
      return metadata;
    },
    host: packet.host,
    origin: packet.origin,
    sessions: packet.sessions,
    session: packet.session,
    stanzaId: packet.stanzaId,
    delayed: packet.delayed === undefined ? undefined : rfc3339(packet.delayed),
    kind: packet.kind,
  });
}

function rfc3339(at: EpochMs): string {
  return new Date(at).toISOString();
}
