import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadConfig } from '../../src/config/load.ts';
import { askBeforePush } from '../../src/hooks/before-push/ask.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { packetFromJson, packetToJson } from '../../src/hooks/delivery-factory.ts';
import { type Evaluation, Evaluator } from '../../src/hooks/evaluate.ts';
import { loadHandlers } from '../../src/hooks/load.ts';
import type { DeliveryId } from '../../src/model/delivery.ts';
import type { Packet } from '../../src/model/packet.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createFakeClock } from './fake-clock.ts';

/**
 * Evaluates packets with the handlers of a configuration file in a separate Node process, where Node itself imports the callback
 * modules instead of the test runner.
 */
export async function evaluateInNode(file: string, packets: readonly Packet[]): Promise<Evaluation[]> {
  const arguments_ = ['--import', 'tsx', fileURLToPath(import.meta.url), file, ...packets.map(packetToJson)];
  const { stdout } = await promisify(execFile)(process.execPath, arguments_);
  return JSON.parse(stdout);
}

async function evaluateAll(file: string, packets: readonly string[]): Promise<readonly Evaluation[]> {
  const { handlers, callbacks } = await loadConfig(file, { PUSHER_SECRET: 'secret' });
  const ids = { clock: createFakeClock(), newId: () => 'delivery' as DeliveryId };
  const evaluator = new Evaluator({
    ...ids,
    handlers: await loadHandlers(handlers),
    limits: callbacks,
    watch: unwatched,
    events: createEventBus(),
    beforeRequest: askBeforePush(ids),
  });
  return Promise.all(packets.map((packet) => evaluator.evaluate(packetFromJson(packet))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file = '', ...packets] = process.argv.slice(2);
  process.stdout.write(JSON.stringify(await evaluateAll(file, packets)));
}
