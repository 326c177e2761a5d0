/**
 * Latency at a steady rate, from the creation of a stanza to the arrival of its request, and what delayed the slowest requests: a
 * pause for a collection, a commit, or another loop delay, in one of the threads or in the benchmark itself.
 */
import { eventually } from '../support/eventually.ts';
import { type Rig, startRig } from './rig.ts';
import { median, quantile } from './statistics.ts';
import { naive, product, productWith } from './subjects.ts';
import { micros, millis, none, type Row, tableOf, times } from './table.ts';
import { createThreadReports, type Span, type ThreadReport } from './thread-reports.ts';
import watch from './watch-thread.cjs';

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the whole process per event. */
  readonly cpuMicros: number;
}

export interface Latencies {
  readonly product: Latency;
  readonly naive: Latency;
  /** Of the slowest 1 % of a round of their own, by cause: their share, and the median of their latencies in ms. */
  readonly causes: ReadonlyMap<string, { readonly share: number; readonly medianMs: number }>;
}

export interface Rate {
  readonly perSecond: number;
  readonly seconds: number;
}

/** A request with its time of arrival, ms since 1970. */
interface Arrival {
  readonly at: number;
  readonly latencyMs: number;
}

export async function measureLatencies({ rounds, ...rate }: Rate & { readonly rounds: number }): Promise<Latencies> {
  const ours: Latency[] = [];
  const reference: Latency[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [subject, into] of [[product, ours] as const, [naive, reference] as const]) {
      const arrivals = createArrivals();
      await using rig = await startRig({ subject, onRequest: arrivals.onRequest });
      await rig.drive(warmUp);
      const before = rig.cpuMicros();
      const latencies = (await driveSteadily(rig, rate, arrivals)).map(({ latencyMs }) => latencyMs);
      const cpuMicros = (rig.cpuMicros() - before) / latencies.length;
      into.push({ p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), cpuMicros });
    }
  }
  return { product: middle(ours), naive: middle(reference), causes: await findCauses({ ...rate, seconds: rate.seconds * rounds }) };
}

/** At full speed, until V8 has compiled what is called often: at this rate alone that would take longer than the measurement. */
const warmUp = 20_000;
const stepMs = 5;

/** Returns the arrivals. */
async function driveSteadily(rig: Rig, rate: Rate, arrivals: ReturnType<typeof createArrivals>): Promise<Arrival[]> {
  arrivals.clear();
  await driveAtRate(rig, rate);
  return arrivals.all();
}

/** Sends in small steps; resolves when all requests have arrived. */
export async function driveAtRate(rig: Rig, { perSecond, seconds }: Rate): Promise<void> {
  const before = rig.requests;
  const began = performance.now();
  const elapsedMs = () => Math.min(performance.now() - began, seconds * 1000);
  const step = setInterval(() => rig.allow(before + Math.floor((elapsedMs() / 1000) * perSecond)), stepMs);
  await eventually(() => rig.requests >= before + seconds * perSecond, { withinMs: seconds * 1000 + 60_000 });
  clearInterval(step);
}

/** The requests at the sink. A message begins with the time of its creation. */
function createArrivals() {
  let arrivals: Arrival[] = [];
  return {
    clear: () => {
      arrivals = [];
    },
    all: () => arrivals,
    onRequest: (body: Buffer) => {
      const now = performance.now();
      const created = Number(/message=([\d.]+)/.exec(body.toString('latin1'))?.[1]);
      arrivals.push({ at: performance.timeOrigin + now, latencyMs: now - created });
    },
  };
}

function middle(rounds: readonly Latency[]): Latency {
  const medianOf = (name: keyof Latency) => median(rounds.map((round) => round[name]));
  return { p50Ms: medianOf('p50Ms'), p99Ms: medianOf('p99Ms'), cpuMicros: medianOf('cpuMicros') };
}

/** A round in which each thread records its pauses; not used for the figures, because that costs time too. */
async function findCauses(rate: Rate): Promise<Latencies['causes']> {
  await using reports = await createThreadReports();
  const arrivals = createArrivals();
  await using rig = await startRig({ subject: productWith(reports), onRequest: arrivals.onRequest });
  await rig.drive(warmUp);
  const threads = ['service', 'spool'];
  await reports.take(rig.running.pid, threads);
  const own = watch.createWatch();
  const slowest = (await driveSteadily(rig, rate, arrivals)).sort((a, b) => b.latencyMs - a.latencyMs);
  slowest.length = Math.ceil(slowest.length / 100);
  const taken = await reports.take(rig.running.pid, threads);
  return countCauses(slowest, causesOf([...taken, { thread: 'benchmark', ...own.take() }]));
}

type Cause = readonly [name: string, spans: readonly Span[]];

/** A thread that collects garbage is blocked too, so collections are first. The loop of the spool's thread is blocked by commits alone. */
function causesOf(reports: readonly ThreadReport[]): readonly Cause[] {
  const names: Readonly<Record<string, string>> = { deliver: 'pool', worker: 'pool' };
  const known = reports
    .filter(({ thread }) => thread !== 'main')
    .map((report) => ({ ...report, thread: names[report.thread] ?? report.thread }));
  const [commits, others] = [known.filter(({ thread }) => thread === 'spool'), known.filter(({ thread }) => thread !== 'spool')];
  return [
    ...known.map(({ thread, pauses }): Cause => [`collection, ${thread}`, pauses]),
    ...commits.map(({ blocked }): Cause => ['commit', blocked]),
    ...others.map(({ thread, blocked }): Cause => [`loop delay, ${thread}`, blocked]),
  ];
}

/** The cause of a latency is the first one that fills at least this share of it. */
const enough = 0.3;

function countCauses(slowest: readonly Arrival[], causes: readonly Cause[]): Latencies['causes'] {
  const found = new Map<string, number[]>();
  for (const { at, latencyMs } of slowest) {
    const began = at - latencyMs;
    const overlap = (spans: readonly Span[]) =>
      spans.reduce((sum, span) => sum + Math.max(0, Math.min(at, span.at + span.ms) - Math.max(began, span.at)), 0);
    const [name] = causes.find(([, spans]) => overlap(spans) >= enough * latencyMs) ?? ['not found'];
    found.set(name, [...(found.get(name) ?? []), latencyMs]);
  }
  return new Map([...found].map(([name, all]) => [name, { share: all.length / slowest.length, medianMs: median(all) }]));
}

export function latencyRows({ product: ours, naive: reference }: Latencies): readonly Row[] {
  const row = (name: 'p50' | 'p99', goal: string): Row => ({
    measure: `added latency at 1 000 events/s, ${name}`,
    measured: millis(ours[`${name}Ms`]),
    reference: `naive ${millis(reference[`${name}Ms`])}`,
    ratio: times(ours[`${name}Ms`] / reference[`${name}Ms`]),
    goal,
  });
  return [
    row('p50', '≤ 2 ms'),
    row('p99', '≤ 10 ms'),
    {
      measure: 'CPU per event at 1 000 events/s',
      measured: micros(ours.cpuMicros),
      reference: `naive ${micros(reference.cpuMicros)}`,
      ratio: times(ours.cpuMicros / reference.cpuMicros),
      goal: none,
    },
  ];
}

export function causeTable({ causes }: Latencies): string {
  const sorted = [...causes].sort(([, a], [, b]) => b.share - a.share);
  const lines = sorted.map(([name, { share, medianMs }]) => [name, `${(100 * share).toFixed(0)} %`, millis(medianMs)]);
  return tableOf([['cause', 'of the slowest 1 %', 'their median'], ...lines]);
}
