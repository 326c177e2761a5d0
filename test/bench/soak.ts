/**
 * The built service at a steady rate for a long time: its memory, file descriptors and backlog. The load is plain, or goes to a backend
 * that fails at random, through both HTTP clients.
 */
import { readdirSync } from 'node:fs';
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
import { byLot, startScriptedBackend } from '../support/scripted-backend.ts';
import { residentBytes } from './process-usage.ts';
import { startSink } from './sink.ts';
import { megabytes, type Row, times } from './table.ts';
import { startTapSource } from './tap-source.ts';

/** A sample of the service. */
export interface Sample {
  readonly second: number;
  readonly rssMB: number;
  readonly descriptors: number;
  /** Pending deliveries. */
  readonly backlog: number;
  /** Requests since the last sample, per second. */
  readonly requestsPerSecond: number;
}

export interface Soak {
  readonly samples: readonly Sample[];
  /** Per minute, by least squares over the last two thirds of the run. */
  readonly rssSlopeMB: number;
  readonly descriptorSlope: number;
  readonly backlogSlope: number;
  /** Pending deliveries at the end of the faults, and after the backend has recovered. */
  readonly owed: number;
  readonly accepted: number;
  readonly dead: number;
}

const everySeconds = 5;
const conversations = 500;

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

/** Load and backend of a soak. */
export interface Load {
  readonly perSecond: number;
  readonly requestsPerMessage: number;
  startBackend(): Promise<Backend>;
  config(ends: { readonly componentPort: number; readonly backend: string }): string;
}

interface Backend extends AsyncDisposable {
  readonly origin: string;
  /** Number of requests so far. */
  requests(): number;
  /** Number of deliveries with a response of 200. */
  accepted(): number;
  heal(): void;
}

/** One handler with the defaults. */
export const plainLoad: Load = {
  perSecond: 1000,
  requestsPerMessage: 1,
  config: plainConfig,
  startBackend: async () => {
    const sink = await startSink();
    const requests = () => sink.requests;
    return { origin: sink.origin, requests, accepted: requests, heal: () => undefined, [Symbol.asyncDispose]: async () => sink.close() };
  },
};

/** Two pools, one of each client. */
export const mixedFaults: Load = {
  perSecond: 150,
  requestsPerMessage: 2,
  config: (ends) => plainConfig({ ...ends, handlers: poolOf('undici', ends.backend) + poolOf('got', ends.backend) }),
  startBackend: async () => {
    const backend = await startScriptedBackend({ script: sick, remembers: false });
    const { origin, sightings } = backend;
    const acceptedIds = () => new Set(sightings.filter(({ status: given }) => given === 200).map(({ id }) => id));
    return {
      ...{ origin, heal: backend.heal, requests: () => sightings.length, accepted: () => acceptedIds().size },
      [Symbol.asyncDispose]: () => backend.stop(),
    };
  },
};

export async function soak(
  { perSecond, requestsPerMessage, startBackend, config }: Load,
  { seconds, onSample = () => undefined }: { readonly seconds: number; readonly onSample?: (sample: Sample) => void },
): Promise<Soak> {
  await using backend = await startBackend();
  const source = await startTapSource({ window: 4000, stanza: message });
  await using pusher = await createPusher({
    loglevel: 'error',
    config: config({ componentPort: source.port, backend: backend.origin }),
  });
  await pusher.start();

  const samples: Sample[] = [];
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const pace = setInterval(() => source.allow(Math.floor(Math.min(elapsed(), seconds) * perSecond)), 10);
  let before = 0;
  for (let second = everySeconds; second <= seconds; second += everySeconds) {
    await eventually(() => elapsed() >= second, { withinMs: 2 * everySeconds * 1000 });
    const requests = backend.requests();
    const sample = await takeSample(pusher, { second, requestsPerSecond: Math.round((requests - before) / everySeconds) });
    before = requests;
    samples.push(sample);
    onSample(sample);
  }
  clearInterval(pace);

  backend.heal();
  const owed = source.sent * requestsPerMessage;
  await eventually(async () => source.acked === source.sent && (await total(pusher, 'waiting')) === 0, { withinMs: 120_000 });
  const dead = await total(pusher, 'dead');
  await pusher.stop();
  source.close();
  return { samples, ...slopes(samples), owed, accepted: backend.accepted(), dead };
}

async function takeSample(pusher: Pusher, measured: Pick<Sample, 'requestsPerSecond' | 'second'>): Promise<Sample> {
  return {
    ...measured,
    rssMB: residentBytes(pusher.pid) / 1e6,
    descriptors: readdirSync(`/proc/${pusher.pid}/fd`).length,
    backlog: await total(pusher, 'waiting'),
  };
}

async function total(pusher: Pusher, state: 'dead' | 'waiting'): Promise<number> {
  const { text } = await pusher.get('/metrics');
  const values = text.matchAll(new RegExp(`^event_pusher_spool_depth\\{pool="[^"]+",state="${state}"\\} (\\d+)`, 'gm'));
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

function slopes(samples: readonly Sample[]): Pick<Soak, 'backlogSlope' | 'descriptorSlope' | 'rssSlopeMB'> {
  const settled = samples.slice(Math.floor(samples.length / 3));
  const perMinute = (of: (sample: Sample) => number) => 60 * slope(settled.map((sample) => [sample.second, of(sample)]));
  return {
    rssSlopeMB: perMinute(({ rssMB }) => rssMB),
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

function poolOf(client: string, backend: string): string {
  const name = `through_${client}`;
  return `
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
}

function message(seq: number): string {
  const user = seq % conversations;
  return `<message xmlns='jabber:client' type='chat' id='m${seq}' from='user${user}@localhost/phone' to='peer${user}@localhost'><body>${seq} and some words, as people write them</body></message>`;
}

export function soakRows({ samples }: Soak): readonly Row[] {
  const [first = Number.NaN, last = Number.NaN] = [samples[0]?.rssMB, samples.at(-1)?.rssMB];
  return [
    {
      measure: 'memory after half a minute of mixed faults',
      measured: megabytes(last * 1e6),
      reference: `after 5 s ${megabytes(first * 1e6)}`,
      ratio: times(last / first),
      goal: 'flat over 30 min',
    },
  ];
}
