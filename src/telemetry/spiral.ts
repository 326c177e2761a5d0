import type { Clock } from '../kit/clock.ts';

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
