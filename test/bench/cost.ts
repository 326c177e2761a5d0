/** Cost per request or event. */
export interface Cost {
  readonly perSecond: number;
  /** CPU of this process, all threads, µs. */
  readonly cpuMicros: number;
}

export async function measureCost(count: number, work: () => Promise<void>): Promise<Cost> {
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { perSecond: Math.round(count / seconds), cpuMicros: (user + system) / count };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
