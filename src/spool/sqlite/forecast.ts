const sampleEveryMs = 5000;
/** A rate is that of the last five minutes, and of half a minute at least, ms. */
const windowMs = 5 * 60_000;
const leastMs = 30_000;

interface Sample {
  readonly at: number;
  readonly roomBytes: number;
}

/** When the spool will be full, if it goes on to fill as in the last five minutes. Instants are of a clock that never jumps, ms. */
export class Forecast {
  #samples: readonly Sample[] = [];
  #newest: Sample | undefined;

  /** So many bytes may be taken in now. */
  note(roomBytes: number, at: number): void {
    this.#newest = { at, roomBytes };
    const last = this.#samples.at(-1);
    if (last !== undefined && at - last.at < sampleEveryMs) return;
    this.#samples = [...this.#samples.filter((sample) => at - sample.at < windowMs), this.#newest];
  }

  /** Undefined: never, since there is as much room as before or more, or not known yet. */
  get fullInMs(): number | undefined {
    const [oldest] = this.#samples;
    const newest = this.#newest;
    if (oldest === undefined || newest === undefined || newest.at - oldest.at < leastMs) return undefined;
    const lostBytes = oldest.roomBytes - newest.roomBytes;
    return lostBytes <= 0 ? undefined : (newest.roomBytes * (newest.at - oldest.at)) / lostBytes;
  }
}
