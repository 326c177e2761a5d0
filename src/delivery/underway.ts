/** The attempts at a pool's threads, and what happens to those whose thread dies. */
import type { Attempt, Reply } from './attempt.ts';
import { internalErrorCode } from './boundary.ts';
import { threadLost } from './classify.ts';

export interface Underway {
  readonly size: number;
  /** Those that are no first attempts. */
  readonly retries: number;
  /** Gives the key that names it between the threads. */
  add(attempt: Attempt): number;
  /** Undefined: its thread was given up, and it went out again under another key. */
  take(key: number): Attempt | undefined;
  /** Takes one whose thread died: to be sent `again`, or given up when that has happened too often. */
  lose(key: number): { readonly attempt: Attempt; readonly again: boolean } | undefined;
  clear(): Attempt[];
}

/** A delivery that was at a thread's death so often is no bystander. */
const deathsAllowed = 3;

export function createUnderway(): Underway {
  const byKey = new Map<number, Attempt>();
  const deaths = new Map<number, number>();
  let lastKey = 0;
  let retries = 0;

  function take(key: number): Attempt | undefined {
    const attempt = byKey.get(key);
    if (attempt === undefined) return undefined;
    byKey.delete(key);
    if (attempt.number > 1) retries -= 1;
    return attempt;
  }

  return {
    get size() {
      return byKey.size;
    },
    get retries() {
      return retries;
    },
    add: (attempt) => {
      lastKey += 1;
      byKey.set(lastKey, attempt);
      if (attempt.number > 1) retries += 1;
      return lastKey;
    },
    take: (key) => {
      const attempt = take(key);
      if (attempt !== undefined && deaths.size > 0) deaths.delete(attempt.delivery.seq);
      return attempt;
    },
    lose: (key) => {
      const attempt = take(key);
      if (attempt === undefined) return undefined;
      const { seq } = attempt.delivery;
      const count = (deaths.get(seq) ?? 0) + 1;
      const again = count < deathsAllowed;
      if (again) deaths.set(seq, count);
      else deaths.delete(seq);
      return { attempt, again };
    },
    clear: () => {
      const all = [...byKey.values()];
      byKey.clear();
      return all;
    },
  };
}

/** The outcome of an attempt that could not be handed to its pool because of an internal error. */
export function notHandedOver(message: string): Reply {
  return { outcome: { kind: 'unsent', code: internalErrorCode, message, durationMs: 0 }, judgement: undefined };
}

/** What is said of an attempt that ended with its thread. */
export const lostReply: Reply = {
  outcome: { kind: 'unsent', code: threadLost, message: 'the thread of the pool died while it was under way', durationMs: 0 },
  judgement: undefined,
};
