import { startRig } from './rig.ts';
import { naiveWith, productWith, type Subject } from './subjects.ts';
import { type Row, tableOf, times } from './table.ts';
import { createThreadReports } from './thread-reports.ts';

/** Heap allocation of the JavaScript threads per event, KB by thread; without the memory of buffers. */
type Allocation = ReadonlyMap<string, number>;

export interface Allocations {
  readonly product: Allocation;
  readonly naive: Allocation;
}

export async function measureAllocations(events: number): Promise<Allocations> {
  return {
    product: await measure(productWith, { events, threads: ['service', 'spool'] }),
    naive: await measure(naiveWith, { events, threads: ['main'] }),
  };
}

async function measure(
  subjectWith: (options: { readonly env: NodeJS.ProcessEnv }) => Subject,
  { events, threads }: { readonly events: number; readonly threads: readonly string[] },
): Promise<Allocation> {
  await using reports = await createThreadReports();
  await using rig = await startRig({ subject: subjectWith(reports) });
  const { pid } = rig.running;
  await rig.drive(events / 10);
  await reports.take(pid, threads);
  await rig.drive(events / 10 + events);
  const taken = await reports.take(pid, threads);
  const sums = new Map<string, number>();
  for (const { thread, allocatedBytes } of taken) sums.set(thread, (sums.get(thread) ?? 0) + allocatedBytes / 1000 / events);
  return sums;
}

export function allocationRows({ product: ours, naive: reference }: Allocations): readonly Row[] {
  const [service = Number.NaN, main = Number.NaN] = [ours.get('service'), reference.get('main')];
  return [
    {
      measure: 'allocation in the service thread per event',
      measured: `${service.toFixed(1)} KB`,
      reference: `naive ${main.toFixed(1)} KB`,
      ratio: times(service / main),
      goal: '≤ 10 KB',
    },
  ];
}

export function allocationTable({ product: ours }: Allocations): string {
  const lines = [...ours].filter(([thread]) => thread !== 'main').map(([thread, size]) => [thread, `${size.toFixed(1)} KB`]);
  return tableOf([['thread', 'allocated per event'], ...lines]);
}
