/** Stores the dispositions of a pool's deliveries, and reports them as events. */
import type { EpochMs } from '../kit/clock.ts';
import { toError } from '../kit/errors.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Disposition, Spool } from '../spool/spool.ts';
import type { EventSink, Purpose } from '../telemetry/events.ts';
import { type ConcludedAttempt, nothingSpawned, type SettlementContent } from './attempt.ts';
import { type Dead, internalError, isSpoolFailure } from './error-boundary.ts';

interface SettlerOptions {
  readonly spool: Spool;
  /** Reserves capacity for the next delivery of a lane; false: it must not be claimed. */
  reserve(delivery: Claimed): boolean;
  release(delivery: Claimed): void;
  onNext(next: Claimed): void;
  onReady(pools: readonly string[]): void;
  /** A settlement has been stored, or has failed. */
  onSettled(): void;
  onFailed(error: Error): void;
}

type Stored = Awaited<ReturnType<Spool['settle']>> & { readonly stored: SettlementContent };

/** Settles deliveries in the spool, and claims the next of their lanes. */
export class Settler {
  readonly #options: SettlerOptions;
  #pending = 0;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Settlements that are not on disk yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Counts as pending from the call, also while `content` is a promise. `onStored` is called after the commit with the stored content. */
  async settle(
    delivery: Claimed,
    content: SettlementContent | Promise<SettlementContent>,
    onStored: (stored: SettlementContent) => void,
  ): Promise<void> {
    const { reserve, release, onNext, onReady, onSettled, onFailed } = this.#options;
    const claimNext = delivery.lane !== null && reserve(delivery);
    this.#pending += 1;
    try {
      const resolved = content instanceof Promise ? await content : content;
      const { stored, next, readyPools } = await this.#store(delivery.seq, resolved, claimNext);
      onStored(stored);
      if (next !== undefined) onNext(next);
      if (readyPools.length > 0) onReady(readyPools);
    } catch (thrown) {
      onFailed(toError(thrown));
    } finally {
      if (claimNext) release(delivery);
      this.#pending -= 1;
    }
    onSettled();
  }

  /** A settlement that cannot be stored makes its delivery a dead letter; only a failure of the spool stops the service. */
  async #store(seq: number, content: SettlementContent, claimNext: boolean): Promise<Stored> {
    const { spool } = this.#options;
    try {
      return { stored: content, ...(await spool.settle({ seq, ...content, claimNext })) };
    } catch (thrown) {
      if (isSpoolFailure(thrown)) throw thrown;
      const dead = withoutAttempt(internalError('storing its disposition', thrown));
      return { stored: dead, ...(await spool.settle({ seq, ...dead, claimNext })) };
    }
  }

  /** Returns a delivery to the spool unchanged, where it can be claimed again. */
  readonly release = (delivery: Claimed): Promise<void> => this.settle(delivery, released, () => undefined);
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

/** Emits the stored settlement of an attempt: the disposition of its delivery, and the deliveries that its response created. */
export function emitSettled(
  events: EventSink,
  { attempt, verdict, at }: ConcludedAttempt,
  { disposition, spawn }: SettlementContent,
): void {
  const failure = verdict.kind === 'accepted' ? '' : verdict.reason;
  emitDisposition(events, attempt.delivery, disposition, { at, reason: disposition.kind === 'dead' ? disposition.reason : failure });
  for (const { pool, handler, host } of spawn) events.emit('delivery.accepted', { pool, handler, host });
}

/** Emits the stored disposition of a delivery that died without an attempt. */
export function emitDead(events: EventSink, delivery: Claimed, disposition: Dead, at: EpochMs): void {
  emitDisposition(events, delivery, disposition, { at, reason: disposition.reason });
}

function emitDisposition(
  events: EventSink,
  delivery: Claimed,
  disposition: Disposition,
  { at, reason }: { readonly at: EpochMs; readonly reason: string },
): void {
  if (disposition.kind === 'released') return;
  const { id, pool, handler, host, createdAt } = delivery;
  const purpose = purposeOf(delivery);
  events.emit('delivery.settled', { id, pool, handler, host, purpose, disposition: disposition.kind, reason, ageMs: at - createdAt });
  if (disposition.kind === 'retry' && disposition.leaveLane) events.emit('delivery.left-lane', { id, pool, handler });
}

function purposeOf({ target }: Pick<NewDelivery, 'target'>): Purpose {
  return target.kind === 'xmpp' ? 'message' : (target.purpose?.kind ?? 'push');
}
