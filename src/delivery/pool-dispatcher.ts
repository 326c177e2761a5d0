import type { PoolConfig } from '../config/config.ts';
import { type Clock, createRfc3339, type EpochMs, type Timers } from '../kit/clock.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import { Alarm, type Random } from '../kit/pacing.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Spool } from '../spool/spool.ts';
import type { EventSink, Events } from '../telemetry/events.ts';
import { Admission, Shortage, Throttle } from './admission.ts';
import { type Attempt, begin, conclude, type Follow, type Reply, settlementOf } from './attempt.ts';
import { whenExpired } from './decide.ts';
import { type Dead, internalError } from './error-boundary.ts';
import type { Carrier, Deadlines, DeadlinesOptions, OpenCarrier } from './extensions.ts';
import { InFlight, lostReply, notHandedOverReply, type TestAnswer, TestRequests } from './in-flight.ts';
import { jobOptionsOf, limitsOf, type PoolRules, pausedName } from './policy.ts';
import { PoolQueues } from './queues.ts';
import { emitAttemptEnded, emitDead, emitSettled, Settler, withoutAttempt } from './settle.ts';

export interface PoolDispatcherOptions {
  readonly pool: Pick<PoolConfig, 'circuitBreaker' | 'firstAttemptShare' | 'id' | 'pauseOnGone' | 'rateLimit' | 'workers'>;
  readonly rules: PoolRules;
  readonly spool: Spool;
  readonly openCarrier: OpenCarrier;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Steps after a response, in this order; the first result counts. Default: none. */
  readonly follow?: readonly Follow[];
  /** Default: no delivery has a deadline. */
  readonly openDeadlines?: (options: DeadlinesOptions) => Deadlines;
  /** The backend answered 410 (gone), and the pool is configured to pause then. */
  readonly onGone: () => void;
  /** Pools that gained ready deliveries, possibly others than this one. */
  readonly onReady: (pools: readonly string[]) => void;
  /** The spool has failed: the service cannot go on. */
  readonly onFailed: (error: Error) => void;
}

interface StopOptions {
  /** Time for attempts in flight to end, ms; the other deliveries stay on disk. */
  readonly graceMs: number;
  /** The process continues, so unfinished claims are released. */
  readonly release: boolean;
}

/** Dispatches the deliveries of one pool: from its queues through its carrier to the settlement. */
export class PoolDispatcher {
  readonly admission: Admission;
  readonly #options: PoolDispatcherOptions;
  readonly #clock: Clock;
  readonly #events: EventSink;
  readonly #follow: readonly Follow[];
  readonly #limits: ReturnType<typeof limitsOf>;
  readonly #queues: PoolQueues;
  readonly #carrier: Carrier;
  readonly #deadlines: Deadlines | undefined;
  readonly #settler: Settler;
  readonly #throttle: Throttle;
  readonly #shortage: Shortage;
  readonly #tests: TestRequests;
  readonly #alarm: Alarm;
  readonly #inFlight = new InFlight();
  /** Deliveries whose attempt did not count and that were not sent again, because the pool is stopping. */
  readonly #unsent: Claimed[] = [];
  readonly #rfc3339 = createRfc3339();
  readonly #drained = createDeferred<void>();
  /** Names of what an operator has paused. */
  readonly #paused: Set<string>;
  #rules: PoolRules;
  #state: 'draining' | 'idle' | 'running' = 'idle';
  #isPumpDue = false;

  constructor(options: PoolDispatcherOptions) {
    const { pool, rules, clock, events, timers, openDeadlines } = options;
    const parts = { ...options, pool: pool.id };
    this.#options = options;
    this.#clock = clock;
    this.#events = events;
    this.#follow = options.follow ?? [];
    this.#rules = rules;
    this.#paused = new Set(options.spool.stats().paused);
    this.#limits = limitsOf(pool);
    this.admission = new Admission({
      ...parts,
      workers: pool.workers,
      config: pool.circuitBreaker,
      onBlocked: (handler) => this.#returnToSpool(this.#queues.withdraw(handler)),
    });
    this.#deadlines = openDeadlines?.({ rules: () => this.#rules, admission: this.admission, clock });
    this.#queues = new PoolQueues({
      ...{ ...parts, ...this.#limits, admission: this.admission },
      hasDeadlines: (queue) => this.#rules.asks(queue),
      onClaimed: (count) => this.#claimed('spool', count),
      onNextAt: (at) => this.#wakeAt(at),
    });
    this.#throttle = new Throttle(pool.id, pool.rateLimit, events);
    this.#shortage = new Shortage({ ...parts, onOver: (delivery) => this.#putBack(delivery) });
    this.#alarm = new Alarm({ clock, timers }, () => this.#onAlarm());
    this.#carrier = options.openCarrier({
      onOutcome: (key, reply) => this.#onOutcome(key, reply),
      onLost: (keys) => this.#onLost(keys),
    });
    this.#tests = new TestRequests({ clock, deadlines: this.#deadlines, carrier: this.#carrier });
    this.#settler = new Settler({
      ...options,
      queues: this.#queues,
      reserve: (delivery) => this.reserve(delivery),
      onNext: (next) => this.#takeNext(next),
      onProgress: () => this.#onProgress(),
    });
  }

  async start(): Promise<void> {
    await this.#carrier.start();
    this.#state = 'running';
    this.#deadlines?.restart();
    this.#serve();
  }

  /** Number of busy workers. */
  get inFlight(): number {
    return Math.min(this.#inFlight.size, this.#options.pool.workers);
  }

  /** Changes the rules and the served handlers. */
  change(rules: PoolRules): void {
    this.#rules = rules;
    this.admission.keepOnly(rules.handlers);
    this.#serve();
  }

  /** Pauses or resumes a handler; without a name, the pool. */
  setPaused(paused: boolean, handler = ''): void {
    this.#paused[paused ? 'add' : 'delete'](pausedName(this.#options.pool.id, handler));
    this.#deadlines?.restart();
    this.#serve();
  }

  /** Removed and paused handlers return their deliveries to the spool, where an operator can drop or move them. */
  #serve(): void {
    this.#queues.serve(this.#rules.handlers, (handler) => this.#paused.has(pausedName(this.#options.pool.id, handler)));
    void this.#queues.claimed().then(() => this.#returnToSpool(this.#queues.withdrawUnserved()));
    this.#pump();
  }

  /** Sends a request that is not stored, outside all queues and limits. */
  sendTest(delivery: NewDelivery): Promise<TestAnswer> {
    return this.#tests.send(delivery, this.#rules);
  }

  /** Reserves capacity for a delivery about to be stored; false while others wait before it. */
  reserve(delivery: NewDelivery): boolean {
    return this.#state === 'running' && this.#queues.reserve(delivery);
  }

  release(delivery: NewDelivery): void {
    this.#queues.release(delivery);
  }

  /** A delivery was stored without being claimed. */
  unclaimed(delivery: NewDelivery): void {
    this.#queues.unclaimed(delivery);
    this.#pumpSoon();
  }

  /** Takes over a delivery that its append has claimed. */
  take(delivery: Claimed): void {
    this.#put(delivery);
    this.#claimed('append', 1);
  }

  #takeNext(next: readonly Claimed[]): void {
    for (const delivery of next) this.#put(delivery);
    this.#claimed('next', next.length);
  }

  #claimed(how: Events['delivery.claimed']['how'], count: number): void {
    if (count > 0) this.#events.emit('delivery.claimed', { pool: this.#options.pool.id, how, count });
    this.#pumpSoon();
  }

  #put(delivery: Claimed): void {
    if (!this.#queues.put(delivery)) this.#returnToSpool(this.#queues.withdraw(delivery.handler));
  }

  #putBack(delivery: Claimed): void {
    if (!this.#queues.putBack(delivery)) this.#returnToSpool(this.#queues.withdraw(delivery.handler));
    this.#pumpSoon();
  }

  /** The spool may hold ready deliveries of this pool. */
  wake(): void {
    this.#queues.wake();
    this.#pumpSoon();
  }

  #onAlarm(): void {
    this.#queues.wakeDue(this.#clock.now());
    this.#pumpSoon();
  }

  /** Once for all deliveries, outcomes and settlements of the same turn. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    queueMicrotask(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #wakeAt(at: EpochMs): void {
    if (this.#state === 'running') this.#alarm.set(at);
  }

  /** Begins all attempts that may begin now. */
  #pump(): void {
    if (this.#state !== 'running') return;
    const now = this.#clock.monotonic();
    this.#endOverdue(now);
    while (this.#mayBegin(now)) {
      const delivery = this.#queues.next(now, { retriesUsedShare: this.#inFlight.retries >= this.#limits.retries });
      if (delivery === undefined) break;
      this.#begin(delivery, now);
    }
    this.#queues.refill(now);
    if (!this.#queues.isNeeded()) return;
    if (this.#inFlight.size < this.#limits.inFlight) this.#throttle.report(now);
    this.#wakeWhenAdmitted(now);
  }

  #mayBegin(now: number): boolean {
    if (this.#shortage.isHolding || this.#throttle.waitMs(now) > 0) return false;
    return this.#inFlight.size < this.#limits.inFlight && this.#settler.pending < this.#limits.settlements;
  }

  /** Ends the deliveries that must not be sent any more, even if no worker is free, and schedules the check of the others. */
  #endOverdue(now: number): void {
    const deadlines = this.#deadlines;
    if (deadlines === undefined) return;
    const isOverdue = (delivery: Claimed): boolean => {
      const until = deadlines.waitsUntil(delivery) ?? 0;
      if (until > this.#clock.now()) this.#wakeAt(until);
      return deadlines.unsentOutcome(delivery, now) !== undefined;
    };
    while (this.#settler.pending < this.#limits.settlements) {
      const delivery = this.#queues.nextWithDeadline(isOverdue);
      if (delivery === undefined) return;
      this.#endUnsent(delivery, now);
    }
  }

  /** Wakes when the rate limit, a pause or a circuit breaker admits attempts that may not begin now. */
  #wakeWhenAdmitted(now: number): void {
    const throttledMs = this.#throttle.waitMs(now);
    if (throttledMs > 0) this.#wakeAt(this.#clock.now() + throttledMs);
    const blockedMs = this.admission.opensInMs(now);
    if (blockedMs !== undefined) this.#wakeAt(this.#clock.now() + blockedMs);
  }

  #begin(delivery: Claimed, now: number): void {
    try {
      this.#sendOrEnd(delivery, now);
    } catch (thrown) {
      this.#endDead(delivery, internalError('starting an attempt', thrown));
    }
  }

  #sendOrEnd(delivery: Claimed, now: number): void {
    if (this.#endUnsent(delivery, now)) return;
    const policy = this.#rules.policyFor(delivery);
    const expired = whenExpired(delivery, policy, this.#clock.now());
    if (expired !== undefined) return this.#endDead(delivery, expired);
    this.#throttle.take(now);
    this.#send(begin(delivery, policy));
  }

  /** Concludes a delivery with a missed deadline without sending it; false if it may be sent. */
  #endUnsent(delivery: Claimed, now: number): boolean {
    const outcome = this.#deadlines?.unsentOutcome(delivery, now);
    if (outcome === undefined) return false;
    const attempt = begin(delivery, this.#rules.policyFor(delivery));
    const concluded = conclude(attempt, { outcome, judgement: undefined }, { now: this.#clock.now(), random: this.#options.random });
    this.#settler.settle(delivery, settlementOf(concluded, this.#follow), (stored) => emitSettled(this.#events, concluded, stored));
    return true;
  }

  #endDead(delivery: Claimed, disposition: Dead): void {
    const emit = (): void => emitDead(this.#events, delivery, disposition, this.#clock.now());
    this.#settler.settle(delivery, withoutAttempt(disposition), emit);
  }

  readonly #send = (attempt: Attempt): void => {
    const key = this.#inFlight.add(attempt);
    const { delivery } = attempt;
    this.admission.handler(delivery.handler).began();
    try {
      const within = this.#deadlines?.within(delivery);
      this.#carrier.carry(attempt, jobOptionsOf(this.#rules, delivery, { key, within, rfc3339: this.#rfc3339 }));
    } catch (thrown) {
      const { detail } = internalError('handing it to a pool thread', thrown);
      setImmediate(() => this.#onOutcome(key, notHandedOverReply(detail)));
    }
  };

  #onOutcome(key: number, reply: Reply): void {
    const attempt = this.#inFlight.take(key);
    if (attempt === undefined) return this.#onTestOutcome(key, reply);
    if (this.#shortage.caused(reply)) this.#discount(attempt, this.#shortage.hold);
    else this.#conclude(attempt, reply, key);
  }

  #onTestOutcome(key: number, reply: Reply): void {
    const disposition = this.#tests.answer(key, reply);
    if (disposition !== undefined) this.#carrier.disposed(key, disposition);
  }

  #conclude(attempt: Attempt, reply: Reply, key: number): void {
    const { delivery } = attempt;
    const concluded = conclude(attempt, reply, { now: this.#clock.now(), random: this.#options.random });
    this.admission.record(concluded);
    this.#pauseIfGone(delivery, reply);
    emitAttemptEnded(this.#events, concluded);
    this.#settler.settle(delivery, settlementOf(concluded, this.#follow), (stored) => {
      const { disposition } = stored;
      emitSettled(this.#events, concluded, stored);
      if (reply.judgement?.awaitsDisposition === true && disposition.kind !== 'released') this.#carrier.disposed(key, disposition.kind);
    });
  }

  #pauseIfGone({ handler }: Claimed, { outcome }: Reply): void {
    const { pool, onGone } = this.#options;
    if (pool.pauseOnGone && outcome.kind === 'answered' && outcome.status === 410 && !this.#rules.asks(handler)) onGone();
  }

  /** A thread died: its attempts do not count and are sent again, except those that were in flight at too many deaths. */
  #onLost(keys: readonly number[]): void {
    for (const key of keys) {
      const lost = this.#inFlight.lose(key);
      if (lost === undefined) this.#tests.answer(key, lostReply);
      else if (lost.again) this.#discount(lost.attempt, this.#send);
      else this.#conclude(lost.attempt, lostReply, key);
    }
    this.#checkDrained();
  }

  /** Ends an attempt that does not count, because its backend was not reached. */
  #discount(attempt: Attempt, next: (attempt: Attempt) => void): void {
    this.admission.handler(attempt.delivery.handler).ended('unknown', this.#clock.monotonic());
    if (this.#state === 'running') next(attempt);
    else this.#unsent.push(attempt.delivery);
    this.#checkDrained();
  }

  #onProgress(): void {
    this.#pumpSoon();
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#state === 'draining' && this.#inFlight.size === 0 && this.#settler.pending === 0) this.#drained.resolve();
  }

  async stop({ graceMs, release }: StopOptions): Promise<void> {
    this.#state = 'draining';
    this.#alarm.clear();
    this.#unsent.push(...this.#shortage.release());
    this.#carrier.drain();
    this.#checkDrained();
    const cancelTimer = this.#options.timers.after(graceMs, () => this.#drained.resolve());
    await this.#drained.promise;
    cancelTimer();
    this.#tests.answerAll(lostReply);
    await (this.#inFlight.size === 0 ? this.#carrier.stop() : this.#carrier.kill());
    if (!release) return;
    this.admission.close();
    await this.#queues.claimed();
    const sent = this.#inFlight.clear().map(({ delivery }) => delivery);
    this.#returnToSpool([...this.#queues.withdrawAll(), ...sent, ...this.#unsent]);
    await this.#settler.idle();
    this.#returnToSpool(this.#queues.withdrawAll()); // claimed by settlements that were not on disk yet
    await this.#settler.idle();
  }

  #returnToSpool(deliveries: readonly Claimed[]): void {
    deliveries.forEach(this.#settler.release);
  }
}
