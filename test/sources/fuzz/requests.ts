import * as cloudevents from '../../../src/hooks/builtin/cloudevents.ts';
import * as defaults from '../../../src/hooks/builtin/defaults.ts';
import * as json from '../../../src/hooks/builtin/json.ts';
import { unwatched } from '../../../src/hooks/call.ts';
import { createHandler } from '../../../src/hooks/create-handler.ts';
import { Evaluator } from '../../../src/hooks/evaluate.ts';
import type { DeliveryId } from '../../../src/model/delivery.ts';
import type { Packet } from '../../../src/model/packet.ts';
import { createEventBus } from '../../../src/telemetry/events.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { makeHandlerConfig } from '../../support/make-handler.ts';

const everything = { event: ['chat', 'groupchat', 'normal', 'headline', 'presence', 'iq', 'status', 'unack', 'offline'] };

/** The bodies of the built-in modules for a packet: the form, the JSON object, and the CloudEvent. Throws if one fails. */
export function requestsOf(packet: Packet): readonly [string, string, string] {
  const evaluation = evaluatorFor(packet.host).evaluate(packet);
  if (evaluation instanceof Promise) throw new Error('a built-in module returned a promise');
  for (const { detail } of evaluation.deadLetters) throw new Error(`a built-in module failed: ${detail}`);
  const [form = '', object = '', event = ''] = evaluation.deliveries.map(({ body }) => String(body));
  return [form, object, event];
}

function evaluatorFor(host: string): Evaluator {
  return new Evaluator({
    handlers: [defaults, json, cloudevents].map((module, index) =>
      createHandler(makeHandlerConfig({ name: String(index), hosts: [host], when: everything }), module),
    ),
    limits: { timeoutMs: 1000, blockTimeoutMs: 1000 },
    watch: unwatched,
    clock: createFakeClock(),
    newId: () => 'delivery' as DeliveryId,
    events: createEventBus(),
  });
}
