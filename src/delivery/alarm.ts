import type { Clock, EpochMs, Timers } from '../kit/clock.ts';

/** Rings once, at the earliest instant it was set to. */
export interface Alarm {
  /** Asks to be rung at `at`; a later wish than the present one changes nothing. */
  set(at: EpochMs): void;
  clear(): void;
}

/** The wall clock may jump, so no wait is trusted for longer than this. */
const longestWaitMs = 30_000;

export function createAlarm({ clock, timers }: { readonly clock: Clock; readonly timers: Timers }, ring: () => void): Alarm {
  let due: EpochMs | undefined;
  let callOff: () => void = () => undefined;

  function wait(at: EpochMs): void {
    callOff();
    due = at;
    callOff = timers.after(Math.min(Math.max(0, at - clock.now()), longestWaitMs), () => {
      due = undefined;
      ring();
    });
  }

  return {
    set: (at) => {
      if (due === undefined || at < due) wait(at);
    },
    clear: () => {
      callOff();
      due = undefined;
    },
  };
}
