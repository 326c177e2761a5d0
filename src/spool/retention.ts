import type { Clock } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createLifecycle, type Lifecycle } from '../kit/lifecycle.ts';
import { systemTimers, type Timers } from '../kit/timers.ts';
import type { EventSink } from '../telemetry/events.ts';
import type { Spool } from './spool.ts';

export interface RetentionParts {
  readonly spool: Pick<Spool, 'purgeDead'>;
  /** Dead letters end when they have been dead so long, ms. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly events: EventSink;
  readonly timers?: Timers;
}

/** How often it looks, ms. */
const everyMs = 10 * 60_000;

/** Ends dead letters by age: at once, and every ten minutes from then on. What cannot be purged is tried again next time. */
export function createRetention({ spool, maxAgeMs, clock, events, timers = systemTimers }: RetentionParts): Lifecycle {
  let callOff: () => void = () => undefined;
  let running = false;
  let purging: Promise<void> = Promise.resolve();

  async function purge(): Promise<void> {
    try {
      const ended = await spool.purgeDead(clock.now() - maxAgeMs);
      if (ended > 0) events.emit('notice', { text: `${ended} dead letters ended: they were older than dead_letter_max_age` });
    } catch (error) {
      if (running) events.emit('notice', { text: `dead letters could not be ended: ${toError(error).message}` });
    }
    if (running) callOff = timers.after(everyMs, goOn);
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
