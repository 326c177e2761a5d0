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
