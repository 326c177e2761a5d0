import { type Clock, systemTimers, type Timers } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Spool } from './spool.ts';

interface RetentionParts {
  readonly spool: Pick<Spool, 'deadLetters' | 'purgeDead' | 'stats'>;
  /** Dead letters are deleted this long after their death, ms. */
  readonly maxAgeMs: number;
  /** Maximum number of dead letters; the oldest are deleted first. Undefined: no limit. */
  readonly maxLetters: number | undefined;
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers?: Timers;
}

/** How often old dead letters are deleted, and how often the number of surplus ones is reported, ms. */
const ageEveryMs = 10 * 60_000;

/** How often the number of dead letters is compared with the limit, ms. The number is in memory. */
const surplusEveryMs = 5000;

/** Surplus dead letters deleted at a time. */
const chunk = 1000;

/** Deletes dead letters by age, and by number if there is a limit, at the start and then periodically. A failure is retried at the next run. */
export function createRetention(parts: RetentionParts): Lifecycle {
  const retention = new Retention(parts);
  return createLifecycle({ start: async () => retention.start(), stop: async () => retention.stop() });
}

class Retention {
  readonly #parts: RetentionParts;
  readonly #timers: Timers;
  #cancelTimer: () => void = () => undefined;
  #running = false;
  #agesCheckedAt = Number.NEGATIVE_INFINITY;
  #surplusReportedAt = Number.NEGATIVE_INFINITY;
  #unreported = 0;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? systemTimers;
  }

  start(): void {
    this.#running = true;
    this.#run();
  }

  /** Does not wait for a deletion: its calls may wait for the database of the spool, and end when the spool stops. */
  stop(): void {
    this.#running = false;
    this.#cancelTimer();
  }

  #run(): void {
    void this.#purge();
  }

  async #purge(): Promise<void> {
    const { maxLetters, clock, events } = this.#parts;
    try {
      if (clock.monotonic() - this.#agesCheckedAt >= ageEveryMs) await this.#purgeOld();
      await this.#purgeSurplus();
      if (this.#running) this.#runAfter(maxLetters === undefined ? ageEveryMs : surplusEveryMs);
    } catch (error) {
      if (!this.#running) return;
      events.emit('notice', { text: `cannot delete old dead letters: ${toError(error).message}` });
      this.#runAfter(ageEveryMs);
    }
  }

  #runAfter(delayMs: number): void {
    this.#cancelTimer = this.#timers.after(delayMs, () => this.#run());
  }

  async #purgeOld(): Promise<void> {
    const { spool, maxAgeMs, clock, events } = this.#parts;
    this.#agesCheckedAt = clock.monotonic();
    const deleted = await spool.purgeDead({ diedBefore: clock.now() - maxAgeMs }, 'age');
    if (deleted > 0) events.emit('notice', { text: `deleted ${deleted} dead letters that were older than dead_letter_max_age` });
  }

  /** Deletes by id, because many dead letters may have the same time of death. */
  async #purgeSurplus(): Promise<void> {
    const { spool, clock, events } = this.#parts;
    for (let surplus = this.#surplus(); this.#running && surplus > 0; surplus = this.#surplus()) {
      const oldest = await spool.deadLetters({}, { limit: Math.min(surplus, chunk) });
      const deleted = await spool.purgeDead({ ids: oldest.map(({ id }) => id) }, 'count');
      if (deleted === 0) break;
      this.#unreported += deleted;
    }
    if (this.#unreported === 0 || clock.monotonic() - this.#surplusReportedAt < ageEveryMs) return;
    this.#surplusReportedAt = clock.monotonic();
    events.emit('notice', { text: `deleted ${this.#unreported} dead letters above dead_letter_max` });
    this.#unreported = 0;
  }

  #surplus(): number {
    const { spool, maxLetters } = this.#parts;
    return maxLetters === undefined ? 0 : spool.stats().depths.reduce((sum, { dead }) => sum + dead, 0) - maxLetters;
  }
}
