/** Growth of the cost of an operation with its input: the CPU time for eight times the size, as a multiple. */
export function growth(work: (size: number) => void, size: number): number {
  const small = cheapest(() => work(size));
  return cheapest(() => work(8 * size)) / Math.max(small, leastMs);
}

/** Linear work costs 8 times as much, quadratic work 64 times. */
export const linear = 24;

/** Times below this are noise, and are harmless. */
const leastMs = 5;

/** CPU time of this process, ms, which is independent of other processes; the minimum of several runs. */
function cheapest(work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 2; run += 1) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    const spent = (user + system) / 1000;
    least = Math.min(least, spent);
    if (spent > fuzzTimeoutMs) break;
  }
  return least;
}

/** An operation with this cost is not repeated. */
const fuzzTimeoutMs = 1000;
