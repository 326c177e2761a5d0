/**
 * Counters, histograms and spirals by label values. prom-client takes 90 to 400 ns for each count, mostly to hash labels; these
 * take a few nanoseconds, and prom-client reads them when it renders.
 */
import type { Clock } from '../kit/clock.ts';

/** Value of a label beyond the values that a series keeps apart. */
export const otherValue = 'other';

/** Number of values that a label may have for the same preceding labels; further ones are counted as `other`. */
const maxValues = 1000;

interface Branch<C> {
  cell: C | undefined;
  readonly branches: Map<string, Branch<C>>;
}

/**
 * One cell for each combination of label values, in a tree with a level for each label. Labels come from the configuration; the
 * limit keeps a mistake from filling the memory of this process or of its scraper.
 */
export class Series<C, Values extends readonly string[] = readonly string[]> {
  readonly #makeCell: () => C;
  readonly #root: Branch<C> = { cell: undefined, branches: new Map() };

  constructor(makeCell: () => C) {
    this.#makeCell = makeCell;
  }

  /** The cell of these label values, in the order of the labels; created at the first call. */
  at(...values: Values): C {
    let branch = this.#root;
    for (const value of values) branch = branch.branches.get(value) ?? grow(branch, value);
    branch.cell ??= this.#makeCell();
    return branch.cell;
  }

  cells(): Generator<readonly [values: readonly string[], cell: C]> {
    return cellsBelow(this.#root, []);
  }
}

function grow<C>(branch: Branch<C>, wanted: string): Branch<C> {
  const value = branch.branches.size < maxValues ? wanted : otherValue;
  const grown = branch.branches.get(value) ?? { cell: undefined, branches: new Map<string, Branch<C>>() };
  branch.branches.set(value, grown);
  return grown;
}

function* cellsBelow<C>({ cell, branches }: Branch<C>, values: readonly string[]): Generator<readonly [readonly string[], C]> {
  if (cell !== undefined) yield [values, cell];
  for (const [value, below] of branches) yield* cellsBelow(below, [...values, value]);
}

/** A counter. */
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

  /** `bounds`: the upper bound of each bucket, ascending. Larger values are counted as well. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** A negative value counts as 0, so that the sum does not fall if the wall clock is set back. */
  observe(value: number): void {
    const seen = Math.max(0, value);
    let bucket = 0;
    while (seen > (this.#bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += seen;
  }

  /** The number of values up to each bound, with the number of all values as the last entry; and the sum of the values. */
  read(): { readonly cumulative: readonly number[]; readonly sum: number } {
    let count = 0;
    const cumulative = Array.from(this.#counts, (inBucket) => {
      count += inBucket;
      return count;
    });
    return { cumulative, sum: this.#sum };
  }
}

const slots = 60;

/** A counter with a sliding window, like exometer's spiral: `total` since the start, and `one()` over the last 60 slots. */
export class Spiral {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #slotMs: number;
  readonly #counts = new Float64Array(slots);
  #newest: number;
  #total = 0;
  #sum = 0;

  /** A slot lasts one second by default. */
  constructor(clock: Pick<Clock, 'monotonic'>, slotMs = 1000) {
    this.#clock = clock;
    this.#slotMs = slotMs;
    this.#newest = this.#currentSlot();
  }

  get total(): number {
    return this.#total;
  }

  add(count = 1): void {
    this.#advance();
    const slot = indexOf(this.#newest);
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
    this.#sum += count;
    this.#total += count;
  }

  /** The sum of the last 60 slots, including the current one. Takes constant time. */
  one(): number {
    this.#advance();
    return this.#sum;
  }

  /** Empties the slots that have begun since the last call. */
  #advance(): void {
    const current = this.#currentSlot();
    const passed = Math.min(current - this.#newest, slots);
    for (let step = 1; step <= passed; step += 1) {
      const slot = indexOf(this.#newest + step);
      this.#sum -= this.#counts[slot] ?? 0;
      this.#counts[slot] = 0;
    }
    this.#newest = Math.max(this.#newest, current);
  }

  #currentSlot(): number {
    return Math.floor(this.#clock.monotonic() / this.#slotMs);
  }
}

function indexOf(slot: number): number {
  return ((slot % slots) + slots) % slots;
}
