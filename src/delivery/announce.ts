/** Tells of attempts, and of what became of their deliveries. */
import type { EpochMs } from '../kit/clock.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Fate } from '../spool/spool.ts';
import type { EventSink, Purpose } from '../telemetry/events.ts';
import type { Concluded, Ending } from './attempt.ts';
import type { Dead } from './boundary.ts';

/** Tells what the attempt met, as soon as it is known. */
export function announceAttempt(events: EventSink, { attempt, outcome, judgement, verdict, fate, at }: Concluded): void {
  const { delivery, number, policy } = attempt;
  events.emit('attempt.ended', {
    id: delivery.id,
    pool: delivery.pool,
    handler: delivery.handler,
    host: delivery.host,
    purpose: purposeOf(delivery),
    attempt: number,
    attemptsAllowed: policy.scheduleMs.length + 1,
    outcome,
    judgement,
    accepted: verdict.kind === 'accepted',
    reason: verdict.kind === 'accepted' ? '' : verdict.reason,
    ageMs: at - delivery.createdAt,
    nextAt: fate.kind === 'retry' ? fate.notBefore : undefined,
    died: fate.kind === 'dead' ? fate.reason : undefined,
  });
}

/** Tells what the attempt came to, once it is on disk: the delivery's fate, and the deliveries that its answer brought about. */
export function announceEnding(events: EventSink, concluded: Concluded, { fate, spawn }: Ending): void {
  announceFate(events, concluded.attempt.delivery, { fate, reason: reasonOf({ ...concluded, fate }), at: concluded.at });
  for (const { pool, handler, host } of spawn) events.emit('delivery.accepted', { pool, handler, host });
}

/** Announces a delivery that ended without an attempt. */
export function announceDead(events: EventSink, delivery: Claimed, fate: Dead, at: EpochMs): void {
  announceFate(events, delivery, { fate, reason: fate.reason, at });
}

/** Tells what has become of the delivery, once it is on disk. */
export function announceFate(events: EventSink, delivery: Claimed, { fate, reason, at }: Told): void {
  if (fate.kind === 'released') return;
  const { id, pool, handler, host, createdAt } = delivery;
  const purpose = purposeOf(delivery);
  events.emit('delivery.settled', { id, pool, handler, host, purpose, disposition: fate.kind, reason, ageMs: at - createdAt });
  if (fate.kind === 'retry' && fate.leaveLane) events.emit('delivery.left-lane', { id, pool, handler });
}

export interface Told {
  readonly fate: Fate;
  readonly reason: string;
  readonly at: EpochMs;
}

/** What a delivery is for. */
export function purposeOf({ target }: Pick<NewDelivery, 'target'>): Purpose {
  return target.kind === 'xmpp' ? 'message' : (target.errand?.kind ?? 'push');
}

/** Why a delivery's fate is what it is: a dead one's reason, or what its attempt met. */
function reasonOf({ fate, verdict }: Concluded): string {
  if (fate.kind === 'dead') return fate.reason;
  return verdict.kind === 'accepted' ? '' : verdict.reason;
}
