import { type Clock, createRfc3339 } from '../kit/clock.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import type { DispositionKind, Outcome } from '../model/attempt.ts';
import type { NewDelivery } from '../model/delivery.ts';
import { type Attempt, begin, type Posting, type Reply } from './attempt.ts';
import { within } from './boundary.ts';
import { classify, refusedByUs, type StatusLists, type Verdict } from './classify.ts';
import type { Deadlines } from './deadlines.ts';
import { type PoolRules, postingBy } from './policy.ts';

/** Requests that are no deliveries: an operator waits for each, and nothing of them is kept. */
export interface TestSends {
  send(delivery: NewDelivery, rules: PoolRules): Promise<TestAnswer>;
  /** Answers it if the key was one of these, and gives what became of it; it is never tried again. */
  answer(key: number, reply: Reply): DispositionKind | undefined;
  /** Answers all that are under way. */
  endAll(reply: Reply): void;
}

export interface TestAnswer {
  readonly outcome: Outcome;
  readonly accepted: boolean;
  /** Why it was not accepted; empty if it was. */
  readonly reason: string;
}

/** What such a request has in common with a delivery that was just claimed. */
const untried = { seq: 0, attempts: 0, failingSince: undefined, context: {} };

export interface TestSendsParts {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  post(attempt: Attempt, posting: Posting): void;
}

export function createTestSends({ clock, deadlines, post }: TestSendsParts): TestSends {
  const waiting = new Map<number, { readonly lists: StatusLists; readonly answered: Deferred<TestAnswer> }>();
  const rfc3339 = createRfc3339();
  let lastKey = 0;

  function send(delivery: NewDelivery, rules: PoolRules): Promise<TestAnswer> {
    lastKey -= 1; // those of deliveries count upwards
    const policy = rules.policyFor(delivery);
    const answered = createDeferred<TestAnswer>();
    waiting.set(lastKey, { lists: policy.lists, answered });
    const attempt = begin({ ...delivery, ...untried }, policy);
    const within = deadlines.within(delivery);
    post(attempt, { key: lastKey, ...postingBy(rules, delivery), wantsBody: within !== undefined, within, rfc3339 });
    return answered.promise;
  }

  function answer(key: number, { outcome, judgement }: Reply): DispositionKind | undefined {
    const test = waiting.get(key);
    if (test === undefined) return undefined;
    waiting.delete(key);
    const standards = { lists: test.lists, now: clock.now() };
    const verdict = within<Verdict>('classifying its response', () => classify(outcome, judgement, standards), refusedByUs);
    const accepted = verdict.kind === 'accepted';
    test.answered.resolve({ outcome, accepted, reason: accepted ? '' : verdict.reason });
    return accepted ? 'delivered' : 'dead';
  }

  return {
    send,
    answer,
    endAll: (reply) => {
      for (const key of [...waiting.keys()]) answer(key, reply);
    },
  };
}
