/** The attempts that a carrier is sending, by key: those of deliveries, and test requests. */
import type { Clock } from '../kit/clock.ts';
import { createRfc3339 } from '../kit/clock.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import type { DispositionKind, Outcome } from '../model/attempt.ts';
import type { NewDelivery } from '../model/delivery.ts';
import { type Attempt, begin, type Reply } from './attempt.ts';
import { classify, refusedByService, type StatusLists, threadLostCode, type Verdict } from './classify.ts';
import { internalError, internalErrorCode } from './error-boundary.ts';
import type { Carrier, Deadlines } from './extensions.ts';
import { jobOptionsOf, type PoolRules } from './policy.ts';

/** Deaths of pool threads after which a delivery in flight at each of them is given up, as their likely cause. */
const maxThreadDeaths = 3;

export class InFlight {
  readonly #byKey = new Map<number, Attempt>();
  /** Deaths of threads that each delivery was in flight at, by its row in the spool. */
  readonly #threadDeaths = new Map<number, number>();
  #lastKey = 0;
  #retries = 0;

  get size(): number {
    return this.#byKey.size;
  }

  /** Number of attempts that are not first attempts. */
  get retries(): number {
    return this.#retries;
  }

  /** Returns the key that identifies the attempt between the threads. */
  add(attempt: Attempt): number {
    this.#lastKey += 1;
    this.#byKey.set(this.#lastKey, attempt);
    if (attempt.number > 1) this.#retries += 1;
    return this.#lastKey;
  }

  /** Removes an attempt that has ended; undefined if its thread was lost and it was sent again under another key. */
  take(key: number): Attempt | undefined {
    const attempt = this.#remove(key);
    if (attempt !== undefined && this.#threadDeaths.size > 0) this.#threadDeaths.delete(attempt.delivery.seq);
    return attempt;
  }

  /** Removes an attempt whose thread died: send it `again`, or give it up after too many deaths. */
  lose(key: number): { readonly attempt: Attempt; readonly again: boolean } | undefined {
    const attempt = this.#remove(key);
    if (attempt === undefined) return undefined;
    const { seq } = attempt.delivery;
    const deaths = (this.#threadDeaths.get(seq) ?? 0) + 1;
    const again = deaths < maxThreadDeaths;
    if (again) this.#threadDeaths.set(seq, deaths);
    else this.#threadDeaths.delete(seq);
    return { attempt, again };
  }

  #remove(key: number): Attempt | undefined {
    const attempt = this.#byKey.get(key);
    if (attempt === undefined) return undefined;
    this.#byKey.delete(key);
    if (attempt.number > 1) this.#retries -= 1;
    return attempt;
  }

  clear(): Attempt[] {
    const all = [...this.#byKey.values()];
    this.#byKey.clear();
    return all;
  }
}

/** The reply to an attempt that could not be handed to its carrier because of an internal error. */
export function notHandedOverReply(message: string): Reply {
  return { outcome: { kind: 'unsent', code: internalErrorCode, message, durationMs: 0 }, judgement: undefined };
}

/** The reply to an attempt whose thread died. */
export const lostReply: Reply = {
  outcome: { kind: 'unsent', code: threadLostCode, message: 'the pool thread died during the attempt', durationMs: 0 },
  judgement: undefined,
};

export interface TestAnswer {
  readonly outcome: Outcome;
  readonly accepted: boolean;
  /** Why it was not accepted; empty if it was. */
  readonly reason: string;
}

interface TestRequestsOptions {
  readonly clock: Clock;
  readonly deadlines: Deadlines | undefined;
  readonly carrier: Pick<Carrier, 'carry'>;
}

/** The delivery state of a request that is not in the spool. */
const untried = { seq: 0, attempts: 0, failingSince: undefined, context: {} };

/** Requests of operators, which are sent once and not stored. Their keys are negative, those of deliveries positive. */
export class TestRequests {
  readonly #options: TestRequestsOptions;
  readonly #open = new Map<number, { readonly lists: StatusLists; readonly answered: Deferred<TestAnswer> }>();
  readonly #rfc3339 = createRfc3339();
  #lastKey = 0;

  constructor(options: TestRequestsOptions) {
    this.#options = options;
  }

  send(delivery: NewDelivery, rules: PoolRules): Promise<TestAnswer> {
    const { deadlines, carrier } = this.#options;
    this.#lastKey -= 1;
    const key = this.#lastKey;
    const policy = rules.policyFor(delivery);
    const answered = createDeferred<TestAnswer>();
    this.#open.set(key, { lists: policy.lists, answered });
    const within = deadlines?.within(delivery);
    const options = { ...jobOptionsOf(rules, delivery, { key, within, rfc3339: this.#rfc3339 }), wantsBody: within !== undefined };
    carrier.carry(begin({ ...delivery, ...untried }, policy), options);
    return answered.promise;
  }

  /** Answers a test request and returns its disposition; undefined if the key is not one of a test request. */
  answer(key: number, reply: Reply): DispositionKind | undefined {
    const request = this.#open.get(key);
    if (request === undefined) return undefined;
    this.#open.delete(key);
    const verdict = this.#classify(reply, request.lists);
    const accepted = verdict.kind === 'accepted';
    request.answered.resolve({ outcome: reply.outcome, accepted, reason: accepted ? '' : verdict.reason });
    return accepted ? 'delivered' : 'dead';
  }

  #classify({ outcome, judgement }: Reply, lists: StatusLists): Verdict {
    try {
      return classify(outcome, judgement, { lists, now: this.#options.clock.now() });
    } catch (thrown) {
      return refusedByService(internalError('classifying its response', thrown).detail);
    }
  }

  answerAll(reply: Reply): void {
    for (const key of [...this.#open.keys()]) this.answer(key, reply);
  }
}
