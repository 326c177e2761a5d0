import type { Clock, EpochMs } from '../kit/clock.ts';
import type { EventBus, Events } from './events.ts';
import { createSeries, createSpiral, type Spiral } from './series.ts';

/** Results of the recent attempts of a queue. */
export interface AttemptSummary {
  /** Attempts since the last accepted one. */
  readonly consecutiveFailures: number;
  /** Undefined: none has failed since the start. */
  readonly lastError: LastError | undefined;
  /** Attempts of the last {@link recentMs}, and those of them that were accepted. */
  readonly attempts: number;
  readonly accepted: number;
}

export interface LastError {
  readonly at: EpochMs;
  readonly reason: string;
  /** Whether the reason may contain the error text of a callback. */
  readonly mayQuote: boolean;
}

/** The window: five minutes, in steps of five seconds. */
export const recentMs = 300_000;

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
    this.#series = createSeries<Counts, [pool: string, handler: string]>(() => ({
      ...{ consecutiveFailures: 0, lastError: undefined },
      ...{ accepted: createSpiral(clock, slotMs), failed: createSpiral(clock, slotMs) },
    }));
    events.on('attempt.ended', (attempt) => note(this.#series.at(attempt.pool, attempt.handler), attempt, clock.now()));
  }

  of(pool: string, handler: string): AttemptSummary {
    const { consecutiveFailures, lastError, accepted, failed } = this.#series.at(pool, handler);
    return { consecutiveFailures, lastError, attempts: accepted.one() + failed.one(), accepted: accepted.one() };
  }
}

function note(counts: Counts, { accepted, outcome, reason }: Events['attempt.ended'], now: EpochMs): void {
  (accepted ? counts.accepted : counts.failed).add();
  counts.consecutiveFailures = accepted ? 0 : counts.consecutiveFailures + 1;
  if (!accepted) counts.lastError = { at: now, reason, mayQuote: outcome.kind === 'unsent' || outcome.kind === 'refused' };
}

/** A push that was withheld, and when. */
export type WithheldPush = Events['push.withheld'] & { readonly at: EpochMs };

/** The last pushes that were withheld: they leave no dead letter, and somebody may ask why they did not come. */
export interface RecentWithheld {
  /** Oldest first. */
  list(): readonly WithheldPush[];
}

const mostKept = 1000;

/** Of each text of a business server, in characters. */
const longestText = 1024;

/** Remembers from the moment it is created. */
export function createRecentWithheld({ events, clock }: { readonly events: EventBus; readonly clock: Pick<Clock, 'now'> }): RecentWithheld {
  let kept: WithheldPush[] = [];

  events.on('push.withheld', (push) => {
    kept.push({ ...push, errMsg: cut(push.errMsg), errDlt: cut(push.errDlt), at: clock.now() });
    if (kept.length >= 2 * mostKept) kept = kept.slice(-mostKept);
  });

  return { list: () => kept.slice(-mostKept) };
}

/** As bytes of its own: a slice would keep all of the answer. */
function cut(text: string): string {
  return text.length <= longestText ? text : `${Buffer.from(text.slice(0, longestText)).toString()}…`;
}
