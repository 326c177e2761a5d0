/** How a piece of work grows with its input: the times that one was eight times as large costs more, by CPU time. */
export function growth(work: (size: number) => void, size: number): number {
  const small = cheapest(() => work(size));
  return cheapest(() => work(8 * size)) / Math.max(small, leastMs);
}

/** Linear work costs 8 times as much, quadratic work 64 times. */
export const linear = 24;

/** What is measured below this is noise, and does no harm. */
const leastMs = 5;

/** CPU time of this process, ms, which other processes do not lengthen; the least of several runs. */
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

/** Work that costs this much is not done again. */
const fuzzTimeoutMs = 1000;
