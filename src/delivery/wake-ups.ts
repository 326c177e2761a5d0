import type { Clock, EpochMs, Timers } from '../kit/clock.ts';
import type { Admission } from './admission.ts';
import { createAlarm } from './alarm.ts';
import type { Throttle } from './throttle.ts';

/** When a pool looks by itself whether more may go. */
export interface WakeUps {
  at(instant: EpochMs): void;
  /** When the rate limit, a pause or a circuit breaker lets something go that may not go now. `now` is of a clock that never jumps. */
  whenMoreMayGo(now: number): void;
  clear(): void;
}

export interface WakeUpParts {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly throttle: Throttle;
  readonly admission: Admission;
}

export function createWakeUps({ throttle, admission, ...time }: WakeUpParts, ring: () => void): WakeUps {
  const alarm = createAlarm(time, ring);
  const inMs = (ms: number): void => alarm.set(time.clock.now() + ms);

  return {
    at: alarm.set,
    whenMoreMayGo: (now) => {
      const throttledMs = throttle.waitMs(now);
      if (throttledMs > 0) inMs(throttledMs);
      const shutMs = admission.opensInMs(now);
      if (shutMs !== undefined) inMs(shutMs);
    },
    clear: alarm.clear,
  };
}
