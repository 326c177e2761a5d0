import { done, type Unit } from './unit.ts';

/** One thing that must hold for the service to be ready. */
export interface StatusCheck {
  readonly name: string;
  readonly ready: boolean;
  readonly reason: string;
}

/** STATUS: reads nothing, and puts `ready` or `not ready`, then a part for each check. */
export function createStatusUnit(checks: () => readonly StatusCheck[]): Unit {
  return async ({ mput }) => {
    const all = checks();
    mput(all.every(({ ready }) => ready) ? 'ready' : 'not ready');
    for (const { name, ready, reason } of all) mput(`${name}: ${ready ? 'ready' : reason}`);
    return done;
  };
}
