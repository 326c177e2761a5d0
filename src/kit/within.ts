import type { Timers } from './timers.ts';

/** Whether a promise was fulfilled within `ms`; a rejection passes through. The promise itself goes on. */
export function within(promise: Promise<unknown>, ms: number, timers: Timers): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const callOff = timers.after(ms, () => resolve(false));
    promise.then(
      () => {
        callOff();
        resolve(true);
      },
      (error: Error) => {
        callOff();
        reject(error);
      },
    );
  });
}
