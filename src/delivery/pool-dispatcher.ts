import { createRfc3339, type EpochMs } from '../kit/clock.ts';
import { createDeferred } from '../kit/lifecycle.ts';
import type { Claimed, NewDelivery } from '../model/delivery.ts';
import type { Disposition } from '../spool/spool.ts';
import { type Admission, createAdmission } from './admission.ts';
import { announceAttempt, announceDead, announceEnding } from './announce.ts';
import { type Attempt, begin, childless, conclude, type Reply } from './attempt.ts';
import { type Dead, thrownBy } from './boundary.ts';
import { noDeadlines } from './deadlines.ts';
import { whenExpired } from './decide.ts';
import { endingOf } from './follow.ts';
import { placesFor } from './places.ts';
import { type PoolRules, postingBy } from './policy.ts';
import type { HowToStop, PoolDispatcherOptions } from './pool-dispatcher-options.ts';
import { createPoolQueues } from './pool-queues.ts';
import { createSettler } from './settler.ts';
import { Shortage } from './shortage.ts';
import { createTestSends, type TestAnswer } from './test-sends.ts';
import { createThrottle } from './throttle.ts';
import { createUnderway, lostReply, notHandedOver } from './underway.ts';
import { createWakeUps } from './wake-ups.ts';

export interface PoolDispatcher {
  readonly inFlight: number;
  readonly admission: Admission;
  start(): Promise<void>;
  stop(how: HowToStop): Promise<void>;
  change(rules: PoolRules): void;
  setPaused(paused: boolean): void;
  /** Keeps a place for a delivery about to be stored; false while others wait before it. */
  reserve(delivery: NewDelivery): boolean;
  release(delivery: NewDelivery): void;
  /** Takes a claimed delivery. */
  take(delivery: Claimed): void;
  /** The spool may hold ready deliveries of this pool. */
  wake(): void;
  /** Sends a request that is no delivery, beside all queues and limits. */
  sendTest(delivery: NewDelivery): Promise<TestAnswer>;
}

export function createPoolDispatcher(options: PoolDispatcherOptions): PoolDispatcher {
  const { pool, clock, timers, events, random, follow = [] } = options;
  const { places, bytes, handed } = placesFor(pool.workers);
  const retriesAtMost = Math.floor(handed * (1 - pool.firstAttemptShare));
  const throttle = createThrottle(pool.id, pool.rateLimit, events);
  const own = { ...options, pool: pool.id };
  const admission = createAdmission({ ...own, workers: pool.workers, config: pool.circuitBreaker, onShut: giveBack });
  let { rules, paused } = options;
  const deadlines = options.openDeadlines?.({ rules: () => rules, admission, clock }) ?? noDeadlines;
  const queues = createPoolQueues({
    ...{ ...own, admission, places, bytes, handlers: rules.handlers, isImpatient: (queue) => rules.asks(queue) },
    ...{ onClaimed: pump, onNextAt: wakeAt },
  });
  const wakeUps = createWakeUps({ ...options, throttle, admission }, wake);
  const carrier = options.openCarrier({ onOutcome, onLost });
  const settler = createSettler({ ...options, reserve, release: queues.release, onNext: put, onSettled });
  const tests = createTestSends({ clock, deadlines, post: carrier.carry });
  const underway = createUnderway();
  const shortage = new Shortage({ ...own, onOver: take });
  const stranded: Claimed[] = [];
  const rfc3339 = createRfc3339();
  const drained = createDeferred<void>();
  let state: 'draining' | 'idle' | 'running' = 'idle';

  function pump(): void {
    if (state !== 'running' || paused) return;
    const now = clock.monotonic();
    for (let ask = nextUnasked(now); ask !== undefined; ask = nextUnasked(now)) endUnsent(ask, now);
    while (!shortage.isHolding && underway.size < handed && settler.pending < places && throttle.waitMs(now) === 0) {
      const delivery = queues.next(now, { retriesHaveTheirShare: underway.retries >= retriesAtMost });
      if (delivery === undefined) break;
      const dead = thrownBy('starting an attempt', () => sendOrExpire(delivery, now));
      if (dead !== undefined) end(delivery, dead);
    }
    queues.refill(now);
    if (!queues.isNeeded()) return;
    if (underway.size < handed) throttle.tell(now);
    wakeUps.whenMoreMayGo(now);
  }

  /** A question that is not to be put any more, though no worker is free; of others it is remembered when that is so. */
  function nextUnasked(now: number): Claimed | undefined {
    if (settler.pending >= places) return undefined;
    return queues.nextImpatient((ask) => {
      const until = deadlines.waitsUntil(ask) ?? 0;
      if (until > clock.now()) wakeAt(until);
      return deadlines.unsentOutcome(ask, now) !== undefined;
    });
  }

  /** Ends a question without an attempt; false where an attempt may be made. */
  function endUnsent(delivery: Claimed, now: number): boolean {
    const outcome = deadlines.unsentOutcome(delivery, now);
    if (outcome === undefined) return false;
    const concluded = conclude(begin(delivery, rules.policyFor(delivery)), { outcome, judgement: undefined }, { now: clock.now(), random });
    void settler.settle(delivery, endingOf(concluded, follow), (settled) => announceEnding(events, concluded, settled));
    return true;
  }

  function sendOrExpire(delivery: Claimed, now: number): void {
    if (endUnsent(delivery, now)) return;
    const policy = rules.policyFor(delivery);
    const disposition = whenExpired(delivery, policy, clock.now());
    if (disposition !== undefined) return end(delivery, disposition);
    throttle.take(now);
    send(begin(delivery, policy));
  }

  /** Ends a delivery without an attempt. */
  function end(delivery: Claimed, disposition: Dead): void {
    void settler.settle(delivery, { disposition, attempt: undefined, ...childless }, () =>
      announceDead(events, delivery, disposition, clock.now()),
    );
  }

  function send(attempt: Attempt): void {
    const key = underway.add(attempt);
    const { delivery } = attempt;
    admission.handler(delivery.handler).began();
    const posting = () => ({ key, ...postingBy(rules, delivery), within: deadlines.within(delivery), rfc3339 });
    const dead = thrownBy('handing it to its pool', () => carrier.carry(attempt, posting()));
    if (dead !== undefined) setImmediate(onOutcome, key, notHandedOver(dead.detail));
  }

  function onOutcome(key: number, reply: Reply): void {
    const attempt = underway.take(key);
    if (attempt !== undefined) return shortage.isMetBy(reply) ? spare(attempt, shortage.hold) : ended(attempt, reply, key);
    const disposition = tests.answer(key, reply);
    if (disposition !== undefined) carrier.disposed(key, disposition);
  }

  function ended(attempt: Attempt, reply: Reply, key: number): void {
    const { delivery } = attempt;
    const concluded = conclude(attempt, reply, { now: clock.now(), random });
    admission.heed(concluded);
    if (pool.pauseOnGone && reply.outcome.kind === 'answered' && reply.outcome.status === 410 && !rules.asks(delivery.handler))
      options.onGone();
    announceAttempt(events, concluded);
    void settler.settle(delivery, endingOf(concluded, follow), (settled) => {
      announceEnding(events, concluded, settled);
      whenSettled(settled.disposition, reply, key);
    });
    pump();
  }

  function whenSettled(disposition: Disposition, { judgement }: Reply, key: number): void {
    if (disposition.kind === 'retry') wakeAt(disposition.notBefore);
    if (judgement?.awaitsDisposition === true && disposition.kind !== 'released') carrier.disposed(key, disposition.kind);
  }

  /** A handler was shut: others may have its places. */
  function giveBack(handler: string): void {
    for (const delivery of queues.withdraw(handler)) void settler.letGo(delivery);
  }

  /** A thread died: nothing is known of these, so no attempt is spent, unless one of them is there each time a thread dies. */
  function onLost(keys: readonly number[]): void {
    for (const key of keys) {
      const lost = underway.lose(key);
      if (lost === undefined) tests.answer(key, lostReply);
      else if (lost.again) spare(lost.attempt, send);
      else ended(lost.attempt, lostReply, key);
    }
    tellIfDrained();
  }

  /** The backend was not reached, so the attempt does not count. */
  function spare(attempt: Attempt, goOn: (attempt: Attempt) => void): void {
    admission.handler(attempt.delivery.handler).ended('ours', clock.monotonic());
    if (state === 'running') goOn(attempt);
    else stranded.push(attempt.delivery);
    tellIfDrained();
  }

  function wakeAt(at: EpochMs): void {
    if (state === 'running') wakeUps.at(at);
  }

  function wake(): void {
    queues.wake();
    pump();
  }

  function reserve(delivery: NewDelivery): boolean {
    return state === 'running' && !paused && queues.reserve(delivery);
  }

  function take(delivery: Claimed): void {
    put(delivery);
    pump();
  }

  function put(delivery: Claimed): void {
    if (!queues.put(delivery)) void settler.letGo(delivery);
  }

  function onSettled(): void {
    pump();
    tellIfDrained();
  }

  function tellIfDrained(): void {
    if (state === 'draining' && underway.size === 0 && settler.pending === 0) drained.resolve();
  }

  async function stop({ graceMs, release }: HowToStop): Promise<void> {
    state = 'draining';
    wakeUps.clear();
    stranded.push(...shortage.release());
    carrier.drain();
    tellIfDrained();
    const callOff = timers.after(graceMs, () => drained.resolve());
    await drained.promise;
    callOff();
    tests.endAll(lostReply);
    await (underway.size === 0 ? carrier.stop() : carrier.kill());
    if (!release) return;
    admission.end();
    const held = [...(await queues.withdrawAll()), ...underway.clear().map(({ delivery }) => delivery), ...stranded];
    await Promise.all(held.map(settler.letGo));
  }

  return {
    get inFlight() {
      return Math.min(underway.size, pool.workers);
    },
    admission,
    start: async () => {
      await carrier.start();
      state = 'running';
      deadlines.restart();
      pump();
    },
    stop,
    change: (next) => {
      rules = next;
      admission.serve(next.handlers);
      void queues.serve(next.handlers).then((held) => Promise.all(held.map(settler.letGo)));
      pump();
    },
    setPaused: (now) => {
      paused = now;
      deadlines.restart();
      pump();
    },
    reserve,
    release: queues.release,
    take,
    wake,
    sendTest: (delivery) => tests.send(delivery, rules),
  };
}
