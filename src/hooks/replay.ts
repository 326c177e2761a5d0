/** Evaluations that an operator asks for: the replay of dead letters, and the request of a test. */
import type { EpochMs } from '../kit/clock.ts';
import { type Completion, promised } from '../kit/completion.ts';
import type { DeliveryId, NewRequest } from '../model/delivery.ts';
import type { Packet, PacketId } from '../model/packet.ts';
import { packetFrom } from '../packet/from-xml.ts';
import { createJidReader } from '../packet/jid.ts';
import { parseStanza } from '../packet/xml/parse.ts';
import type { DeadFilter, Entry, Spool } from '../spool/spool.ts';
import { createContexts } from './context.ts';
import { packetFromJson } from './delivery-factory.ts';
import { type EvaluationOptions, HandlerEvaluator, type HandlerResult } from './evaluate.ts';
import type { LoadedHandler } from './handler.ts';

interface ReplayOptions extends EvaluationOptions {
  /** The current handlers. */
  readonly handlers: () => readonly LoadedHandler[];
  readonly spool: Pick<Spool, 'deadLetter' | 'deadLetters' | 'replay'>;
  /** Stores an entry and begins to deliver it. */
  accept(entry: Pick<Entry, 'deadLetters' | 'deliveries' | 'mark' | 'revives'>, completion: Completion<void>): void;
  /** Starts delivery of the ready deliveries of these pools. */
  wake(pools: readonly string[]): void;
}

export interface ReplayReport {
  /** Dead letters that are deliveries again. */
  readonly replayed: number;
  /** Dead letters that remain, because their callbacks failed again or make no request now. */
  readonly failed: number;
}

export class Replayer {
  readonly #options: ReplayOptions;
  readonly #evaluator: HandlerEvaluator;
  readonly #contextOf = createContexts();

  constructor(options: ReplayOptions) {
    this.#options = options;
    // A handler that blocked the thread is called again: the operator has probably repaired the module.
    this.#evaluator = new HandlerEvaluator({ ...options, watch: { ...options.watch, struckOut: () => false } });
  }

  /** Makes dead letters deliveries again, under their ids. Letters without a request, the failed packets, go through the hooks. */
  async replay(filter: DeadFilter, limit: number): Promise<ReplayReport> {
    const { spool, clock, wake } = this.#options;
    const { replayed, failedPackets, readyPools } = await spool.replay(filter, { limit, now: clock.now() });
    wake(readyPools);
    const revived = failedPackets === 0 ? 0 : await this.#replayFailedPackets(filter, failedPackets);
    return { replayed: replayed + revived, failed: failedPackets - revived };
  }

  /** One after the other; returns the number of new deliveries. */
  async #replayFailedPackets(filter: DeadFilter, limit: number): Promise<number> {
    const { spool, accept } = this.#options;
    let revived = 0;
    for (const { id } of await spool.deadLetters(filter, { limit })) {
      const letter = await spool.deadLetter(id);
      if (letter?.packet == null || letter.packet === '') continue; // the spool refused its request: it holds no packet
      const delivery = await this.reevaluate({ id, handler: letter.handler, packet: letter.packet });
      if (delivery === undefined) continue;
      const result = { deliveries: [delivery], deadLetters: [], mark: undefined, revives: id };
      await promised<void>((completion) => accept(result, completion));
      revived += 1;
    }
    return revived;
  }

  /** Undefined: the handler is not configured, makes no request of the packet now, or fails again. */
  async reevaluate(letter: {
    readonly id: DeliveryId;
    readonly handler: string;
    readonly packet: string;
  }): Promise<NewRequest | undefined> {
    const handler = this.#find(letter.handler);
    if (handler === undefined) return undefined;
    const context = this.#contextOf(packetFromJson(letter.packet), { deliveryId: letter.id });
    const result = await this.#evaluator.evaluate(handler, context);
    return result.kind === 'request' ? result.delivery : undefined;
  }

  /** The request that a handler makes of a test message, whatever its rules; marked by a header. Undefined: there is no such handler. */
  async testRequest(name: string): Promise<HandlerResult | undefined> {
    const handler = this.#find(name);
    if (handler === undefined) return undefined;
    const accepting = { ...handler, matches: () => true, callbacks: { ...handler.callbacks, shouldMakeReq: () => true } };
    const id = this.#options.newId();
    const packet = createTestPacket(handler.config.hosts[0] ?? 'localhost', { id, now: this.#options.clock.now() });
    const result = await this.#evaluator.evaluate(accepting, this.#contextOf(packet, { deliveryId: id }));
    return result.kind === 'request' ? { kind: 'request', delivery: markedAsTest(result.delivery) } : result;
  }

  #find(name: string): LoadedHandler | undefined {
    return this.#options.handlers().find(({ config }) => config.name === name);
  }
}

/** A chat message between two made-up users of a host. Its resource identifies it as a test. */
function createTestPacket(host: string, { id, now }: { readonly id: DeliveryId; readonly now: EpochMs }): Packet {
  const session = `sender@${host}/event-pusher-test`;
  const xml =
    `<message xmlns='jabber:client' type='chat' from='${session}' to='receiver@${host}' id='${id}'>` +
    '<body>This is a test of xmpp-event-pusher.</body></message>';
  const seen = { stanza: parseStanza(xml), direction: 'in', host, session, sessions: 0, bytes: xml.length, key: `test ${id}` } as const;
  const reception = { id: `test-${id}` as PacketId, origin: 'event-pusher-test', receivedAt: now };
  return packetFrom(seen, reception, createJidReader({ size: 2 })).packet;
}

/** Adds a header by which a backend can recognise a test. */
export function markedAsTest(delivery: NewRequest): NewRequest {
  const headers = [...delivery.target.headers, ['event-pusher-test', '1'] as const];
  return { ...delivery, target: { ...delivery.target, headers } };
}
