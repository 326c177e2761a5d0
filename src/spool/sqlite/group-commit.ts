import type { Clock, Timers } from '../../kit/clock.ts';
import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../kit/lifecycle.ts';
import { Pacer } from '../../kit/pacing.ts';
import { type Answer, type Answers, type Command, type Committed, isAppend } from './protocol.ts';

/**
 * Gathers commands while a batch is with the thread, and sends them as one when it comes back. Nearly always two states:
 * *resting* (nothing to do) and *flying* (one batch is with the thread). While intake is *closed*, appends wait here and a
 * few are tried at each beat; the others go on. What found no room at all waits for the next beat too (*stalled*).
 */
export interface GroupCommit {
  /** Gives what `decode` makes of the answer, once the command is durable. */
  ask<C extends Command, T>(command: C, decode: (answer: Answers[C[0]]) => T): Promise<T>;
  /** The batch came back. */
  landed(committed: Committed): void;
  /** Sends a batch now, be it empty, so that the thread can look after the file; then again and again. */
  startBeating(): void;
  /** Takes no more commands; resolves when all that can be committed is. What cannot be is rejected. */
  drain(reason: Error): Promise<void>;
  /** Rejects what is under way and all that comes. */
  fail(error: Error): void;
}

export interface GroupCommitParts {
  readonly clock: Clock;
  readonly timers: Timers;
  post(commands: readonly Command[], options: { readonly beat: boolean }): void;
}

interface Pending {
  readonly command: Command;
  settle(answer: Answer | undefined): void;
  reject(error: Error): void;
}

/**
 * Transactions begin at most this often, ms: each costs an fsync, two messages between threads and a wake-up of both,
 * whatever is in it.
 */
const commitEveryMs = 2;

/** How often the thread looks after the file: for what is up to a second old, and sooner while it waits for room. */
const beatMs = 1000;
const closedBeatMs = 500;

/** Appends that try, at a beat, whether there is room again. */
const trialAppends = 64;

/** A batch is one transaction and one clone: past this it makes nothing cheaper and everyone wait. */
const maxBatch = 2048;
const maxBatchBytes = 4 * 1024 * 1024;

export function createGroupCommit({ clock, timers, post }: GroupCommitParts): GroupCommit {
  const pacer = new Pacer({ everyMs: commitEveryMs, clock, timers }, () => {
    if (flying === undefined && hasSendable()) send();
  });
  let appends: Pending[] = [];
  let others: Pending[] = [];
  let flying: Pending[] | undefined;
  let beatIsDue = false;
  let stopBeating: () => void = () => undefined;
  let closed = false;
  let stalled = false;
  let refusal: Error | undefined;
  let drained: Deferred<void> | undefined;

  function ask<C extends Command, T>(command: C, decode: (answer: Answers[C[0]]) => T): Promise<T> {
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise<T>((resolve, reject) => {
      const settle = (answer: Answer | undefined) => resolve(decode(answer as Answers[C[0]])); // the thread answers in kind
      (isAppend(command) ? appends : others).push({ command, settle, reject });
      sendWhenFree();
    });
  }

  /** Not at once: what the next moment brings shall ride along. */
  function sendWhenFree(): void {
    if (flying === undefined && hasSendable()) pacer.nudge();
  }

  function hasSendable(): boolean {
    return beatIsDue || (!stalled && others.length > 0) || (!closed && appends.length > 0);
  }

  function send(): void {
    const willing = closed && beatIsDue ? trialAppends : closed ? 0 : maxBatch;
    flying = [...(stalled && !beatIsDue ? [] : others.splice(0, maxBatch)), ...appends.splice(0, howMany(appends, willing))];
    post(
      flying.map(({ command }) => command),
      { beat: beatIsDue },
    );
    beatIsDue = false;
  }

  function landed(committed: Committed): void {
    const batch = flying ?? [];
    flying = undefined;
    const undone = new Set(committed.undone);
    closed = committed.closed !== '';
    takeBack(batch.filter((_, index) => undone.has(index)));
    const refused = new Map(committed.refused);
    batch.forEach((pending, index) => {
      if (undone.has(index)) return;
      const reason = refused.get(index);
      try {
        if (reason !== undefined) throw rowRefused(reason);
        pending.settle(committed.answers[index]);
      } catch (error) {
        pending.reject(error as Error); // `decode` throws errors only
      }
    });
    sendWhenFree();
    if (flying === undefined && !hasSendable()) drained?.resolve();
  }

  /** In front of those that came later: the order of appends is a promise. */
  function takeBack(undone: readonly Pending[]): void {
    appends = [...undone.filter(({ command }) => isAppend(command)), ...appends];
    const undoneOthers = undone.filter(({ command }) => !isAppend(command));
    others = [...undoneOthers, ...others];
    stalled = undoneOthers.length > 0;
  }

  function beat(): void {
    beatIsDue = true;
    sendWhenFree();
    stopBeating = timers.after(closed ? closedBeatMs : beatMs, beat);
  }

  function fail(error: Error): void {
    stopBeating();
    pacer.stop();
    refusal = error;
    const abandoned = [...(flying ?? []), ...others, ...appends];
    [flying, others, appends] = [undefined, [], []];
    for (const { reject } of abandoned) reject(error);
    drained?.resolve();
  }

  async function drain(reason: Error): Promise<void> {
    stopBeating();
    if (refusal === undefined) {
      refusal = reason;
      drained = createDeferred();
      sendWhenFree();
      if (flying !== undefined || hasSendable()) await drained.promise;
    }
    fail(refusal);
  }

  return {
    ask,
    landed,
    startBeating: () => {
      stopBeating = timers.after(beatMs, beat);
    },
    drain,
    fail,
  };
}

function rowRefused(reason: string): ServiceError {
  return new ServiceError('SPOOL_ROW_REFUSED', `the spool cannot store it: ${reason}`);
}

/** How many of the first appends make up a batch: at most `limit`, no more once their bodies exceed the bound, but one. */
function howMany(appends: readonly Pending[], limit: number): number {
  let bytes = 0;
  let count = 0;
  for (const { command } of appends) {
    if (count >= limit || bytes > maxBatchBytes) break;
    bytes += bytesOf(command);
    count += 1;
  }
  return count;
}

function bytesOf(command: Command): number {
  if (command[0] !== 'append' && command[0] !== 'append-and-bury') return 0;
  let bytes = 0;
  for (const row of command[1]) bytes += row[11].length;
  if (command[0] === 'append-and-bury') for (const [row] of command[5]) bytes += row[11].length;
  return bytes;
}
