/**
 * The boundary around one delivery. Its steps work on what a backend answered and what a module made, so an error in our
 * own code can be provoked from outside: it ends the delivery as a dead letter, and nothing else.
 */
import { ServiceError, toError } from '../kit/errors.ts';
import type { Fate } from '../spool/spool.ts';

/** The end of a delivery that is given up. */
export type Dead = Extract<Fate, { kind: 'dead' }>;

/** Runs a step of one delivery. `doing` completes "error while …"; `end` gives the result of a step that threw. */
export function within<T>(doing: string, step: () => T, end: (fate: Dead) => T): T {
  try {
    return step();
  } catch (thrown) {
    return end(internalError(doing, thrown));
  }
}

/** Runs a step that gives nothing; gives the end that it made necessary by throwing. */
export function thrownBy(doing: string, step: () => void): Dead | undefined {
  return within<Dead | undefined>(
    doing,
    () => void step(),
    (dead) => dead,
  );
}

/** The fate of a delivery on which our own code threw. */
export function internalError(doing: string, thrown: unknown): Dead {
  const { name, message, stack = '' } = toError(thrown);
  const detail = `error while ${doing}: ${name}: ${message.slice(0, maxMessage)} (${placeIn(stack)}); please report it`;
  return { kind: 'dead', reason: 'internal-error', detail };
}

const maxMessage = 500;

/** File, line and column of the innermost call. */
function placeIn(stack: string): string {
  const call = stack.split('\n').find((line) => line.startsWith('    at ')) ?? 'unknown place';
  return call.slice(call.lastIndexOf('/') + 1).replace(/\)$/, '');
}

/** The code of an attempt that was not made because our own code threw. */
export const internalErrorCode = 'INTERNAL_ERROR';

/** Whether it is the spool itself that failed, so that no other delivery could be stored either. */
export function isOfTheSpool(thrown: unknown): boolean {
  return thrown instanceof ServiceError;
}
