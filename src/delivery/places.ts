/** How many deliveries a pool may have in its hands: enough to keep the workers busy over a commit, little enough to forget on a crash. */
export interface Places {
  /** Claimed and not settled. */
  readonly places: number;
  /** What they may weigh together. */
  readonly bytes: number;
  /** At the threads. */
  readonly handed: number;
}

/** One in a worker's hands and one at hand, so that no worker waits for the main thread's next turn. */
const handedPerWorker = 2;

const placesPerWorker = 8;
const fewestPlaces = 256;
const bufferBytes = 16 * 1024 * 1024;

export function placesFor(workers: number): Places {
  return {
    places: Math.max(fewestPlaces, workers * placesPerWorker),
    bytes: bufferBytes,
    handed: workers * handedPerWorker,
  };
}
