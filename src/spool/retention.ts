import { type Clock, systemTimers, type Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Spool } from './spool.ts';

export interface RetentionParts {
  readonly spool: Pick<Spool, 'deadLetters' | 'purgeDead' | 'stats'>;
  /** Dead letters end when they have been dead so long, ms. */
  readonly maxAgeMs: number;
  /** Maximum number of dead letters; the oldest are deleted first. Undefined: no limit. */
  readonly maxLetters: number | undefined;
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers?: Timers;
}

/** How often it looks for old ones, and says how many were too many, ms. */
const ageEveryMs = 10 * 60_000;

/** How often it looks whether there are too many, ms: in memory, where nothing is to be done. */
const numberEveryMs = 5000;

/** Too many are ended so many at a time. */
const chunk = 1000;

/** Deletes dead letters by age, and by number if that is bounded, at the start and then periodically. A failure is retried at the next run. */
export function createRetention({ spool, maxAgeMs, maxLetters, clock, events, timers = systemTimers }: RetentionParts): Lifecycle {
  let callOff: () => void = () => undefined;
  let running = false;
  let purging: Promise<void> = Promise.resolve();
  let agesLookedAt = Number.NEGATIVE_INFINITY;
  let surplusSaidAt = Number.NEGATIVE_INFINITY;
  let unsaid = 0;

  async function purge(): Promise<void> {
    try {
      if (clock.monotonic() - agesLookedAt >= ageEveryMs) await purgeOld();
      await purgeSurplus();
      if (running) callOff = timers.after(maxLetters === undefined ? ageEveryMs : numberEveryMs, goOn);
    } catch (error) {
      if (!running) return;
      events.emit('notice', { text: `cannot delete old dead letters: ${toError(error).message}` });
      callOff = timers.after(ageEveryMs, goOn);
    }
  }

  async function purgeOld(): Promise<void> {
    agesLookedAt = clock.monotonic();
    const ended = await spool.purgeDead({ diedBefore: clock.now() - maxAgeMs }, 'age');
    if (ended > 0) events.emit('notice', { text: `deleted ${ended} dead letters that were older than dead_letter_max_age` });
  }

  /** By their ids: many may have died in the same millisecond. */
  async function purgeSurplus(): Promise<void> {
    for (let surplus = surplusNow(); running && surplus > 0; surplus = surplusNow()) {
      const oldest = await spool.deadLetters({}, { limit: Math.min(surplus, chunk) });
      const ended = await spool.purgeDead({ ids: oldest.map(({ id }) => id) }, 'count');
      if (ended === 0) break;
      unsaid += ended;
    }
    if (unsaid === 0 || clock.monotonic() - surplusSaidAt < ageEveryMs) return;
    surplusSaidAt = clock.monotonic();
    events.emit('notice', { text: `deleted ${unsaid} dead letters above dead_letter_max` });
    unsaid = 0;
  }

  function surplusNow(): number {
    return maxLetters === undefined ? 0 : spool.stats().depths.reduce((sum, { dead }) => sum + dead, 0) - maxLetters;
  }

  function goOn(): void {
    purging = purge();
  }

  return createLifecycle({
    start: async () => {
      running = true;
      goOn();
    },
    stop: async () => {
      running = false;
      callOff();
      await purging;
    },
  });
}
