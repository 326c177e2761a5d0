/**
 * One attempt, from the moment a delivery is taken until its fate is known:
 *
 *   begin → toJob → (a pool thread sends it) → conclude → toSettlement → announce
 *
 * Every step is a function of what the step before gave; the dispatcher runs them and owns the waiting in between.
 */
import type { Job, Outcome } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import type { Claimed, Fate, Settlement } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import { classify, type StatusLists, type Verdict } from './classify.ts';
import { decide, type Patience } from './decide.ts';

/** The rules an attempt is judged by: its pool's, as far as its handler does not say otherwise. */
export interface DeliveryPolicy extends Patience {
  readonly lists: StatusLists;
}

export interface Attempt {
  readonly delivery: Claimed;
  /** 1 for the first. */
  readonly number: number;
  readonly policy: DeliveryPolicy;
}

export interface Concluded {
  readonly attempt: Attempt;
  readonly outcome: Outcome;
  readonly verdict: Verdict;
  readonly fate: Fate;
  readonly at: EpochMs;
}

export function begin(delivery: Claimed, policy: DeliveryPolicy): Attempt {
  return { delivery, number: delivery.attempts + 1, policy };
}

/** What the pool thread needs; `key` names it between the two threads. */
export function toJob({ delivery, number }: Attempt, key: number, rfc3339: (at: EpochMs) => string): Job {
  const { id, target, body, seenAt } = delivery;
  return { key, id, attempt: number, method: target.method, path: target.path, headers: target.headers, body, seenAt: rfc3339(seenAt) };
}

/** Outcome → verdict → fate. */
export function conclude(
  attempt: Attempt,
  outcome: Outcome,
  { now, random }: { readonly now: EpochMs; readonly random: Random },
): Concluded {
  const { delivery, number, policy } = attempt;
  const verdict = classify(outcome, policy.lists, now);
  const standing = {
    attempts: number,
    createdAt: delivery.createdAt,
    failingSince: delivery.failingSince ?? now,
    inLane: delivery.lane !== null,
    now,
    random,
  };
  return { attempt, outcome, verdict, fate: decide(verdict, standing, policy), at: now };
}

export function toSettlement({ attempt, outcome, fate, at }: Concluded, claimNext: boolean): Settlement {
  return { seq: attempt.delivery.seq, fate, attempt: { number: attempt.number, at, outcome }, spawn: [], claimNext };
}

/** Tells what the attempt met, as soon as it is known. */
export function announceAttempt(events: EventSink, { attempt, outcome, verdict, fate, at }: Concluded): void {
  const { delivery, number, policy } = attempt;
  events.emit('attempt.ended', {
    id: delivery.id,
    pool: delivery.pool,
    handler: delivery.handler,
    host: delivery.host,
    attempt: number,
    attemptsAllowed: policy.scheduleMs.length + 1,
    outcome,
    accepted: verdict.kind === 'accepted',
    ageMs: at - delivery.createdAt,
    nextAt: fate.kind === 'retry' ? fate.notBefore : undefined,
  });
}

/** Tells what has become of the delivery, once it is on disk. */
export function announceFate(events: EventSink, { attempt, verdict, fate, at }: Concluded): void {
  if (fate.kind === 'released') return;
  const { id, pool, handler, host, createdAt } = attempt.delivery;
  const reason = fate.kind === 'dead' ? fate.reason : verdict.kind === 'accepted' ? '' : verdict.reason;
  events.emit('delivery.settled', { id, pool, handler, host, disposition: fate.kind, reason, ageMs: at - createdAt });
  if (fate.kind === 'retry' && fate.leaveLane) events.emit('delivery.left-lane', { id, pool, handler });
}
