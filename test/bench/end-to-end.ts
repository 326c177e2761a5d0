/**
 * The whole built service as a separate process: stanzas in over the tap, SQLite, POSTs out. Source and sink share
 * the process of the benchmark, so all of them run on the same cores.
 */
import { eventually } from '../support/eventually.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { processCpuMicros } from './process-cpu.ts';
import { startSink } from './sink.ts';
import { startTapSource } from './tap-source.ts';

export interface EndToEnd {
  readonly events: number;
  readonly eventsPerSecond: number;
  /** CPU of the service's process, all threads, per event, µs. */
  readonly cpuMicros: number;
}

const conversations = 2000;
const workers = 50;
/** Maximum number of stanzas sent and not delivered yet: enough for full load, too few for a backlog, which is measured separately. */
const ahead = 600;

/** Sends `events` messages at full speed, after a warm-up of a tenth. */
export async function measureThroughput(events: number): Promise<EndToEnd> {
  await using rig = await startRig({ workers, window: 4000 });
  const warmUp = Math.ceil(events / 10);
  await rig.drive(warmUp);
  const cpuBefore = rig.cpuMicros();
  const began = performance.now();
  await rig.drive(warmUp + events);
  const seconds = (performance.now() - began) / 1000;
  return { events, eventsPerSecond: Math.round(events / seconds), cpuMicros: (rig.cpuMicros() - cpuBefore) / events };
}

export interface Latency {
  readonly events: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Latency from stanza to request at a steady rate, in small steps. */
export async function measureLatency({ perSecond, seconds }: { readonly perSecond: number; readonly seconds: number }): Promise<Latency> {
  const latencies: number[] = [];
  await using rig = await startRig({
    workers,
    window: 4000,
    onBody: (body) => latencies.push(performance.now() - Number(/message=([\d.]+)/.exec(body.toString('latin1'))?.[1])),
  });
  await rig.drive(500);
  latencies.length = 0;
  const stepMs = 5;
  const began = performance.now();
  let allowed = 500;
  await new Promise<void>((resolve) => {
    const step = setInterval(() => {
      const elapsed = performance.now() - began;
      allowed = 500 + Math.floor((elapsed / 1000) * perSecond);
      rig.allow(allowed);
      if (elapsed < seconds * 1000) return;
      clearInterval(step);
      resolve();
    }, stepMs);
  });
  await eventually(() => rig.requests() >= allowed);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
  return { events: latencies.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}

interface RigOptions {
  readonly workers: number;
  readonly window: number;
  readonly onBody?: (body: Buffer) => void;
}

async function startRig({ workers: inFlight, window, onBody }: RigOptions) {
  const sink = await startSink(onBody);
  const source = await startTapSource({ window, stanza: message });
  const pool = `[outgoing_pools.http.http_pool]\nworkers = ${inFlight}\n`;
  const config = plainConfig({ componentPort: source.port, backend: sink.origin }).replace(
    /\[outgoing_pools\.http\.http_pool\]\nworkers = 20\n/,
    pool,
  );
  const pusher = await createPusher({ loglevel: 'warn', config });
  await pusher.start();

  return {
    allow: (until: number) => source.allow(until),
    requests: () => sink.requests,
    cpuMicros: () => processCpuMicros(pusher.pid),
    drive: async (until: number) => {
      const pace = setInterval(() => source.allow(Math.min(until, sink.requests + ahead)), 1);
      await eventually(() => sink.requests >= until && source.acked >= until, { withinMs: 120_000 });
      clearInterval(pace);
    },
    [Symbol.asyncDispose]: async () => {
      await pusher.stop();
      await pusher[Symbol.asyncDispose]();
      source.close();
      sink.close();
    },
  };
}

/** The number is the time of creation, from which the sink computes the latency. */
function message(seq: number): string {
  const user = seq % conversations;
  return `<message xmlns='jabber:client' type='chat' id='m${seq}' from='user${user}@localhost/phone' to='peer${user}@localhost' xml:lang='en'><body>${performance.now()} and some words, as people write them</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`;
}
