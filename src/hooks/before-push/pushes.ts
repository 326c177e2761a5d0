import { systemTimers } from '../../kit/clock.ts';
import type { Answered, DeliveryId, NewDelivery, NewRequest } from '../../model/delivery.ts';
import type { Jid, Packet } from '../../model/packet.ts';
import { createJidReader } from '../../packet/jid.ts';
import { roomAround } from '../../packet/room.ts';
import type { FailedPacket } from '../../spool/dead-letter.ts';
import { createCaller } from '../call.ts';
import { createContexts } from '../context.ts';
import type { LoadedHandler } from '../handler.ts';
import { createLeavings } from '../leavings.ts';
import { createMeet, type Met } from '../meet.ts';
import { packetFromJson } from '../packet-json.ts';
import type { ReviverOptions } from '../revive.ts';
import { jidOfUser } from './user-id.ts';

/**
 * Makes the pushes of a packet once a business server was asked about it. `misnamed`: the answer names somebody who can be
 * nobody. `unknown-handler`: nobody can say what it would push. Rejects only for an ask that is none of ours.
 */
export type PrepareAsked = (ask: NewDelivery, answered: Answered) => Promise<AskedPushes | 'misnamed' | 'unknown-handler'>;

/** What comes of an ask is named after it: `id.1`, `id.2`, … */
export interface AskedPushes {
  readonly spawn: readonly NewRequest[];
  readonly failedPackets: readonly FailedPacket[];
}

/**
 * One push for each receiver that was allowed, in their order; one for whom the packet is to where the answer names
 * nobody. A callback that fails on one of them costs all of them: they are one dead letter, whose replay asks again.
 */
export function createAskedPushes(options: ReviverOptions): PrepareAsked {
  const { handlers, limits, watch, clock, timers = systemTimers, readJid = createJidReader(), events } = options;
  const call = createCaller({ timeoutMs: limits.timeoutMs, watch, clock, timers, events });
  const contextOf = createContexts();

  return async ({ id, target: { purpose } }, answered) => {
    if (purpose?.kind !== 'ask') throw new Error(`delivery ${id} asks nothing`);
    const handler = handlers().find(({ config }) => config.name === purpose.handler);
    if (handler === undefined) return 'unknown-handler';
    const packet = packetFromJson(purpose.packet);
    const receivers = receiversOf(answered, packet);
    if (receivers === undefined) return 'misnamed';

    const spawn: NewRequest[] = [];
    let bytes = 0;
    for (const [index, { receiver, answered: own }] of receivers.entries()) {
      const met = await prepare(handler, addressed(packet, receiver), { id: `${id}.${index + 1}` as DeliveryId, answered: own });
      if (met.kind === 'failed') return { spawn: [], failedPackets: [{ ...met.letter, id: `${id}.1` as DeliveryId }] };
      if (met.kind === 'unwanted') continue;
      bytes += bytesOf(met.delivery);
      if (bytes > mostBytes) return { spawn: [], failedPackets: [tooMuch(handler, packet, { id: `${id}.1` as DeliveryId, answered })] };
      spawn.push(met.delivery);
    }
    return { spawn, failedPackets: [] };
  };

  /** Each push keeps only its part of the answer; otherwise the stored size would grow with the square of their number. */
  function receiversOf(answered: Answered, packet: Packet): readonly Receiver[] | undefined {
    if (answered.kind === 'failed' || answered.userIDList === undefined) return [{ receiver: packet.to, answered }];
    const named = new Map<string, Receiver>();
    const around = { host: packet.host, room: roomAround(packet) };
    for (const userId of answered.userIDList) {
      const jid = jidOfUser(userId, around, readJid);
      if (jid === undefined) return undefined;
      const isReceiver = jid.bare === packet.to.bare && (jid.resource === '' || jid.resource === packet.to.resource);
      const receiver = isReceiver ? packet.to : jid;
      if (!named.has(receiver.full)) named.set(receiver.full, { receiver, answered: { ...answered, userIDList: [userId] } });
    }
    return [...named.values()];
  }

  function tooMuch(handler: LoadedHandler, packet: Packet, { id, answered }: Named): FailedPacket {
    const count = answered.kind === 'allowed' ? (answered.userIDList?.length ?? 1) : 1;
    const detail = `the pushes to ${count} receivers exceed ${mostBytes} bytes per packet; name fewer receivers`;
    return createLeavings({ clock, newId: () => id, readJid }).letter(handler, packet, { reason: 'overflow', detail });
  }

  async function prepare(handler: LoadedHandler, packet: Packet, { id, answered }: Named): Promise<Met> {
    const leavings = createLeavings({ clock, newId: () => id, readJid });
    const context = contextOf(packet, answered.kind === 'allowed' ? answered.offlinePushInfo : undefined);
    return await createMeet({ call, watch, leavings, events }).prepare(handler, packet, { context, answered });
  }
}

/** The receiver of a push, and the part of the answer that is stored with it. */
interface Receiver {
  readonly receiver: Jid;
  readonly answered: Answered;
}

/** Maximum size of the pushes of one answer, in memory and in one transaction. */
const mostBytes = 64 * 1024 * 1024;

/** Approximate size of a push. */
function bytesOf({ body, target }: NewRequest): number {
  const { stanza = '', answered } = target;
  return body.length + stanza.length + (answered?.kind === 'allowed' ? JSON.stringify(answered).length : 0);
}

interface Named {
  readonly id: DeliveryId;
  readonly answered: Answered;
}

/** The packet as if it were to somebody else, of whose clients nothing is known. */
function addressed(packet: Packet, to: Jid): Packet {
  return to === packet.to ? packet : Object.freeze({ ...packet, to, sessions: undefined });
}
