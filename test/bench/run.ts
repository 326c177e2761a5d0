/**
 * `npm run bench`: the cost of the service, each figure with its reference from the same run. All traffic stays on
 * loopback, and the run ends by itself. Figures are medians of alternating rounds.
 */
import { cpus } from 'node:os';
import { measureBacklog } from './backlog.ts';
import { measureBareUndici } from './bare-undici.ts';
import { type Cost, median } from './cost.ts';
import { measureDispatch } from './dispatch.ts';
import { type EndToEnd, measureLatency, measureThroughput } from './end-to-end.ts';
import { measureGate } from './gate.ts';
import { type Isolation, measureIsolation } from './isolation.ts';
import { forkSink } from './sink-process.ts';
import { soak } from './soak.ts';
import { measureTap } from './tap.ts';

const rounds = 3;
const workers = 50;
const requests = 100_000;
const events = 100_000;

interface Row {
  readonly measure: string;
  readonly measured: string;
  readonly reference: string;
  readonly ratio: string;
  readonly goal: string;
}

const bare: Cost[] = [];
const dispatch: Cost[] = [];
const whole: EndToEnd[] = [];
const isolation: Isolation[] = [];
for (let round = 1; round <= rounds; round += 1) {
  process.stderr.write(`round ${round} of ${rounds}\n`);
  const sink = await forkSink();
  bare.push(await measureBareUndici({ origin: sink.origin, workers, requests }));
  dispatch.push(await measureDispatch({ origin: sink.origin, workers, requests }));
  sink.stop();
  whole.push(await measureThroughput(events));
  isolation.push(await measureIsolation(events / 2));
}
const latency = await measureLatency({ perSecond: 1000, seconds: 10 });
const backlog = await measureBacklog(1_000_000);
const soaked = await soak({ seconds: 30, onSample: () => undefined });
const taps = await measureTap({ rounds, seconds: 4 });
const gates = await measureGate({ seconds: 4 });

const cpu = (costs: readonly { readonly cpuMicros: number }[]) => median(costs.map(({ cpuMicros }) => cpuMicros));
const micros = (value: number) => `${value.toFixed(1)} µs`;
const times = (value: number) => `${value.toFixed(2)} ×`;
const undici = cpu(bare);
const steady = median(whole.map(({ eventsPerSecond }) => eventsPerSecond));
const alone = median(isolation.map((round) => round.alone));
const beside = median(isolation.map((round) => round.beside));

const rows: readonly Row[] = [
  {
    measure: "CPU per request, a pool's dispatch path",
    measured: micros(cpu(dispatch)),
    reference: `bare undici ${micros(undici)}`,
    ratio: times(cpu(dispatch) / undici),
    goal: '≤ 1.4 ×',
  },
  {
    measure: 'CPU per event, whole process',
    measured: micros(cpu(whole)),
    reference: `bare undici ${micros(undici)}`,
    ratio: times(cpu(whole) / undici),
    goal: '≤ 2.5 ×',
  },
  {
    measure: 'events per second, end to end',
    measured: String(steady),
    reference: `bare undici ${median(bare.map(({ perSecond }) => perSecond))}`,
    ratio: times(steady / median(bare.map(({ perSecond }) => perSecond))),
    goal: '≥ 15 000',
  },
  {
    measure: 'added latency at 1 000 events/s, p99',
    measured: `${latency.p99Ms.toFixed(1)} ms`,
    reference: `p50 ${latency.p50Ms.toFixed(1)} ms`,
    ratio: '–',
    goal: '≤ 10 ms',
  },
  {
    measure: 'events per second beside a pool whose backend hangs',
    measured: String(beside),
    reference: `alone ${alone}`,
    ratio: times(beside / alone),
    goal: '≥ 0.9 ×',
  },
  {
    measure: `start with ${backlog.waiting} waiting`,
    measured: `${(backlog.startMs / 1000).toFixed(2)} s`,
    reference: `file ${backlog.fileMiB.toFixed(0)} MiB`,
    ratio: '–',
    goal: '≤ 5 s',
  },
  {
    measure: `resident memory with ${backlog.waiting} waiting`,
    measured: `${backlog.residentMiB.toFixed(0)} MiB`,
    reference: `file ${backlog.fileMiB.toFixed(0)} MiB`,
    ratio: '–',
    goal: '≤ 300 MB',
  },
  {
    measure: `drained per second with ${backlog.waiting} waiting`,
    measured: String(backlog.drainedPerSecond),
    reference: `end to end ${steady}`,
    ratio: times(backlog.drainedPerSecond / steady),
    goal: '≥ 0.8 ×',
  },
  {
    measure: 'memory after half a minute of mixed faults',
    measured: `${(soaked.samples.at(-1)?.rssMiB ?? Number.NaN).toFixed(0)} MiB`,
    reference: `after 5 s ${(soaked.samples[0]?.rssMiB ?? Number.NaN).toFixed(0)} MiB`,
    ratio: times((soaked.samples.at(-1)?.rssMiB ?? Number.NaN) / (soaked.samples[0]?.rssMiB ?? Number.NaN)),
    goal: 'flat over 10 min',
  },
  ...taps.flatMap(({ server, alone, tapped }) => [
    {
      measure: `messages per second through ${server}, to the backend`,
      measured: String(tapped.perSecond),
      reference: `alone ${alone.perSecond}`,
      ratio: times(tapped.perSecond / alone.perSecond),
      goal: '–',
    },
    {
      measure: `CPU of ${server} per message, with the tap`,
      measured: micros(tapped.cpuMicros),
      reference: `alone ${micros(alone.cpuMicros)}`,
      ratio: times(tapped.cpuMicros / alone.cpuMicros),
      goal: '–',
    },
  ]),
  ...gates.flatMap(({ server, alone, gated }) => [
    {
      measure: `gate: messages per second through ${server}`,
      measured: String(gated.perSecond),
      reference: `alone ${alone.perSecond}`,
      ratio: times(gated.perSecond / alone.perSecond),
      goal: '–',
    },
    {
      measure: `gate: CPU of ${server} per message`,
      measured: micros(gated.cpuMicros),
      reference: `alone ${micros(alone.cpuMicros)}`,
      ratio: times(gated.cpuMicros / alone.cpuMicros),
      goal: '–',
    },
  ]),
];

process.stdout.write(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, medians of ${rounds} rounds\n\n`);
print(rows);

function print(table: readonly Row[]): void {
  const columns = ['measure', 'measured', 'reference', 'ratio', 'goal'] as const;
  const width = (column: (typeof columns)[number]) => Math.max(column.length, ...table.map((row) => row[column].length));
  const line = (cells: (column: (typeof columns)[number]) => string) =>
    `| ${columns.map((column) => cells(column).padEnd(width(column))).join(' | ')} |\n`;
  process.stdout.write(line((column) => column));
  process.stdout.write(line((column) => '-'.repeat(width(column))));
  for (const row of table) process.stdout.write(line((column) => row[column]));
}
