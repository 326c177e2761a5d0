/**
 * One attempt, from the moment a delivery is taken until its disposition is known:
 *
 *   begin → toJob → (a pool thread sends it) → conclude → toSettlement → announce (`announce.ts`)
 *
 * Every step is a function of what the step before gave; the dispatcher runs them and owns the waiting in between.
 */

import type { Job, Within } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import type { Random } from '../kit/pacing.ts';
import type { Judgement, Outcome } from '../model/attempt.ts';
import type { Claimed, Destination, RequestPurpose } from '../model/delivery.ts';
import type { Disposition, Settlement } from '../spool/spool.ts';
import { within } from './boundary.ts';
import { classify, refusedByUs, type StatusLists, type Verdict } from './classify.ts';
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
  readonly disposition: Disposition;
  readonly at: EpochMs;
}

export function begin(delivery: Claimed, policy: DeliveryPolicy): Attempt {
  return { delivery, number: delivery.attempts + 1, policy };
}

/** What the pool thread needs; `key` names it between the two threads. Undefined: it is nothing for a thread. */
export function toJob({ delivery, number }: Attempt, posting: Posting): Job | undefined {
  const { key, hasCallbacks, wantsBody, within: time, allowed, rfc3339 } = posting;
  const { id, handler, target, body, seenAt, context } = delivery;
  if (target.kind !== 'http') return undefined;
  const { method, path, headers, stanza, purpose } = target;
  const job = { key, id, attempt: number, method, path, headers, body, seenAt: rfc3339(seenAt) };
  if (!hasCallbacks && !wantsBody && purpose === undefined) return job;
  return {
    ...job,
    ...(hasCallbacks ? { message: { handler, stanza, context } } : {}),
    ...(wantsBody ? { wantsBody } : {}),
    ...(purpose?.kind === 'order' ? { destination: destinationOf(purpose, allowed) } : {}),
    ...(time === undefined ? {} : { within: time }),
  };
}

function destinationOf({ origin, fault }: Order, { allow, ownOrigin }: Allowed): Destination {
  return { origin, allow, ownOrigin, ...(fault === undefined ? {} : { fault }) };
}

type Order = Extract<RequestPurpose, { kind: 'order' }>;

export interface Posting {
  readonly key: number;
  /** Its handler's module works on it in the thread. */
  readonly hasCallbacks: boolean;
  /** Something comes of the answer. */
  readonly wantsBody: boolean;
  /** Where an order of its handler may go. */
  readonly allowed: Allowed;
  /** Of a question: when it is to be over. */
  readonly within?: Within | undefined;
  readonly rfc3339: (at: EpochMs) => string;
}

export type Allowed = Pick<Destination, 'allow' | 'ownOrigin'>;

/** Reply → verdict → disposition. */
export function conclude(attempt: Attempt, reply: Reply, moment: Moment): Concluded {
  return within(
    'classifying its response',
    () => judge(attempt, reply, moment),
    (disposition) => ({ attempt, ...reply, verdict: refusedByUs(disposition), disposition, at: moment.now }),
  );
}

/** When it is judged, and the chance in its next wait. */
export interface Moment {
  readonly now: EpochMs;
  readonly random: Random;
}

function judge(attempt: Attempt, reply: Reply, { now, random }: Moment): Concluded {
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
  return { attempt, outcome, judgement, verdict, disposition: decide(verdict, standing, policy), at: now };
}

/** What the spool is told: the disposition, the attempt for the record, and what comes of it. */
export function toSettlement(
  { attempt, outcome, judgement, disposition, at }: Concluded,
  { spawn, failedPackets }: Offspring = childless,
): Ending {
  const record = { number: attempt.number, at, outcome: withoutBody(outcome) };
  return { disposition, attempt: judgement === undefined ? record : { ...record, judgement }, spawn, failedPackets };
}

export type Ending = Omit<Settlement, 'claimNext' | 'seq'>;

/** What an answer brings about. */
export type Offspring = Pick<Settlement, 'spawn' | 'failedPackets'>;

export const childless: Offspring = Object.freeze({ spawn: [], failedPackets: [] });

/** The record keeps an excerpt. */
function withoutBody(outcome: Outcome): Outcome {
  if (outcome.kind !== 'answered' || outcome.body === undefined) return outcome;
  const { body, ...rest } = outcome;
  return rest;
}
