import type { Job, Outcome } from '../../pools/contract.ts';
import type { Clock } from '../kit/clock.ts';
import { createDeferred, type Deferred } from '../kit/deferred.ts';
import { createRfc3339 } from '../kit/rfc3339.ts';
import type { NewDelivery } from '../spool/spool.ts';
import { begin, type Reply, toJob } from './attempt.ts';
import { classify } from './classify.ts';
import type { PoolRules } from './policy.ts';

/** Requests that are no deliveries: an operator waits for each, and nothing of them is kept. */
export interface TestSends {
  send(delivery: NewDelivery, rules: PoolRules): Promise<TestAnswer>;
  /** Whether the key was one of these; then it is answered. */
  answer(key: number, reply: Reply): boolean;
  /** Answers all that are under way. */
  endAll(reply: Reply): void;
}

export interface TestAnswer {
  readonly outcome: Outcome;
  readonly accepted: boolean;
}

/** What such a request has in common with a delivery that was just claimed. */
const untried = { seq: 0, attempts: 0, failingSince: undefined, context: {} };

export function createTestSends({ clock, post }: { readonly clock: Clock; post(job: Job): void }): TestSends {
  const waiting = new Map<number, Deferred<Reply>>();
  const rfc3339 = createRfc3339();
  let lastKey = 0;

  async function send(delivery: NewDelivery, { policyFor, hasCallbacks }: PoolRules): Promise<TestAnswer> {
    lastKey -= 1; // those of deliveries count upwards
    const deferred = createDeferred<Reply>();
    waiting.set(lastKey, deferred);
    const policy = policyFor(delivery.handler);
    const attempt = begin({ ...delivery, ...untried }, policy);
    post(toJob(attempt, { key: lastKey, hasCallbacks: hasCallbacks(delivery.handler), rfc3339 }));

    const { outcome, judgement } = await deferred.promise;
    const verdict = classify(outcome, judgement, { lists: policy.lists, now: clock.now() });
    return { outcome, accepted: verdict.kind === 'accepted' };
  }

  return {
    send,
    answer: (key, reply) => {
      waiting.get(key)?.resolve(reply);
      return waiting.delete(key);
    },
    endAll: (reply) => {
      for (const deferred of waiting.values()) deferred.resolve(reply);
      waiting.clear();
    },
  };
}
