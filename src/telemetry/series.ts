import type { Clock } from '../kit/clock.ts';

/** What stands for every value of a label beyond those that a series keeps apart. */
export const otherValue = 'other';

/** One cell for each combination of label values that was asked for. */
export interface Series<C, Values extends readonly string[] = readonly string[]> {
  /** The cell of these label values, in the order of the labels; made at the first call. A few nanoseconds. */
  at(...values: Values): C;
  cells(): Generator<readonly [values: readonly string[], cell: C]>;
}

interface Branch<C> {
  cell: C | undefined;
  readonly branches: Map<string, Branch<C>>;
}

/** Values that one label may have below the same values before it: whatever comes after these is counted as `other`. */
const mostValues = 1000;

/**
 * A tree of cells, a level for each label. Labels come from the configuration; should that ever fail, no label can
 * fill the memory of this process, or of the one that scrapes it.
 */
export function createSeries<C, Values extends readonly string[]>(makeCell: () => C): Series<C, Values> {
  const root: Branch<C> = { cell: undefined, branches: new Map() };

  function at(...values: Values): C {
    let branch = root;
    for (const value of values) branch = branch.branches.get(value) ?? grow(branch, value);
    branch.cell ??= makeCell();
    return branch.cell;
  }

  return { at, cells: () => cellsBelow(root, []) };
}

function grow<C>(branch: Branch<C>, wanted: string): Branch<C> {
  const value = branch.branches.size < mostValues ? wanted : otherValue;
  const grown = branch.branches.get(value) ?? { cell: undefined, branches: new Map<string, Branch<C>>() };
  branch.branches.set(value, grown);
  return grown;
}

function* cellsBelow<C>({ cell, branches }: Branch<C>, values: readonly string[]): Generator<readonly [readonly string[], C]> {
  if (cell !== undefined) yield [values, cell];
  for (const [value, below] of branches) yield* cellsBelow(below, [...values, value]);
}

/**
 * What the hot path counts with. prom-client spends 90 to 400 ns on each count, most of it on hashing labels; these
 * cost a few, and prom-client reads them when it is asked to render.
 */

export class Tally {
  #total = 0;

  /** `count` is never negative. */
  add(count = 1): void {
    this.#total += count;
  }

  get total(): number {
    return this.#total;
  }
}

/** A distribution over fixed buckets. */
export class Spread {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds`: the upper bound of each bucket, ascending; what is above the last one is counted too. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Less than nothing counts as 0: a wall clock that was set back must not make a sum fall. */
  observe(value: number): void {
    const seen = Math.max(0, value);
    let bucket = 0;
    while (seen > (this.#bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seen;
  }

  /** How many were at most each bound, the last entry being all of them; and the sum of what was observed. */
  read(): { readonly cumulative: readonly number[]; readonly sum: number } {
    let count = 0;
    const cumulative = Array.from(this.#counts, (inBucket) => {
      count += inBucket;
      return count;
    });
    return { cumulative, sum: this.#sum };
  }
}

/** A count that remembers its last minute, as exometer's spiral does: `total` since the start, `one` over the last 60 slots. */
export interface Spiral {
  add(count?: number): void;
  readonly total: number;
  /**
   * The sum of the last 60 slots, including the current one. Reading takes constant time.
   */
  one(): number;
}

const slots = 60;

/** A slot lasts one second by default. */
export function createSpiral(clock: Pick<Clock, 'monotonic'>, slotMs = 1000): Spiral {
  const counts = new Float64Array(slots);
  let newest = currentSlot();
  let total = 0;
  let sum = 0;

  function currentSlot(): number {
    return Math.floor(clock.monotonic() / slotMs);
  }

  /** Empties the slots that have begun since the last call. */
  function advance(): void {
    const current = currentSlot();
    const passed = Math.min(current - newest, slots);
    for (let step = 1; step <= passed; step += 1) {
      const slot = slotOf(newest + step);
      sum -= counts[slot] ?? 0;
      counts[slot] = 0;
    }
    newest = Math.max(newest, current);
  }

  return {
    add(count = 1) {
      advance();
      const slot = slotOf(newest);
      counts[slot] = (counts[slot] ?? 0) + count;
      sum += count;
      total += count;
    },
    get total() {
      return total;
    },
    one() {
      advance();
      return sum;
    },
  };
}

function slotOf(number: number): number {
  return ((number % slots) + slots) % slots;
}

/** Upper bounds of histograms, in seconds. Attempts: from a backend on this machine to a `call_timeout` of a minute. */
export const attemptBuckets: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Callbacks: most take microseconds, the slowest end at their deadline. */
export const callbackBuckets: readonly number[] = [0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5];

/** Transactions: from a fast disk to one that is failing. */
export const commitBuckets: readonly number[] = [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/** Waits that may be a backend's whole outage: up to three days. */
export const waitBuckets: readonly number[] = [
  0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200,
];
