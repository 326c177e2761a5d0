import { measureThroughput, type Throughput } from './end-to-end.ts';
import { median } from './statistics.ts';
import { productWith } from './subjects.ts';
import { micros, perSecond, type Row, times } from './table.ts';

/** CPU and rate with the history and without it. */
export interface HistoryCost {
  readonly on: Pick<Throughput, 'cpuMicros' | 'eventsPerSecond'>;
  readonly off: Pick<Throughput, 'cpuMicros' | 'eventsPerSecond'>;
}

const push = '[modules.mod_event_pusher.backend.http]\npath = "/notifications"\n';
const recorded = productWith({ handlers: `${push}[history]\nenabled = true\n` });
const unrecorded = productWith({ handlers: push });

/** Medians of alternating rounds. */
export async function measureHistory({ rounds, events }: { readonly rounds: number; readonly events: number }): Promise<HistoryCost> {
  const on: Throughput[] = [];
  const off: Throughput[] = [];
  for (let round = 0; round < rounds; round += 1) {
    on.push(await measureThroughput(events, recorded));
    off.push(await measureThroughput(events, unrecorded));
  }
  return { on: middle(on), off: middle(off) };
}

function middle(rounds: readonly Throughput[]): HistoryCost['on'] {
  return {
    cpuMicros: median(rounds.map(({ cpuMicros }) => cpuMicros)),
    eventsPerSecond: median(rounds.map(({ eventsPerSecond }) => eventsPerSecond)),
  };
}

export function historyRows({ on, off }: HistoryCost): readonly Row[] {
  return [
    {
      measure: 'CPU per event, with the history',
      measured: micros(on.cpuMicros),
      reference: `without ${micros(off.cpuMicros)}`,
      ratio: times(on.cpuMicros / off.cpuMicros),
      goal: '≤ 1.05 ×',
    },
    {
      measure: 'events per second, with the history',
      measured: perSecond(on.eventsPerSecond),
      reference: `without ${perSecond(off.eventsPerSecond)}`,
      ratio: times(on.eventsPerSecond / off.eventsPerSecond),
      goal: '≥ 0.95 ×',
    },
  ];
}
