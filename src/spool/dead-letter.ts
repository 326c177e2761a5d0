import type { AttemptRecord, DeadFilter, DeadLetter } from './spool.ts';

/** Status that the last attempt with one came to: the callbacks' where they gave one, else the answer's. Null: there was none. */
export function lastStatus(history: readonly AttemptRecord[]): number | null {
  for (const { outcome, judgement } of history.toReversed()) {
    if (judgement?.status !== undefined) return judgement.status;
    if (outcome.kind === 'answered') return outcome.status;
  }
  return null;
}

/** Whether every key that the filter gives holds for this dead letter. */
export function createDeadTest({ ids, pool, handler, host, reason, diedBefore, diedSince }: DeadFilter): (letter: DeadLetter) => boolean {
  const wanted = ids && new Set(ids);
  return (letter) =>
    (wanted === undefined || wanted.has(letter.id)) &&
    (pool === undefined || letter.pool === pool) &&
    (handler === undefined || letter.handler === handler) &&
    (host === undefined || letter.host === host) &&
    (reason === undefined || letter.reason === reason) &&
    (diedBefore === undefined || letter.diedAt < diedBefore) &&
    (diedSince === undefined || letter.diedAt >= diedSince);
}
