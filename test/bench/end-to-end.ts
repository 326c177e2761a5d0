import { startRig } from './rig.ts';
import { median } from './statistics.ts';
import { naive, product, type Subject } from './subjects.ts';
import { micros, none, perSecond, type Row, tableOf, times } from './table.ts';
import { perEvent, type ThreadCpu } from './thread-cpu.ts';

export interface Throughput {
  readonly eventsPerSecond: number;
  /** CPU of the whole process, all threads, per event, µs. */
  readonly cpuMicros: number;
  /** The same by kind of thread. */
  readonly byThread: ThreadCpu;
  /** Share of the deliveries that were never read back from disk; NaN if the program does not count them. */
  readonly claimedAtAppend: number;
}

/** Sends `events` messages at full speed, after a warm-up of a fifth. */
export async function measureThroughput(events: number, subject: Subject = product): Promise<Throughput> {
  const warmUp = Math.ceil(events / 500) * 100; // the naive pusher acknowledges by hundreds
  const check = createFormCheck(warmUp);
  await using rig = await startRig({ subject, onRequest: check.onRequest });
  await rig.drive(warmUp);
  check.conclude();
  const [cpuBefore, threadsBefore, began] = [rig.cpuMicros(), rig.threadCpuMicros(), performance.now()];
  await rig.drive(warmUp + events);
  const seconds = (performance.now() - began) / 1000;
  const [cpuAfter, threadsAfter] = [rig.cpuMicros(), rig.threadCpuMicros()];
  if (rig.requests !== warmUp + events) throw new Error(`${rig.requests} requests for ${warmUp + events} messages`);
  return {
    eventsPerSecond: Math.round(events / seconds),
    cpuMicros: (cpuAfter - cpuBefore) / events,
    byThread: perEvent(threadsBefore, threadsAfter, events),
    claimedAtAppend: claimedWithCommit(await rig.running.get('/metrics')),
  };
}

/** Checks that the first requests are the default form, each for another message, so both programs do the same work. */
function createFormCheck(count: number) {
  const wrong: string[] = [];
  const messages = new Set<string>();
  let seen = 0;
  return {
    onRequest: (body: Buffer, head: Buffer) => {
      if (seen >= count) return;
      seen += 1;
      const form = /^author=user(\d+)&server=localhost&receiver=peer\1&message=([\d.]+)\+and\+some\+words%2C/.exec(body.toString('latin1'));
      const request = head.toString('latin1');
      const isForm = /^POST \/webservice\/notifications HTTP[\s\S]*\r\ncontent-type: application\/x-www-form-urlencoded(\r|$)/i.test(
        request,
      );
      if (form === null || !isForm) wrong.push(`${request}\n${body}`);
      messages.add(`${form?.[1]} ${form?.[2]}`);
    },
    conclude: () => {
      if (wrong.length > 0) throw new Error(`${wrong.length} wrong requests, for example ${wrong[0]}`);
      if (messages.size < count) throw new Error(`${messages.size} different messages, not ${count}`);
    },
  };
}

/** Share of the deliveries that were claimed with the commit that stored them, or with one for their lane: neither is read back. */
function claimedWithCommit(metrics: string): number {
  const claims = [...metrics.matchAll(/^event_pusher_deliveries_claimed_total\{.*how="(\w+)".*\} (\d+)/gm)];
  const sum = (wanted: (how: string) => boolean) => claims.reduce((all, [, how = '', count]) => all + (wanted(how) ? Number(count) : 0), 0);
  return sum((how) => how !== 'spool') / sum(() => true);
}

export interface Comparison {
  readonly product: Throughput;
  readonly naive: Throughput;
}

/** Medians of alternating rounds of both programs. */
export async function compareThroughput({ rounds, events }: { readonly rounds: number; readonly events: number }): Promise<Comparison> {
  const ours: Throughput[] = [];
  const reference: Throughput[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await measureThroughput(events, product));
    reference.push(await measureThroughput(events, naive));
  }
  return { product: middle(ours), naive: middle(reference) };
}

function middle(rounds: readonly Throughput[]): Throughput {
  const medianOf = (value: (round: Throughput) => number) => median(rounds.map(value));
  const kinds = new Set(rounds.flatMap(({ byThread }) => [...byThread.keys()]));
  return {
    eventsPerSecond: medianOf(({ eventsPerSecond }) => eventsPerSecond),
    cpuMicros: medianOf(({ cpuMicros }) => cpuMicros),
    byThread: new Map(Array.from(kinds, (kind) => [kind, medianOf(({ byThread }) => byThread.get(kind) ?? 0)])),
    claimedAtAppend: medianOf((round) => round.claimedAtAppend),
  };
}

export function throughputRows({ product: ours, naive: reference }: Comparison): readonly Row[] {
  return [
    {
      measure: 'CPU per event, whole process',
      measured: micros(ours.cpuMicros),
      reference: `naive ${micros(reference.cpuMicros)}`,
      ratio: times(ours.cpuMicros / reference.cpuMicros),
      goal: '≤ 1.3 ×',
    },
    {
      measure: 'events per second, end to end',
      measured: perSecond(ours.eventsPerSecond),
      reference: `naive ${perSecond(reference.eventsPerSecond)}`,
      ratio: times(ours.eventsPerSecond / reference.eventsPerSecond),
      goal: '≥ 1 ×',
    },
    {
      measure: 'deliveries born claimed',
      measured: Number.isNaN(ours.claimedAtAppend) ? none : `${(100 * ours.claimedAtAppend).toFixed(1)} %`,
      reference: none,
      ratio: none,
      goal: '≥ 99 %',
    },
  ];
}

/** CPU per event by thread, of both programs. */
export function threadTable({ product: ours, naive: reference }: Comparison): string {
  const kinds = [...new Set([...ours.byThread.keys(), ...reference.byThread.keys()])];
  const cell = ({ byThread }: Throughput, kind: string) => micros(byThread.get(kind) ?? 0);
  const lines = kinds.map((kind) => [kind, cell(ours, kind), cell(reference, kind)]);
  const total = ['all', micros(ours.cpuMicros), micros(reference.cpuMicros)];
  return tableOf([['thread', 'product', 'naive'], ...lines, total]);
}
