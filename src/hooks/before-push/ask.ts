/** The step before a request: a handler with `before_push` asks a business server whether to push, in the form of OpenIM 2 or 3. */
import type { Clock } from '../../kit/clock.ts';
import type { DeliveryId } from '../../model/delivery.ts';
import { createJidReader, type JidReader } from '../../packet/jid.ts';
import { laneOf, packetToJson } from '../delivery-factory.ts';
import type { BeforeRequest } from '../evaluate.ts';
import { questionOf } from './question.ts';
import { type OpenIm3Question, questionOfOpenIm3 } from './question-openim-3.ts';

interface AskOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: () => DeliveryId;
  /** Default: a reader of its own. */
  readonly readJid?: JidReader;
}

/** Makes an ask in place of the request of a handler with `before_push`. The packet is stored with it and prepared once the answer has come. */
export function askBeforePush({ clock, newId, readJid = createJidReader() }: AskOptions): BeforeRequest {
  return ({ config }, { packet, facts, deliveryId: id = newId() }) => {
    if (config.beforePush === undefined) return undefined;
    const { queue, pool, form, requestPath } = config.beforePush;
    const { path, body } =
      form === 'openim-3'
        ? askedAsOpenIm3(requestPath, questionOfOpenIm3(packet, id, readJid))
        : { path: requestPath, body: questionOf(packet, readJid) };
    const lane = laneOf(packet, config.name, config.ordering);
    return {
      id,
      packetId: packet.id,
      facts,
      host: packet.host,
      handler: queue,
      pool,
      lane: lane === null ? null : `ask ${lane}`,
      sender: (packet.sender ?? packet.from).bare,
      receiver: packet.to.bare,
      target: {
        kind: 'http',
        method: 'POST',
        path,
        headers: [
          ['content-type', 'application/json'],
          ['operationID', id],
        ],
        purpose: { kind: 'ask', handler: config.name, packet: packetToJson(packet) },
      },
      body: JSON.stringify(body),
      seenAt: packet.time,
      createdAt: clock.now(),
    };
  };
}

interface Asked {
  readonly path: string;
  readonly body: object;
}

/** OpenIM 3 asks each question at an address of its own: the command is appended to the path, before a query. */
function askedAsOpenIm3(requestPath: string, question: OpenIm3Question): Asked {
  return { path: requestPath.replace(/\/?(?=$|\?)/, `/${question.callbackCommand}`), body: question };
}
