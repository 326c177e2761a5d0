/**
 * Messages per second through a real chat server whose gate asks the built service about each message, compared with the same
 * server alone. Neither has an archive, and the tap is not loaded: only the gate is measured.
 */
import { createPusher } from '../support/pusher.ts';
import { freePort } from '../support/target.ts';
import { type Chat, type ChatServer, onEachServer } from './chat-servers.ts';
import { processCpuMicros } from './process-usage.ts';
import { micros, none, perSecond, type Row, times } from './table.ts';
import { pass, startTalks } from './talks.ts';

export interface GateRate {
  readonly server: string;
  readonly alone: ChatRate;
  readonly gated: ChatRate;
}

export function gateRows(rates: readonly GateRate[]): readonly Row[] {
  return rates.flatMap(({ server, alone, gated }) => [
    {
      measure: `gate: messages per second through ${server}`,
      measured: perSecond(gated.perSecond),
      reference: `alone ${perSecond(alone.perSecond)}`,
      ratio: times(gated.perSecond / alone.perSecond),
      goal: none,
    },
    {
      measure: `gate: CPU of ${server} per message`,
      measured: micros(gated.cpuMicros),
      reference: `alone ${micros(alone.cpuMicros)}`,
      ratio: times(gated.cpuMicros / alone.cpuMicros),
      goal: none,
    },
  ]);
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
  const gated = await measureOne(seconds, chat);
  await pusher.stop();
  return { server: name, alone, gated };
}

async function measureOne(seconds: number, server: Chat): Promise<ChatRate> {
  await using chat = server;
  await using talks = await startTalks(chat.c2sPort);
  await pass(warmUpSeconds);
  const before = { read: talks.read, cpuMicros: processCpuMicros(chat.pid()) };
  await pass(seconds);
  const read = talks.read - before.read;
  return { perSecond: Math.round(read / seconds), cpuMicros: (processCpuMicros(chat.pid()) - before.cpuMicros) / read };
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
