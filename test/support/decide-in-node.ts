import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadConfig } from '../../src/config/load.ts';
import { unwatched } from '../../src/hooks/call.ts';
import { packetFromJson, packetToJson } from '../../src/hooks/delivery-factory.ts';
import { Gate } from '../../src/hooks/gate.ts';
import { loadHandlers } from '../../src/hooks/load.ts';
import { systemTimers } from '../../src/kit/clock.ts';
import type { Packet } from '../../src/model/packet.ts';
import type { GateDecision } from '../../src/packet/gate-decision.ts';
import { createEventBus } from '../../src/telemetry/events.ts';
import { createFakeClock } from './fake-clock.ts';

/**
 * Gate decisions of the handlers of a configuration file in a separate Node process, where Node itself imports the callback modules
 * instead of the test runner.
 */
export async function decideInNode(file: string, packets: readonly Packet[]): Promise<GateDecision[]> {
  const arguments_ = ['--import', 'tsx', fileURLToPath(import.meta.url), file, ...packets.map(packetToJson)];
  const { stdout } = await promisify(execFile)(process.execPath, arguments_);
  return JSON.parse(stdout);
}

async function decideAll(file: string, packets: readonly string[]): Promise<readonly GateDecision[]> {
  const handlers = await loadHandlers((await loadConfig(file, { PUSHER_SECRET: 'secret', GATE_TOKEN: 'token' })).handlers);
  const shared = { clock: createFakeClock(), timers: systemTimers, events: createEventBus() };
  const decide = new Gate({ ...shared, handlers: () => handlers, timeoutMs: 10_000, watch: unwatched }).decide;
  return Promise.all(packets.map((packet) => decide(packetFromJson(packet))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file = '', ...packets] = process.argv.slice(2);
  process.stdout.write(JSON.stringify(await decideAll(file, packets)));
}
