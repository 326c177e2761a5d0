import type { AttemptRecord } from './spool.ts';

/** Status of the last attempt that was answered; null where none was. */
export function lastStatus(history: readonly AttemptRecord[]): number | null {
  for (const { outcome } of history.toReversed()) {
    if (outcome.kind === 'answered') return outcome.status;
  }
  return null;
}
