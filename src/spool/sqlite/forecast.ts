const sampleEveryMs = 5000;
/** The rate is measured over the last five minutes, and at least half a minute, ms. */
const windowMs = 5 * 60_000;
const leastMs = 30_000;

interface Sample {
  readonly at: number;
  readonly roomBytes: number;
}

/** Predicts when the spool will be full at the rate of the last five minutes. Instants are monotonic, ms. */
export class Forecast {
  #samples: readonly Sample[] = [];
  #newest: Sample | undefined;

  /** Records the number of bytes that may be taken in now. */
  note(roomBytes: number, at: number): void {
    this.#newest = { at, roomBytes };
    const last = this.#samples.at(-1);
    if (last !== undefined && at - last.at < sampleEveryMs) return;
    this.#samples = [...this.#samples.filter((sample) => at - sample.at < windowMs), this.#newest];
  }

  /** Undefined: the spool does not grow, or the rate is not known yet. */
  get fullInMs(): number | undefined {
    const [oldest] = this.#samples;
    const newest = this.#newest;
    if (oldest === undefined || newest === undefined || newest.at - oldest.at < leastMs) return undefined;
    const lostBytes = oldest.roomBytes - newest.roomBytes;
    return lostBytes <= 0 ? undefined : (newest.roomBytes * (newest.at - oldest.at)) / lostBytes;
  }
}
