import type { Timers } from '../kit/clock.ts';

/** Who may not go on yet waits here, and nobody who came later goes before. */
export interface WaitingLine {
  /** Undefined: nobody waits and `mayGo` says yes, so go on at once. Else resolves when its turn has come and it may. */
  join(mayGo: () => boolean): Promise<void> | undefined;
  /** Nobody waits any longer, and none of them goes on. */
  close(): void;
}

/** How often the first in line looks whether it may go, ms. */
const lookEveryMs = 100;

export function createWaitingLine({ timers }: { readonly timers: Timers }): WaitingLine {
  let last: Promise<void> | undefined;
  let callOff: () => void = () => undefined;
  let closed = false;

  function until(mayGo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (closed) return;
        if (mayGo()) resolve();
        else callOff = timers.after(lookEveryMs, look);
      };
      look();
    });
  }

  return {
    join: (mayGo) => {
      if (last === undefined && mayGo()) return undefined;
      const mine = (last ?? Promise.resolve()).then(() => until(mayGo));
      last = mine;
      void mine.then(() => {
        if (last === mine) last = undefined;
      });
      return mine;
    },
    close: () => {
      closed = true;
      callOff();
    },
  };
}
