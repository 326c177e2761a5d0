/** The pushes of an ask: what a handler with `before_push` sends once its business server has answered. */
import type { Answered, DeliveryId, NewDelivery, NewRequest } from '../../model/delivery.ts';
import type { Jid, Packet } from '../../model/packet.ts';
import { createJidReader, type JidReader } from '../../packet/jid.ts';
import { roomAround } from '../../packet/room.ts';
import type { FailedPacket } from '../../spool/spool.ts';
import { createContexts } from '../context.ts';
import { DeliveryFactory, packetFromJson } from '../delivery-factory.ts';
import { type EvaluationOptions, HandlerEvaluator } from '../evaluate.ts';
import type { LoadedHandler } from '../handler.ts';
import { jidOfUser } from './question.ts';

interface AskedPushesOptions extends EvaluationOptions {
  /** The current handlers. */
  readonly handlers: () => readonly LoadedHandler[];
  /** Default: a reader of its own. */
  readonly readJid?: JidReader;
}

/** The pushes of an ask; their ids are the id of the ask with a number: `id.1`, `id.2`, … */
interface AskedPushes {
  readonly spawn: readonly NewRequest[];
  readonly failedPackets: readonly FailedPacket[];
}

/** Makes the pushes of an ask once it is answered; see {@link AskedPushMaker.prepare}. */
export type PrepareAsked = AskedPushMaker['prepare'];

export class AskedPushMaker {
  readonly #options: AskedPushesOptions;
  readonly #evaluator: HandlerEvaluator;
  readonly #factory: DeliveryFactory;
  readonly #readJid: JidReader;
  readonly #contextOf = createContexts();

  constructor(options: AskedPushesOptions) {
    this.#options = options;
    this.#evaluator = new HandlerEvaluator(options);
    this.#factory = new DeliveryFactory(options);
    this.#readJid = options.readJid ?? createJidReader();
  }

  /**
   * One push for each allowed receiver, in their order; if the answer names no receivers, one for the receiver of the packet. If a callback
   * fails for one of them, no push is made: the packet becomes one dead letter, and its replay asks again. `misnamed`: a user ID is not
   * valid. `unknown-handler`: the handler is not configured. Rejects if `ask` is not an ask.
   */
  readonly prepare = async (ask: NewDelivery, answered: Answered): Promise<AskedPushes | 'misnamed' | 'unknown-handler'> => {
    const {
      id,
      target: { purpose },
    } = ask;
    if (purpose?.kind !== 'ask') throw new Error(`delivery ${id} is not an ask`);
    const handler = this.#options.handlers().find(({ config }) => config.name === purpose.handler);
    if (handler === undefined) return 'unknown-handler';
    const packet = packetFromJson(purpose.packet);
    const receivers = this.#receiversOf(answered, packet);
    if (receivers === undefined) return 'misnamed';

    const spawn: NewRequest[] = [];
    let bytes = 0;
    for (const [index, { jid, answered: own }] of receivers.entries()) {
      const context = this.#contextOf(addressedTo(jid, packet), { deliveryId: pushId(id, index + 1), answered: own });
      const result = await this.#evaluator.prepare(handler, context);
      if (result.kind === 'failed') return { spawn: [], failedPackets: [{ ...result.failedPacket, id: pushId(id, 1) }] };
      if (result.kind === 'no-request') continue;
      bytes += bytesOf(result.delivery);
      if (bytes > maxBytes) return { spawn: [], failedPackets: [this.#overflow(handler, packet, { id, count: receiverCount(answered) })] };
      spawn.push(result.delivery);
    }
    return { spawn, failedPackets: [] };
  };

  /**
   * The receivers that the answer allows; undefined if a user ID is not valid. Each has only its part of the answer: with the whole one,
   * the stored size would grow with the square of the number of pushes.
   */
  #receiversOf(answered: Answered, packet: Packet): readonly Receiver[] | undefined {
    if (answered.kind === 'failed' || answered.userIDList === undefined) return [{ jid: packet.to, answered }];
    const named = new Map<string, Receiver>();
    const surroundings = { host: packet.host, room: roomAround(packet) };
    for (const userId of answered.userIDList) {
      const user = jidOfUser(userId, surroundings, this.#readJid);
      if (user === undefined) return undefined;
      const isReceiver = user.bare === packet.to.bare && (user.resource === '' || user.resource === packet.to.resource);
      const jid = isReceiver ? packet.to : user;
      if (!named.has(jid.full)) named.set(jid.full, { jid, answered: { ...answered, userIDList: [userId] } });
    }
    return [...named.values()];
  }

  #overflow(handler: LoadedHandler, packet: Packet, { id, count }: { readonly id: DeliveryId; readonly count: number }): FailedPacket {
    const detail = `the pushes to ${count} receivers exceed ${maxBytes} bytes per packet; name fewer receivers`;
    return this.#factory.failedPacket(handler, this.#contextOf(packet, { deliveryId: pushId(id, 1) }), { reason: 'overflow', detail });
  }
}

/** The receiver of a push, and the part of the answer that is stored with it. */
interface Receiver {
  readonly jid: Jid;
  readonly answered: Answered;
}

function pushId(ask: DeliveryId, number: number): DeliveryId {
  return `${ask}.${number}` as DeliveryId;
}

/** The packet with another receiver, whose sessions are unknown. */
function addressedTo(jid: Jid, packet: Packet): Packet {
  return jid === packet.to ? packet : Object.freeze({ ...packet, to: jid, sessions: undefined });
}

/** Maximum size of the pushes of one answer, in memory and in one transaction. */
const maxBytes = 64 * 1024 * 1024;

/** Approximate size of a push. */
function bytesOf({ body, target }: NewRequest): number {
  const { stanza = '', answered } = target;
  return body.length + stanza.length + (answered?.kind === 'allowed' ? JSON.stringify(answered).length : 0);
}

function receiverCount(answered: Answered): number {
  return answered.kind === 'allowed' ? (answered.userIDList?.length ?? 1) : 1;
}
