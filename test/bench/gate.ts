/**
 * Messages per second through a real chat server whose gate asks the built service about each message, compared with the same
 * server alone. Neither has an archive, and the tap is not loaded: only the gate is measured.
 */
import { createPusher } from '../support/pusher.ts';
import { freePort } from '../support/target.ts';
import { type Chat, type ChatServer, onEachServer } from './chat-servers.ts';
import { processCpuMicros } from './process-cpu.ts';
import { pass, startTalks } from './talks.ts';

export interface GateRate {
  readonly server: string;
  readonly alone: ChatRate;
  readonly gated: ChatRate;
  /** CPU of the service per decision, µs. */
  readonly decisionMicros: number;
}

export interface ChatRate {
  readonly perSecond: number;
  /** CPU of the chat server per message, µs. */
  readonly cpuMicros: number;
}

const warmUpSeconds = 1;

export function measureGate({ seconds }: { readonly seconds: number }): Promise<readonly GateRate[]> {
  return onEachServer((server) => compare(server, seconds));
}

async function compare({ name, start }: ChatServer, seconds: number): Promise<GateRate> {
  const alone = await measureOne(seconds, await start({}));
  const port = await freePort();
  await using pusher = await createPusher({ loglevel: 'warn', config: asked(port), files: { 'allow.mjs': allow } });
  await pusher.start();
  const chat = await start({ gateUrl: `http://127.0.0.1:${port}/gate` });
  const { otherMicros, ...gated } = await measureOne(seconds, chat, pusher.pid);
  await pusher.stop();
  return { server: name, alone, gated, decisionMicros: otherMicros };
}

/** `other` is the CPU of another process per message, µs. */
async function measureOne(seconds: number, server: Chat, other = 0): Promise<ChatRate & { readonly otherMicros: number }> {
  await using chat = server;
  await using talks = await startTalks(chat.c2sPort);
  await pass(warmUpSeconds);
  const pids = [chat.pid(), other === 0 ? process.pid : other];
  const before = { read: talks.read, cpu: pids.map(processCpuMicros) };
  await pass(seconds);
  const read = talks.read - before.read;
  const [cpuMicros = 0, otherMicros = 0] = pids.map((pid, i) => (processCpuMicros(pid) - (before.cpu[i] ?? 0)) / read);
  return { perSecond: Math.round(read / seconds), cpuMicros, otherMicros };
}

/** A service without a chat server, whose callback module decides about each message. */
function asked(port: number): string {
  return `
[attach.none]
type = "http"
listen = "127.0.0.1:0"
[gate]
listen = "127.0.0.1:${port}"
[outgoing_pools.http.http_pool.connection]
host = "http://127.0.0.1:1"
[modules.mod_event_pusher.backend.http]
callback_module = "allow"
`;
}

const allow = 'export const gate = () => true;\nexport const shouldMakeReq = () => false;\n';
