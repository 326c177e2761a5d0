import { driveAtRate, type Rate } from './latency.ts';
import { type Rig, startRig } from './rig.ts';
import { median } from './statistics.ts';
import { product } from './subjects.ts';
import { micros, type Row, times } from './table.ts';

/** CPU of the whole process per event, µs. */
export interface ViewersCost {
  readonly viewed: number;
  readonly unseen: number;
}

interface ViewersOptions extends Rate {
  readonly viewers: number;
  readonly rounds: number;
}

const warmUp = 5000;

/** Medians of alternating rounds with open dashboards and without. */
export async function measureViewers({ viewers, rounds, ...rate }: ViewersOptions): Promise<ViewersCost> {
  const viewed: number[] = [];
  const unseen: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [count, into] of [[viewers, viewed] as const, [0, unseen] as const]) {
      await using rig = await startRig({ subject: product });
      await rig.drive(warmUp);
      const before = rig.cpuMicros();
      const close = openDashboards(rig, count);
      await driveAtRate(rig, rate);
      await close();
      into.push((rig.cpuMicros() - before) / (rate.perSecond * rate.seconds));
    }
  }
  return { viewed: median(viewed), unseen: median(unseen) };
}

/** Each asks as the page does: for the flow of the last hour once, for the status every second. */
function openDashboards({ running }: Pick<Rig, 'running'>, count: number): () => Promise<void> {
  const asked: Promise<string>[] = [];
  const ask = (path: string): void => {
    for (let viewer = 0; viewer < count; viewer += 1) asked.push(running.get(path));
  };
  ask('/api/v1/status/flow');
  const timer = setInterval(() => ask('/api/v1/status'), 1000);
  return async () => {
    clearInterval(timer);
    const empty = (await Promise.all(asked)).filter((text) => !text.startsWith('{'));
    if (empty.length > 0) throw new Error(`${empty.length} answers without data, for example ${empty[0]}`);
  };
}

export function viewersRows(
  { viewed, unseen }: ViewersCost,
  { viewers, perSecond }: Pick<ViewersOptions, 'perSecond' | 'viewers'>,
): readonly Row[] {
  return [
    {
      measure: `CPU per event at ${perSecond} events/s, with ${viewers} open dashboards`,
      measured: micros(viewed),
      reference: `without ${micros(unseen)}`,
      ratio: times(viewed / unseen),
      goal: '≤ 1.05 ×',
    },
  ];
}
