/** How many attempts the last moments saw, and how many of them failed. Instants are of a clock that never jumps, ms. */
export interface AttemptWindow {
  readonly attempts: number;
  readonly failures: number;
  add(result: 'failed' | 'succeeded', now: number): void;
  clear(): void;
}

interface Slot {
  readonly number: number;
  attempts: number;
  failures: number;
}

/** The window slides in tenths of itself. */
const slotsPerWindow = 10;

export function createAttemptWindow(windowMs: number): AttemptWindow {
  const slotMs = windowMs / slotsPerWindow;
  const slots: Slot[] = [];
  let attempts = 0;
  let failures = 0;

  function slotAt(now: number): Slot {
    const number = Math.floor(now / slotMs);
    const last = slots.at(-1);
    if (last?.number === number) return last;
    const fresh = { number, attempts: 0, failures: 0 };
    slots.push(fresh);
    for (let first = slots[0]; first !== undefined && first.number <= number - slotsPerWindow; first = slots[0]) {
      attempts -= first.attempts;
      failures -= first.failures;
      slots.shift();
    }
    return fresh;
  }

  return {
    get attempts() {
      return attempts;
    },
    get failures() {
      return failures;
    },
    add: (result, now) => {
      const slot = slotAt(now);
      slot.attempts += 1;
      attempts += 1;
      if (result === 'succeeded') return;
      slot.failures += 1;
      failures += 1;
    },
    clear: () => {
      slots.length = 0;
      attempts = 0;
      failures = 0;
    },
  };
}
