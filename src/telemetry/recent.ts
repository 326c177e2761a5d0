/** Recent results that the API shows: attempts of each queue, and withheld pushes. */
import type { Clock, EpochMs } from '../kit/clock.ts';
import { ownCopy } from '../kit/own-copy.ts';
import type { EventBus, Events } from './events.ts';
import { Series, Spiral } from './series.ts';

/** Results of the recent attempts of a queue. */
export interface AttemptSummary {
  /** Failed attempts since the last accepted one. */
  readonly consecutiveFailures: number;
  /** Undefined if none has failed since the start. */
  readonly lastError: LastError | undefined;
  /** Number of attempts within {@link recentMs}, and of the accepted ones among them. */
  readonly attempts: number;
  readonly accepted: number;
}

export interface LastError {
  readonly at: EpochMs;
  readonly reason: string;
  /** Whether the reason may contain the error text of a callback. */
  readonly mayQuote: boolean;
  /** When the delivery is tried again; undefined if it is not. */
  readonly nextAt?: EpochMs;
}

/** The window: five minutes, in steps of five seconds. */
const recentMs = 300_000;

const slotMs = recentMs / 60;

interface Counts {
  consecutiveFailures: number;
  lastError: LastError | undefined;
  readonly accepted: Spiral;
  readonly failed: Spiral;
}

/** Records the results of attempts of each handler on each pool. */
export class RecentAttempts {
  readonly #series;

  constructor({ events, clock }: { readonly events: EventBus; readonly clock: Clock }) {
    this.#series = new Series<Counts, [pool: string, handler: string]>(() => ({
      ...{ consecutiveFailures: 0, lastError: undefined },
      ...{ accepted: new Spiral(clock, slotMs), failed: new Spiral(clock, slotMs) },
    }));
    events.on('attempt.ended', (attempt) => record(this.#series.at(attempt.pool, attempt.handler), attempt, clock.now()));
  }

  of(pool: string, handler: string): AttemptSummary {
    const { consecutiveFailures, lastError, accepted, failed } = this.#series.at(pool, handler);
    return { consecutiveFailures, lastError, attempts: accepted.one() + failed.one(), accepted: accepted.one() };
  }
}

function record(counts: Counts, { accepted, outcome, reason, nextAt }: Events['attempt.ended'], now: EpochMs): void {
  (accepted ? counts.accepted : counts.failed).add();
  counts.consecutiveFailures = accepted ? 0 : counts.consecutiveFailures + 1;
  if (accepted) return;
  const mayQuote = outcome.kind === 'unsent' || outcome.kind === 'refused';
  counts.lastError = { at: now, reason, mayQuote, ...(nextAt !== undefined && { nextAt }) };
}

/** A withheld push, its time, and its number, which grows. */
export type WithheldPush = Events['push.withheld'] & { readonly at: EpochMs; readonly nr: number };

const maxWithheld = 1000;

/** Maximum length of each text of a business server, in characters. */
const maxTextLength = 1024;

/** The last withheld pushes. They leave no dead letter, so this is the only record of why a push was not sent. */
export class RecentWithheld {
  #pushes: WithheldPush[] = [];
  #count = 0;

  constructor({ events, clock }: { readonly events: EventBus; readonly clock: Pick<Clock, 'now'> }) {
    events.on('push.withheld', (push) => {
      this.#count += 1;
      this.#pushes.push({ ...push, errMsg: cut(push.errMsg), errDlt: cut(push.errDlt), at: clock.now(), nr: this.#count });
      if (this.#pushes.length >= 2 * maxWithheld) this.#pushes = this.#pushes.slice(-maxWithheld);
    });
  }

  /** Oldest first. */
  list(): readonly WithheldPush[] {
    return this.#pushes.slice(-maxWithheld);
  }

  /** Removes the pushes of a user; returns their number. */
  erase(jid: string): number {
    const listed = this.list();
    this.#pushes = listed.filter(({ sender, receiver }) => sender !== jid && receiver !== jid);
    return listed.length - this.#pushes.length;
  }
}

function cut(text: string): string {
  return text.length <= maxTextLength ? text : `${ownCopy(text.slice(0, maxTextLength))}…`;
}
