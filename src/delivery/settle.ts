/** Stores the dispositions of a pool's deliveries, and reports them as events. */
import type { EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import { createDeferred, type Deferred } from '../kit/lifecycle.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Disposition, Settled, Spool } from '../spool/spool.ts';
import { type EventSink, type Purpose, subjectOf } from '../telemetry/events.ts';
import { type ConcludedAttempt, nothingSpawned, type SettlementContent } from './attempt.ts';
import { type Dead, internalError, isSpoolFailure } from './error-boundary.ts';
import type { PoolQueues } from './queues.ts';

interface SettlerOptions {
  readonly spool: Spool;
  readonly queues: PoolQueues;
  /** Reserves capacity for the next delivery of a lane; false: it must not be claimed. */
  reserve(delivery: Claimed): boolean;
  onNext(next: readonly Claimed[]): void;
  onReady(pools: readonly string[]): void;
  /** The next delivery of a lane may be sent, or a settlement has been stored or has failed. */
  onProgress(): void;
  onFailed(error: Error): void;
}

type OnStored = (stored: SettlementContent) => void;

/** A settlement on its way to the disk. */
interface Pending {
  readonly delivery: Claimed;
  /** Whether the delivery leaves its lane. */
  readonly leaves: boolean;
  /** Number of deliveries of the lane to claim next; one slot is reserved for them. */
  readonly claimNext: number;
  readonly onStored: OnStored;
}

/** Deliveries of a lane that are claimed at once when those in memory are settled. */
const claimsOfLane = 16;

/**
 * Settles deliveries in the spool. The next delivery of a lane in memory may be sent when a settlement begins, since the spool stores them in
 * their order; further ones are claimed by the last settlement of the lane.
 */
export class Settler {
  readonly #options: SettlerOptions;
  #pending = 0;
  #idle: Deferred<void> | undefined;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Settlements that are not on disk yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Resolves when all settlements are on disk. */
  async idle(): Promise<void> {
    if (this.#pending === 0) return;
    this.#idle ??= createDeferred();
    await this.#idle.promise;
  }

  /** Counts as pending from the call, also while `content` is a promise. `onStored` is called after the commit with the stored content. */
  settle(delivery: Claimed, content: SettlementContent | Promise<SettlementContent>, onStored: OnStored): void {
    this.#pending += 1;
    if (!(content instanceof Promise)) this.#begin(delivery, content, onStored);
    else content.then((resolved) => this.#begin(delivery, resolved, onStored)).catch(this.#fail);
  }

  /** Returns a delivery to the spool unchanged, where it can be claimed again. */
  readonly release = (delivery: Claimed): void => this.settle(delivery, released, () => undefined);

  #begin(delivery: Claimed, content: SettlementContent, onStored: OnStored): void {
    const { queues, reserve, onProgress } = this.#options;
    const leaves = leavesLane(content.disposition);
    const queue = queues.of(delivery);
    if (!leaves) queue?.startReturn(delivery);
    const claimNext = leaves && queue?.conclude(delivery) === true && reserve(delivery) ? claimsOfLane : 0;
    onProgress();
    const pending: Pending = { delivery, leaves, claimNext, onStored };
    this.#store(pending, content, (thrown) => {
      if (isSpoolFailure(thrown)) this.#fail(thrown);
      else this.#store(pending, withoutAttempt(internalError('storing its disposition', thrown)), this.#fail);
    });
  }

  /** A settlement that cannot be stored makes its delivery a dead letter; only a failure of the spool stops the service. */
  #store(pending: Pending, content: SettlementContent, failed: (thrown: unknown) => void): void {
    const { delivery, claimNext } = pending;
    const { disposition, attempt, spawn, failedPackets } = content;
    const settlement = { seq: delivery.seq, delivery, disposition, attempt, spawn, failedPackets, claimNext };
    try {
      this.#options.spool.settle(settlement, { done: (settled) => this.#stored(pending, content, settled), failed });
    } catch (thrown) {
      failed(thrown); // its rows cannot be encoded
    }
  }

  #stored({ delivery, leaves, claimNext, onStored }: Pending, content: SettlementContent, { next, readyPools }: Settled): void {
    const { queues, onNext, onReady, onProgress } = this.#options;
    const queue = queues.of(delivery);
    if (leaves) queue?.settled(delivery);
    else queue?.endReturn(delivery, { left: leavesLane(content.disposition) });
    if (next.length > 0) onNext(next);
    if (claimNext > 0) queues.release(delivery);
    if (content.disposition.kind === 'retry') queue?.deferred(content.disposition.notBefore);
    try {
      onStored(content);
      if (readyPools.length > 0 && !isOnlyDeferred(content)) onReady(readyPools);
    } catch (thrown) {
      this.#options.onFailed(toError(thrown));
    }
    this.#ended();
    onProgress();
  }

  readonly #fail = (thrown: unknown): void => {
    this.#options.onFailed(toError(thrown));
    this.#ended();
  };

  #ended(): void {
    this.#pending -= 1;
    if (this.#pending > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }
}

/** A delivery that is retried in its lane, or released, keeps the lane waiting. */
function leavesLane(disposition: Disposition): boolean {
  return disposition.kind === 'retry' ? disposition.leaveLane : disposition.kind !== 'released';
}

/** Whether the only delivery that has become ready is the settled one, which is due later. */
function isOnlyDeferred({ disposition, spawn }: SettlementContent): boolean {
  return disposition.kind === 'retry' && !disposition.leaveLane && spawn.length === 0;
}

/** The settlement of a delivery without an attempt. */
export function withoutAttempt(disposition: Disposition): SettlementContent {
  return { disposition, attempt: undefined, ...nothingSpawned };
}

export const released = withoutAttempt({ kind: 'released' });

/** Emits the end of an attempt, before its disposition is stored. */
export function emitAttemptEnded(events: EventSink, { attempt, outcome, judgement, verdict, disposition, at }: ConcludedAttempt): void {
  const { delivery, number, policy } = attempt;
  events.emit('attempt.ended', {
    facts: delivery.facts,
    handler: delivery.handler,
    host: delivery.host,
    id: delivery.id,
    packetId: delivery.packetId,
    pool: delivery.pool,
    receiver: delivery.receiver,
    sender: delivery.sender,
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

/** Emits the stored settlement of an attempt: the disposition of its delivery, and the deliveries that its response created. */
export function emitSettled(
  events: EventSink,
  { attempt, verdict, at }: ConcludedAttempt,
  { disposition, spawn }: SettlementContent,
): void {
  const failure = verdict.kind === 'accepted' ? '' : verdict.reason;
  emitDisposition(events, attempt.delivery, disposition, { at, reason: disposition.kind === 'dead' ? disposition.reason : failure });
  for (const delivery of spawn) events.emit('delivery.accepted', subjectOf(delivery));
}

/** Emits the stored disposition of a delivery that died without an attempt. */
export function emitDead(events: EventSink, delivery: Claimed, disposition: Dead, at: EpochMs): void {
  emitDisposition(events, delivery, disposition, { at, reason: disposition.reason });
}

function emitDisposition(
  events: EventSink,
  delivery: Claimed,
  settled: Disposition,
  { at, reason }: { readonly at: EpochMs; readonly reason: string },
): void {
  if (settled.kind === 'released') return;
  const { facts, handler, host, id, packetId, pool, receiver, sender } = delivery;
  const purpose = purposeOf(delivery);
  const disposition = settled.kind;
  const ageMs = at - delivery.createdAt;
  events.emit('delivery.settled', { facts, handler, host, id, packetId, pool, receiver, sender, purpose, disposition, reason, ageMs });
  if (settled.kind === 'retry' && settled.leaveLane) events.emit('delivery.left-lane', { id, pool, handler });
}

function purposeOf({ target }: Pick<NewDelivery, 'target'>): Purpose {
  return target.kind === 'xmpp' ? 'message' : (target.purpose?.kind ?? 'push');
}
