import type { Clock } from '../src/kit/clock.ts';

/** Something that ends by itself when its time is up. `dueAt` is on the monotonic clock and may move while watched. */
export interface Due {
  readonly dueAt: number;
  /** Its time is up. Must make it forgotten, or move `dueAt`. */
  expire(): void;
}

/** One timer for all that is under way in a thread, in place of one or more per request. */
export interface Deadlines {
  /** Watches from now on. Call it again when `dueAt` came nearer; one that moved away needs no call. */
  watch(due: Due): void;
  forget(due: Due): void;
}

/**
 * The timer is armed for the nearest deadline and looks at everything when it fires: at most a worker's count of things,
 * at most once per timeout. Before something expires the loop gets one turn of I/O, so that an answer which lies in the
 * socket already is not called late because the thread was.
 */
export function createDeadlines(clock: Clock): Deadlines {
  const watched = new Set<Due>();
  let timer: NodeJS.Timeout | undefined;
  let firesAt = Number.POSITIVE_INFINITY;

  function arm(dueAt: number): void {
    if (dueAt >= firesAt) return;
    clearTimeout(timer);
    firesAt = dueAt;
    timer = setTimeout(fire, Math.max(1, Math.ceil(dueAt - clock.monotonic())));
    timer.unref();
  }

  function fire(): void {
    firesAt = Number.NEGATIVE_INFINITY; // the sweep arms anew; until then nothing has to
    setImmediate(sweep);
  }

  function sweep(): void {
    const now = clock.monotonic();
    let nearest = Number.POSITIVE_INFINITY;
    for (const due of watched) {
      if (due.dueAt <= now) due.expire();
      else if (due.dueAt < nearest) nearest = due.dueAt;
    }
    firesAt = Number.POSITIVE_INFINITY;
    if (nearest < Number.POSITIVE_INFINITY) arm(nearest);
  }

  return {
    watch: (due) => {
      watched.add(due);
      arm(due.dueAt);
    },
    forget: (due) => {
      watched.delete(due);
    },
  };
}
