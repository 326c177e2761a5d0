/**
 * The built service at a steady rate with a backend that fails at random, through both clients: its memory,
 * file descriptors and backlog over time.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from '../support/eventually.ts';
import {
  bodyThatNeverComes,
  chunked,
  chunkedBadly,
  chunkedCutShort,
  hugeHeaderLine,
  resetWithinBody,
  resetWithinHead,
  retryAfter,
  status,
  tooManyHeaders,
} from '../support/misbehaviour.ts';
import { createPusher, type Pusher, plainConfig } from '../support/pusher.ts';
import { byLot, type ScriptedBackend, startScriptedBackend } from '../support/scripted-backend.ts';
import { startTapSource } from './tap-source.ts';

/** A sample of the service. */
export interface Sample {
  readonly second: number;
  readonly rssMiB: number;
  readonly descriptors: number;
  /** Pending deliveries. */
  readonly backlog: number;
  /** Requests since the last sample, per second. */
  readonly requestsPerSecond: number;
}

export interface Soak {
  readonly samples: readonly Sample[];
  /** Per minute, by least squares over the last two thirds of the run. */
  readonly rssSlopeMiB: number;
  readonly descriptorSlope: number;
  readonly backlogSlope: number;
  /** Pending deliveries at the end of the faults, and after the backend has recovered. */
  readonly owed: number;
  readonly accepted: number;
  readonly dead: number;
}

const perSecond = 150;
const everySeconds = 5;
const conversations = 500;
const pools = ['through_undici', 'through_got'];

const sick = byLot(2026, [
  [700, { kind: 'answer' }],
  [100, status(500)],
  [60, status(503)],
  [20, status(422)],
  [4, retryAfter('0.3')],
  [20, { kind: 'reset' }],
  [10, { kind: 'half-close' }],
  [10, resetWithinHead],
  [10, resetWithinBody],
  [10, { kind: 'silent' }],
  [10, bodyThatNeverComes],
  [5, { kind: 'garbage' }],
  [5, chunkedBadly],
  [5, chunkedCutShort],
  [30, chunked],
  [1, tooManyHeaders],
  [1, hugeHeaderLine],
  [1, { kind: 'answer', status: 503, body: 'x'.repeat(3_000_000) }],
]);

export async function soak({
  seconds,
  onSample,
}: {
  readonly seconds: number;
  readonly onSample: (sample: Sample) => void;
}): Promise<Soak> {
  await using backend = await startScriptedBackend({ script: sick, remembers: false });
  const source = await startTapSource({ window: 4000, stanza: message });
  await using pusher = await createPusher({ loglevel: 'error', config: config(source.port, backend.origin) });
  await pusher.start();

  const samples: Sample[] = [];
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const pace = setInterval(() => source.allow(Math.floor(Math.min(elapsed(), seconds) * perSecond)), 10);
  let before = 0;
  for (let second = everySeconds; second <= seconds; second += everySeconds) {
    await eventually(() => elapsed() >= second, { withinMs: 2 * everySeconds * 1000 });
    const sample = await takeSample(pusher, backend, { second, before });
    before = backend.sightings.length;
    samples.push(sample);
    onSample(sample);
  }
  clearInterval(pace);

  backend.heal();
  const owed = source.sent * pools.length;
  await eventually(async () => source.acked === source.sent && (await total(pusher, 'waiting')) === 0, { withinMs: 120_000 });
  const dead = await total(pusher, 'dead');
  await pusher.stop();
  source.close();
  return { samples, ...slopes(samples), owed, accepted: acceptedOnce(backend), dead };
}

async function takeSample(
  pusher: Pusher,
  { sightings }: ScriptedBackend,
  { second, before }: { readonly second: number; readonly before: number },
): Promise<Sample> {
  const rssKiB = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pusher.pid}/status`, 'utf8'))?.[1]);
  return {
    second,
    rssMiB: rssKiB / 1024,
    descriptors: readdirSync(`/proc/${pusher.pid}/fd`).length,
    backlog: await total(pusher, 'waiting'),
    requestsPerSecond: Math.round((sightings.length - before) / everySeconds),
  };
}

async function total(pusher: Pusher, state: 'dead' | 'waiting'): Promise<number> {
  const { text } = await pusher.get('/metrics');
  const values = text.matchAll(new RegExp(`^event_pusher_spool_depth\\{pool="[^"]+",state="${state}"\\} (\\d+)`, 'gm'));
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

function acceptedOnce({ sightings }: ScriptedBackend): number {
  return new Set(sightings.filter(({ status: given }) => given === 200).map(({ id }) => id)).size;
}

function slopes(samples: readonly Sample[]): Pick<Soak, 'backlogSlope' | 'descriptorSlope' | 'rssSlopeMiB'> {
  const settled = samples.slice(Math.floor(samples.length / 3));
  const perMinute = (of: (sample: Sample) => number) => 60 * slope(settled.map((sample) => [sample.second, of(sample)]));
  return {
    rssSlopeMiB: perMinute(({ rssMiB }) => rssMiB),
    descriptorSlope: perMinute(({ descriptors }) => descriptors),
    backlogSlope: perMinute(({ backlog }) => backlog),
  };
}

/** Least squares. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const covariance = mean(points.map(([x, y]) => (x - meanX) * (y - meanY)));
  return covariance / mean(points.map(([x]) => (x - meanX) ** 2));
}

function config(componentPort: number, backend: string): string {
  const pool = (name: string, client: string) => `
[outgoing_pools.http.${name}]
workers = 20
client = "${client}"
retry = { schedule = ["100ms", "300ms", "1s", "2s", "5s", "5s"] }
[outgoing_pools.http.${name}.connection]
host = "${backend}"
request_timeout = 500
[[modules.mod_event_pusher.backend.http]]
pool_name = "${name}"
path = "/${name}"
hold = "2s"`;
  return plainConfig({ componentPort, backend, handlers: pool('through_undici', 'undici') + pool('through_got', 'got') });
}

function message(seq: number): string {
  const user = seq % conversations;
  return `<message xmlns='jabber:client' type='chat' id='m${seq}' from='user${user}@localhost/phone' to='peer${user}@localhost'><body>${seq} and some words, as people write them</body></message>`;
}
