/**
 * One attempt, from the moment a delivery is taken until its fate is known:
 *
 *   begin → toJob → (a pool thread sends it) → conclude → toSettlement → announce
 *
 * Every step is a function of what the step before gave; the dispatcher runs them and owns the waiting in between.
 */
import type { Job, Judgement, Outcome } from '../../pools/contract.ts';
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

/** What came back of an attempt: what happened on the wire, and what the handler's callbacks made of it, where it has any. */
export interface Reply {
  readonly outcome: Outcome;
  readonly judgement: Judgement | undefined;
}

export interface Concluded extends Reply {
  readonly attempt: Attempt;
  readonly verdict: Verdict;
  readonly fate: Fate;
  readonly at: EpochMs;
}

export function begin(delivery: Claimed, policy: DeliveryPolicy): Attempt {
  return { delivery, number: delivery.attempts + 1, policy };
}

/** What the pool thread needs; `key` names it between the two threads. `hasCallbacks`: its handler's module works on it there. */
export function toJob({ delivery, number }: Attempt, { key, hasCallbacks, rfc3339 }: Posting): Job {
  const { id, handler, target, body, seenAt, context } = delivery;
  const { method, path, headers, stanza } = target;
  const job = { key, id, attempt: number, method, path, headers, body, seenAt: rfc3339(seenAt) };
  return hasCallbacks ? { ...job, message: { handler, stanza, context } } : job;
}

export interface Posting {
  readonly key: number;
  readonly hasCallbacks: boolean;
  readonly rfc3339: (at: EpochMs) => string;
}

/** Reply → verdict → fate. */
export function conclude(attempt: Attempt, reply: Reply, { now, random }: { readonly now: EpochMs; readonly random: Random }): Concluded {
  const { delivery, number, policy } = attempt;
  const { outcome, judgement } = reply;
  const verdict = classify(outcome, judgement, { lists: policy.lists, now });
  const standing = {
    attempts: number,
    createdAt: delivery.createdAt,
    failingSince: delivery.failingSince ?? now,
    inLane: delivery.lane !== null,
    context: judgement?.context ?? delivery.context,
    now,
    random,
  };
  return { attempt, outcome, judgement, verdict, fate: decide(verdict, standing, policy), at: now };
}

/** What the spool is told: the fate, and the attempt for the record. */
export function toSettlement({ attempt, outcome, judgement, fate, at }: Concluded): Pick<Settlement, 'attempt' | 'fate'> {
  const record = { number: attempt.number, at, outcome };
  return { fate, attempt: judgement === undefined ? record : { ...record, judgement } };
}

/** Tells what the attempt met, as soon as it is known. */
export function announceAttempt(events: EventSink, { attempt, outcome, judgement, verdict, fate, at }: Concluded): void {
  const { delivery, number, policy } = attempt;
  events.emit('attempt.ended', {
    id: delivery.id,
    pool: delivery.pool,
    handler: delivery.handler,
    host: delivery.host,
    attempt: number,
    attemptsAllowed: policy.scheduleMs.length + 1,
    outcome,
    judgement,
    accepted: verdict.kind === 'accepted',
    ageMs: at - delivery.createdAt,
    nextAt: fate.kind === 'retry' ? fate.notBefore : undefined,
  });
}

/** Tells what has become of the delivery, once it is on disk. */
export function announceFate(events: EventSink, delivery: Claimed, { fate, reason, at }: Told): void {
  if (fate.kind === 'released') return;
  const { id, pool, handler, host, createdAt } = delivery;
  events.emit('delivery.settled', { id, pool, handler, host, disposition: fate.kind, reason, ageMs: at - createdAt });
  if (fate.kind === 'retry' && fate.leaveLane) events.emit('delivery.left-lane', { id, pool, handler });
}

export interface Told {
  readonly fate: Fate;
  readonly reason: string;
  readonly at: EpochMs;
}

/** Why a delivery's fate is what it is: a dead one's reason, or what its attempt met. */
export function reasonOf({ fate, verdict }: Concluded): string {
  if (fate.kind === 'dead') return fate.reason;
  return verdict.kind === 'accepted' ? '' : verdict.reason;
}
