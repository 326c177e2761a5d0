import type { Judgement, Outcome } from '../model/attempt.ts';
import type { Verdict } from './classify.ts';

/**
 * Whom an attempt speaks against. `connection`: the whole pool, for its backend cannot be reached. `path`: this handler on
 * this pool, for the backend is there and does not take its requests. `ours`: nobody, a callback or a thread of our own
 * failed. `none`: the backend did its work; that it refuses one request for good is no fault of its.
 */
export type Fault = 'connection' | 'none' | 'ours' | 'path';

/** A module's own status speaks of one message, not of the backend's health, so only the backend's own can be a fault. */
export function faultOf(outcome: Outcome, judgement: Judgement | undefined, verdict: Verdict): Fault {
  switch (outcome.kind) {
    case 'answered':
      if (judgement?.origin === 'internal') return 'ours';
      return verdict.kind === 'deferred' && judgement?.origin !== 'module' ? 'path' : 'none';
    case 'broken':
      return 'path';
    case 'refused':
    case 'sent':
      return 'none';
    case 'timed-out':
      return outcome.phase === 'connect' ? 'connection' : 'path';
    case 'unreachable':
      return 'connection';
    case 'unsent':
      return 'ours';
    default:
      return outcome satisfies never;
  }
}
