/** Tells of attempts, and of what became of their deliveries. */
import type { EpochMs } from '../kit/clock.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Disposition } from '../spool/spool.ts';
import type { EventSink, Purpose } from '../telemetry/events.ts';
import type { Concluded, Ending } from './attempt.ts';
import type { Dead } from './boundary.ts';

/** Tells what the attempt met, as soon as it is known. */
export function announceAttempt(events: EventSink, { attempt, outcome, judgement, verdict, disposition, at }: Concluded): void {
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
    nextAt: disposition.kind === 'retry' ? disposition.notBefore : undefined,
    died: disposition.kind === 'dead' ? disposition.reason : undefined,
  });
}

/** Tells what the attempt came to, once it is on disk: the delivery's disposition, and the deliveries that its answer brought about. */
export function announceEnding(events: EventSink, concluded: Concluded, { disposition, spawn }: Ending): void {
  announceDisposition(events, concluded.attempt.delivery, {
    disposition,
    reason: reasonOf({ ...concluded, disposition }),
    at: concluded.at,
  });
  for (const { pool, handler, host } of spawn) events.emit('delivery.accepted', { pool, handler, host });
}

/** Announces a delivery that ended without an attempt. */
export function announceDead(events: EventSink, delivery: Claimed, disposition: Dead, at: EpochMs): void {
  announceDisposition(events, delivery, { disposition, reason: disposition.reason, at });
}

/** Tells what has become of the delivery, once it is on disk. */
export function announceDisposition(events: EventSink, delivery: Claimed, { disposition, reason, at }: Told): void {
  if (disposition.kind === 'released') return;
  const { id, pool, handler, host, createdAt } = delivery;
  const purpose = purposeOf(delivery);
  events.emit('delivery.settled', { id, pool, handler, host, purpose, disposition: disposition.kind, reason, ageMs: at - createdAt });
  if (disposition.kind === 'retry' && disposition.leaveLane) events.emit('delivery.left-lane', { id, pool, handler });
}

export interface Told {
  readonly disposition: Disposition;
  readonly reason: string;
  readonly at: EpochMs;
}

/** What a delivery is for. */
export function purposeOf({ target }: Pick<NewDelivery, 'target'>): Purpose {
  return target.kind === 'xmpp' ? 'message' : (target.purpose?.kind ?? 'push');
}

/** Why a delivery's disposition is what it is: a dead one's reason, or what its attempt met. */
function reasonOf({ disposition, verdict }: Concluded): string {
  if (disposition.kind === 'dead') return disposition.reason;
  return verdict.kind === 'accepted' ? '' : verdict.reason;
}
