/**
 * One attempt, from a claimed delivery to the content of its settlement:
 *
 *   begin → toJob → (a pool thread sends the request) → conclude → settlementOf → (the spool stores it)
 *
 * Each step is a function of the result of the previous one. `PoolDispatcher` calls the steps and waits between them; `Settler`
 * stores the result.
 */
import type { Job, Within } from '../../pools/contract.ts';
import type { EpochMs } from '../kit/clock.ts';
import type { Random } from '../kit/pacing.ts';
import type { Judgement, Outcome } from '../model/attempt.ts';
import type { Claimed, Destination, RequestPurpose } from '../model/delivery.ts';
import type { Disposition, Settlement } from '../spool/spool.ts';
import { classify, refusedByService, type StatusLists, type Verdict } from './classify.ts';
import { decide, type RetryPolicy } from './decide.ts';
import { internalError } from './error-boundary.ts';

/** Rules for the attempts of a delivery: those of its pool, with the overrides of its handler. */
export interface DeliveryPolicy extends RetryPolicy {
  readonly lists: StatusLists;
}

export interface Attempt {
  readonly delivery: Claimed;
  /** Starts at 1. */
  readonly number: number;
  readonly policy: DeliveryPolicy;
}

export function begin(delivery: Claimed, policy: DeliveryPolicy): Attempt {
  return { delivery, number: delivery.attempts + 1, policy };
}

/** Makes the job for a pool thread; undefined for a message to a user, which no thread can send. */
export function toJob({ delivery, number }: Attempt, options: JobOptions): Job | undefined {
  const { key, hasCallbacks, wantsBody, signs, within, allowed, rfc3339 } = options;
  const { id, handler, target, body, seenAt, context } = delivery;
  if (target.kind !== 'http') return undefined;
  const { method, path, headers, stanza, purpose } = target;
  const job = { key, id, attempt: number, method, path, headers, body, seenAt: rfc3339(seenAt) };
  if (!hasCallbacks && !wantsBody && !signs && purpose === undefined) return job;
  return {
    ...job,
    ...(hasCallbacks ? { message: { handler, stanza, context } } : {}),
    ...(wantsBody ? { wantsBody } : {}),
    ...(signs ? { signer: handler } : {}),
    ...(purpose?.kind === 'order' ? { destination: destinationOf(purpose, allowed) } : {}),
    ...(within === undefined ? {} : { within }),
  };
}

/** Job settings that the delivery does not contain. */
export interface JobOptions {
  /** Identifies the job between the two threads. */
  readonly key: number;
  /** Whether the module of the handler has callbacks at delivery. */
  readonly hasCallbacks: boolean;
  /** Whether the body of the response is evaluated. */
  readonly wantsBody: boolean;
  /** Whether the handler has signing keys of its own. */
  readonly signs: boolean;
  /** Origins that an ordered request of the handler may go to. */
  readonly allowed: AllowedOrigins;
  readonly within?: Within | undefined;
  readonly rfc3339: (at: EpochMs) => string;
}

export type AllowedOrigins = Pick<Destination, 'allow' | 'ownOrigin'>;

function destinationOf({ origin, fault }: Extract<RequestPurpose, { kind: 'order' }>, { allow, ownOrigin }: AllowedOrigins): Destination {
  return { origin, allow, ownOrigin, ...(fault === undefined ? {} : { fault }) };
}

/** Result of a carrier: the outcome on the wire, and the judgement of the handler's callbacks if it has any. */
export interface Reply {
  readonly outcome: Outcome;
  readonly judgement: Judgement | undefined;
}

export interface ConcludedAttempt extends Reply {
  readonly attempt: Attempt;
  readonly verdict: Verdict;
  readonly disposition: Disposition;
  readonly at: EpochMs;
}

/** Reply → verdict → disposition. `random` is for the jitter of the next wait. */
export function conclude(
  attempt: Attempt,
  reply: Reply,
  { now, random }: { readonly now: EpochMs; readonly random: Random },
): ConcludedAttempt {
  try {
    return judge(attempt, reply, now, random);
  } catch (thrown) {
    const disposition = internalError('classifying its response', thrown);
    return { attempt, ...reply, verdict: refusedByService(disposition.detail), disposition, at: now };
  }
}

function judge(attempt: Attempt, { outcome, judgement }: Reply, now: EpochMs, random: Random): ConcludedAttempt {
  const { delivery, number, policy } = attempt;
  const verdict = classify(outcome, judgement, { lists: policy.lists, now });
  const disposition = decide(
    verdict,
    {
      attempts: number,
      createdAt: delivery.createdAt,
      failingSince: delivery.failingSince ?? now,
      inLane: delivery.lane !== null,
      context: judgement?.context ?? delivery.context,
      now,
      random,
    },
    policy,
  );
  return { attempt, outcome, judgement, verdict, disposition, at: now };
}

/**
 * A step after a response, called for each concluded attempt. Returns undefined if the response creates no deliveries, as most
 * do. If it throws or rejects, the delivery becomes a dead letter.
 */
export type Follow = (concluded: ConcludedAttempt) => Promise<FollowResult> | undefined;

/** The disposition of a delivery, and the deliveries that its response creates: stored in one transaction. */
export interface FollowResult extends Spawned {
  readonly disposition: Disposition;
}

/** Deliveries and dead letters that a response creates. */
export type Spawned = Pick<Settlement, 'failedPackets' | 'spawn'>;

export const nothingSpawned: Spawned = Object.freeze({ spawn: [], failedPackets: [] });

/** The disposition of a delivery with the record of the attempt and the deliveries that it creates. */
export type SettlementContent = Omit<Settlement, 'claimNext' | 'delivery' | 'seq'>;

/** Settlement of a concluded attempt, after the first of `follows` that returns a result. Never throws, never rejects. */
export function settlementOf(concluded: ConcludedAttempt, follows: readonly Follow[]): SettlementContent | Promise<SettlementContent> {
  try {
    for (const follow of follows) {
      const result = follow(concluded);
      if (result !== undefined) return settlementAfter(concluded, result);
    }
    return toSettlement(concluded);
  } catch (thrown) {
    return failedToFollow(concluded, thrown);
  }
}

async function settlementAfter(concluded: ConcludedAttempt, following: Promise<FollowResult>): Promise<SettlementContent> {
  try {
    const { disposition, spawn, failedPackets } = await following;
    return toSettlement({ ...concluded, disposition }, { spawn, failedPackets });
  } catch (thrown) {
    return failedToFollow(concluded, thrown);
  }
}

function failedToFollow(concluded: ConcludedAttempt, thrown: unknown): SettlementContent {
  return toSettlement({ ...concluded, disposition: internalError('following up its response', thrown) });
}

export function toSettlement(
  { attempt, outcome, judgement, disposition, at }: ConcludedAttempt,
  { spawn, failedPackets }: Spawned = nothingSpawned,
): SettlementContent {
  const record = { number: attempt.number, at, outcome: withoutBody(outcome) };
  return { disposition, attempt: judgement === undefined ? record : { ...record, judgement }, spawn, failedPackets };
}

/** The record keeps the excerpt only. */
function withoutBody(outcome: Outcome): Outcome {
  if (outcome.kind !== 'answered' || outcome.body === undefined) return outcome;
  const { body, ...rest } = outcome;
  return rest;
}
