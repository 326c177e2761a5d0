import type { Clock } from '../kit/clock.ts';

/** A count that remembers its last minute, as exometer's spiral does: `total` since the start, `one` over the last 60 s. */
export interface Spiral {
  add(count?: number): void;
  readonly total: number;
  /**
   * The sum of the last 60 one-second slots, the running one included: what was added leaves it 60 s after the second
   * in which it was added began. Exact, and as cheap to read as to add to.
   */
  one(): number;
}

const slots = 60;

export function createSpiral(clock: Pick<Clock, 'monotonic'>): Spiral {
  const counts = new Float64Array(slots);
  let newest = currentSecond();
  let total = 0;
  let sum = 0;

  function currentSecond(): number {
    return Math.floor(clock.monotonic() / 1000);
  }

  /** Empties the slots of the seconds that have begun since the last call. */
  function advance(): void {
    const second = currentSecond();
    const passed = Math.min(second - newest, slots);
    for (let step = 1; step <= passed; step += 1) {
      const slot = slotOf(newest + step);
      sum -= counts[slot] ?? 0;
      counts[slot] = 0;
    }
    newest = Math.max(newest, second);
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

function slotOf(second: number): number {
  return ((second % slots) + slots) % slots;
}
