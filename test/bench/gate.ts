/**
 * Messages per second through a real chat server, with the gate asking the built service about each, beside the same
 * server alone. Neither keeps an archive, and the tap is not loaded: what is measured is the question.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEjabberd } from '../support/ejabberd.ts';
import { compile, tapFolder } from '../support/ejabberd-tap.ts';
import { requirePackage } from '../support/packages.ts';
import { startProsody } from '../support/prosody.ts';
import { createPusher } from '../support/pusher.ts';
import { freePort } from '../support/target.ts';
import { connectUser } from '../support/xmpp-user.ts';
import { processCpuMicros } from './process-cpu.ts';

export interface GateRate {
  readonly server: string;
  readonly alone: ChatRate;
  readonly gated: ChatRate;
  /** CPU of the service for each decision, µs. */
  readonly decisionMicros: number;
}

export interface ChatRate {
  readonly perSecond: number;
  /** CPU of the chat server for each message, µs. */
  readonly cpuMicros: number;
}

interface Chat extends AsyncDisposable {
  readonly c2sPort: number;
  pid(): number;
}

/** Starts one that asks at `url` about each message; undefined: one that does not ask. */
type StartChat = (url: string | undefined) => Promise<Chat>;

const pairs = 20;
/** Messages of one sender that are under way, at most. */
const ahead = 10;
const warmUpSeconds = 1;
const users = Object.fromEntries(Array.from({ length: 2 * pairs }, (_, i) => [`user${i}`, 'pw']));

export async function measureGate({ seconds }: { readonly seconds: number }): Promise<readonly GateRate[]> {
  const compiled = await mkdtemp(join(tmpdir(), 'bench-gate-'));
  const rates: GateRate[] = [];
  try {
    if (await requirePackage('prosody')) rates.push(await compare('Prosody', seconds, startAskingProsody));
    if (await requirePackage('ejabberd', '/usr/sbin/ejabberdctl')) {
      await compile(join(tapFolder, 'src/mod_event_pusher_gate.erl'), compiled);
      rates.push(await compare('ejabberd', seconds, (url) => startAskingEjabberd(url, compiled)));
    }
    return rates;
  } finally {
    await rm(compiled, { recursive: true, force: true });
  }
}

function startAskingProsody(url: string | undefined): Promise<Chat> {
  const asking = url === undefined ? {} : { modules: ['event_pusher_gate'] };
  const config = `default_archive_policy = false\nevent_pusher_gate_on_failure = "refuse"\nevent_pusher_gate_url = "${url}"`;
  return startProsody({ users, tap: false, config, ...asking });
}

function startAskingEjabberd(url: string | undefined, compiled: string): Promise<Chat> {
  const asking = url === undefined ? {} : { mod_event_pusher_gate: { url, on_failure: 'refuse' } };
  return startEjabberd({ users, serviceLog: false, codePaths: [compiled], modules: { mod_mam: { default: 'never' }, ...asking } });
}

async function compare(server: string, seconds: number, start: StartChat): Promise<GateRate> {
  const alone = await measureOne(seconds, await start(undefined));
  const port = await freePort();
  await using pusher = await createPusher({ loglevel: 'warn', config: asked(port), files: { 'allow.mjs': allow } });
  await pusher.start();
  const chat = await start(`http://127.0.0.1:${port}/gate`);
  const { beside, ...gated } = await measureOne(seconds, chat, pusher.pid);
  await pusher.stop();
  return { server, alone, gated, decisionMicros: beside };
}

/** `beside` is the CPU of another process for each message, µs. */
async function measureOne(seconds: number, server: Chat, other = 0): Promise<ChatRate & { readonly beside: number }> {
  await using chat = server;
  const counts = { received: 0 };
  const talks = await Promise.all(Array.from({ length: pairs }, (_, i) => startTalk(chat.c2sPort, i, counts)));
  for (const talk of talks) talk.begin();
  await pass(warmUpSeconds);
  const pids = [chat.pid(), other === 0 ? process.pid : other];
  const before = { received: counts.received, cpu: pids.map(processCpuMicros) };
  await pass(seconds);
  const received = counts.received - before.received;
  const [cpuMicros = 0, beside = 0] = pids.map((pid, i) => (processCpuMicros(pid) - (before.cpu[i] ?? 0)) / received);
  for (const talk of talks) await talk.end();
  return { perSecond: Math.round(received / seconds), cpuMicros, beside };
}

/** One user who writes to another, each message as soon as one of those before has been read. */
async function startTalk(port: number, pair: number, counts: { received: number }) {
  const writer = await connectUser({ port, user: `user${2 * pair}` });
  const reader = await connectUser({ port, user: `user${2 * pair + 1}` });
  let on = true;

  async function read(): Promise<void> {
    while (on) {
      await reader.next(({ name }) => name === 'message', 60_000);
      counts.received += 1;
      writer.sendChat(reader.bare, 'some words, as people write them');
    }
  }

  return {
    begin: () => {
      for (let i = 0; i < ahead; i += 1) {
        writer.sendChat(reader.bare, 'some words, as people write them');
        read().catch(() => undefined); // it ends with its connection
      }
    },
    end: async () => {
      on = false;
      await writer.cut();
      await reader.cut();
    },
  };
}

function pass(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** A service that is ready without a chat server, and decides about each message in a callback module. */
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
