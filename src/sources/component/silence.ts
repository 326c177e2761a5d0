import type { Clock, Timers } from '../../kit/clock.ts';

/** Finds out a dead peer: TCP alone may not notice for hours. */
export interface Silence {
  start(): void;
  stop(): void;
  /** Something came. */
  heard(): void;
}

export interface SilenceOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** After so long a silence, ms, the peer is asked … */
  readonly pingIntervalMs: number;
  /** … and given up when it says nothing for this much longer, ms. */
  readonly pingTimeoutMs: number;
}

/** One timer runs at a time and looks back when it rings: hearing something costs a clock reading and no timer. */
export function watchSilence(options: SilenceOptions, { ask, giveUp }: { ask(): void; giveUp(silentMs: number): void }): Silence {
  const { clock, timers, pingIntervalMs, pingTimeoutMs } = options;
  let lastHeard = 0;
  let callOff: () => void = () => undefined;

  const silentMs = () => clock.monotonic() - lastHeard;

  function listen(): void {
    callOff = timers.after(Math.max(1, pingIntervalMs - silentMs()), () => {
      if (silentMs() < pingIntervalMs) return listen();
      const heardBefore = lastHeard;
      ask();
      callOff = timers.after(pingTimeoutMs, () => (lastHeard > heardBefore ? listen() : giveUp(Math.round(silentMs()))));
    });
  }

  return {
    start: () => {
      callOff();
      lastHeard = clock.monotonic();
      listen();
    },
    stop: () => callOff(),
    heard: () => {
      lastHeard = clock.monotonic();
    },
  };
}
