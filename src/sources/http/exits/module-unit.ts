import type { ProgramUnit } from '../../../../pools/exits.ts';
import type { CallModule } from './module-call.ts';
import { done, type Unit } from './unit.ts';

/** A program unit of the user's. `call` runs it: watched, timed, held to a deadline. */
export function createModuleUnit(unit: ProgramUnit, call: CallModule): Unit {
  return async ({ mget, mput, init, acc }) => {
    await call('unit', acc.id, () => unit({ mget, mput, init, acc }));
    return done;
  };
}
