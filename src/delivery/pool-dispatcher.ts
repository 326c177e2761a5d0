/**
 * Takes one pool's deliveries to its threads, and their fates back to the spool. Each handler has a queue of its own
 * (`queue.ts`). What may go is decided by the circuit breakers and pauses (`admission.ts`), the rate limit, an operator, and
 * the workers that are free; while first attempts wait, retries get no more than their share of those.
 */
import type { Outcome } from '../../pools/contract.ts';
import type { PoolConfig } from '../config/config.ts';
import type { Clock, EpochMs } from '../kit/clock.ts';
import { createDeferred } from '../kit/deferred.ts';
import { toError } from '../kit/errors.ts';
import type { Random } from '../kit/random.ts';
import { createRfc3339 } from '../kit/rfc3339.ts';
import type { Timers } from '../kit/timers.ts';
import type { Claimed, NewDelivery, Settlement, Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import { type Admission, createAdmission } from './admission.ts';
import { createAlarm } from './alarm.ts';
import {
  type Attempt,
  announceAttempt,
  announceFate,
  begin,
  type Concluded,
  conclude,
  type DeliveryPolicy,
  type Reply,
  reasonOf,
  toJob,
  toSettlement,
} from './attempt.ts';
import { threadLost } from './classify.ts';
import { whenExpired } from './decide.ts';
import { faultOf } from './fault.ts';
import { askedPatienceMs } from './patience.ts';
import type { PoolThreadsCallbacks } from './pool-thread.ts';
import type { PoolThreads } from './pool-threads.ts';
import { createQueue, type Queue } from './queue.ts';
import { createRota } from './rota.ts';
import { createTestSends } from './test-sends.ts';
import { createTokenBucket, unlimited } from './token-bucket.ts';
import { createUnderway } from './underway.ts';

/** What may change while a pool goes on. */
export interface PoolRules {
  readonly handlers: readonly string[];
  readonly policyFor: (handler: string) => DeliveryPolicy;
  /** Whether the handler's module works on its requests in the pool's threads. */
  readonly hasCallbacks: (handler: string) => boolean;
}

export interface PoolDispatcherOptions {
  readonly pool: Pick<PoolConfig, 'circuitBreaker' | 'firstAttemptShare' | 'id' | 'rateLimit' | 'workers'>;
  readonly rules: PoolRules;
  /** An operator has paused it before. */
  readonly paused: boolean;
  readonly spool: Spool;
  readonly openThreads: (callbacks: PoolThreadsCallbacks) => PoolThreads;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly events: EventSink;
  /** Pools, perhaps others, gained ready deliveries. */
  readonly onReady: (pools: readonly string[]) => void;
  /** The spool is gone: the service cannot go on. */
  readonly onFailed: (error: Error) => void;
}

export interface PoolDispatcher {
  readonly inFlight: number;
  readonly admission: Admission;
  start(): Promise<void>;
  /**
   * Lets what is in flight end, for at most `graceMs`; what is left stays on disk. `release`: the process goes on, so what was
   * claimed and not sent is given back.
   */
  stop(how: { readonly graceMs: number; readonly release: boolean }): Promise<void>;
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
  sendTest(delivery: NewDelivery): Promise<Outcome>;
}

/** One in a worker's hands and one at hand, so that no worker waits for the main thread's next turn. */
const handedPerWorker = 2;

/** The queues' bounds: enough to keep the workers busy over a commit, little enough to forget on a crash. */
const placesPerWorker = 8;
const fewestPlaces = 256;
const bufferBytes = 16 * 1024 * 1024;

export function createPoolDispatcher(options: PoolDispatcherOptions): PoolDispatcher {
  const { pool, spool, clock, timers, events, random, onFailed } = options;
  const places = Math.max(fewestPlaces, pool.workers * placesPerWorker);
  const handed = pool.workers * handedPerWorker;
  const retriesAtMost = Math.floor(handed * (1 - pool.firstAttemptShare));
  const bucket = pool.rateLimit === undefined ? unlimited : createTokenBucket(pool.rateLimit);
  const admission = createAdmission({ ...options, pool: pool.id, workers: pool.workers, config: pool.circuitBreaker, onShut: giveBack });
  const alarm = createAlarm(options, wake);
  const threads = options.openThreads({ onOutcome, onLost });
  const tests = createTestSends();
  const underway = createUnderway();
  const rfc3339 = createRfc3339();
  const drained = createDeferred<void>();
  let rules = options.rules;
  const queues = new Map(rules.handlers.map((handler) => [handler, openQueue(handler)]));
  let inTurn = [...queues.values()];
  const rota = createRota(() => inTurn);
  let paused = options.paused;
  let settling = 0;
  let throttledUntil = 0;
  const stranded: Claimed[] = [];
  let state: 'draining' | 'idle' | 'running' = 'idle';

  function openQueue(handler: string): Queue {
    const share = Math.max(1, rules.handlers.length);
    const bounds = { places: Math.ceil(places / share), bytes: Math.ceil(bufferBytes / share) };
    return createQueue({
      ...options,
      ...bounds,
      pool: pool.id,
      handler,
      admission: admission.handler(handler),
      onClaimed: pump,
      onNextAt: wakeAt,
    });
  }

  function pump(): void {
    if (state !== 'running' || paused) return;
    const now = clock.monotonic();
    while (underway.size < handed && settling < places && bucket.waitMs(now) === 0) {
      const delivery = rota.next(now, { retriesHaveTheirShare: underway.retries >= retriesAtMost });
      if (delivery === undefined) break;
      sendOrExpire(delivery);
    }
    for (const queue of inTurn) queue.refill(now);
    wakeWhenMoreMayGo(now);
  }

  function sendOrExpire(delivery: Claimed): void {
    const policy = rules.policyFor(delivery.handler);
    const fate = whenExpired(delivery, policy, clock.now());
    if (fate !== undefined) {
      void settle(delivery, { fate, attempt: undefined }, () =>
        announceFate(events, delivery, { fate, reason: fate.detail, at: clock.now() }),
      );
      return;
    }
    bucket.take(clock.monotonic());
    send(begin(delivery, policy));
  }

  function send(attempt: Attempt): void {
    const key = underway.add(attempt);
    const { handler } = attempt.delivery;
    admission.handler(handler).began();
    threads.send(toJob(attempt, { key, hasCallbacks: rules.hasCallbacks(handler), rfc3339 }));
  }

  function onOutcome(key: number, reply: Reply): void {
    if (tests.answer(key, reply.outcome)) return;
    const attempt = underway.take(key);
    if (attempt !== undefined) ended(attempt, reply, key);
  }

  function ended(attempt: Attempt, reply: Reply, key: number): void {
    const { delivery } = attempt;
    const concluded = conclude(attempt, reply, { now: clock.now(), random });
    judgeBackend(concluded);
    announceAttempt(events, concluded);
    const { fate, at } = concluded;
    void settle(delivery, toSettlement(concluded), () => {
      announceFate(events, delivery, { fate, reason: reasonOf(concluded), at });
      if (reply.judgement?.awaitsDisposition === true && fate.kind !== 'released') threads.disposed(key, fate.kind);
    });
    pump();
  }

  function judgeBackend(concluded: Concluded): void {
    const now = clock.monotonic();
    const handler = admission.handler(concluded.attempt.delivery.handler);
    handler.ended(faultOf(concluded.outcome, concluded.judgement, concluded.verdict), now);
    const patienceMs = askedPatienceMs(concluded);
    if (patienceMs !== undefined) handler.pause(patienceMs, now);
  }

  async function settle(delivery: Claimed, how: Pick<Settlement, 'attempt' | 'fate'>, tell: () => void): Promise<void> {
    const claimNext = delivery.lane !== null && reserve(delivery);
    settling += 1;
    try {
      const { next, readyPools } = await spool.settle({ seq: delivery.seq, ...how, spawn: [], claimNext });
      tell();
      if (how.fate.kind === 'retry') wakeAt(how.fate.notBefore);
      if (next !== undefined) put(next);
      if (readyPools.length > 0) options.onReady(readyPools);
    } catch (thrown) {
      onFailed(toError(thrown));
    } finally {
      if (claimNext) queues.get(delivery.handler)?.release(delivery);
      settling -= 1;
    }
    pump();
    tellIfDrained();
  }

  /** A thread died: nothing is known of these, so no attempt is spent, unless one of them is there each time a thread dies. */
  function onLost(keys: readonly number[]): void {
    for (const key of keys) {
      const lost = underway.lose(key);
      if (lost === undefined) tests.answer(key, threadDied);
      else if (!lost.again) ended(lost.attempt, { outcome: threadDied, judgement: undefined }, key);
      else sendAgain(lost.attempt);
    }
    tellIfDrained();
  }

  function sendAgain(attempt: Attempt): void {
    admission.handler(attempt.delivery.handler).ended('ours', clock.monotonic());
    if (state === 'running') send(attempt);
    else stranded.push(attempt.delivery);
  }

  /** Its queue was shut: others may have its places. It comes back when it may go again. */
  function giveBack(handler: string): void {
    const queue = queues.get(handler);
    for (const delivery of queue?.withdraw() ?? [])
      void settle(delivery, { fate: { kind: 'released' }, attempt: undefined }, () => undefined);
    queue?.wake();
  }

  function wakeWhenMoreMayGo(now: number): void {
    if (!inTurn.some((queue) => queue.isNeeded)) return;
    const throttledMs = bucket.waitMs(now);
    if (throttledMs > 0) wakeAt(clock.now() + throttledMs);
    if (throttledMs > 0 && now >= throttledUntil && underway.size < handed) {
      throttledUntil = now + throttledMs;
      events.emit('pool.throttled', { pool: pool.id, waitMs: throttledMs });
    }
    const shutMs = admission.opensInMs(now);
    if (shutMs !== undefined) wakeAt(clock.now() + shutMs);
  }

  function wakeAt(at: EpochMs): void {
    if (state === 'running') alarm.set(at);
  }

  function wake(): void {
    for (const queue of inTurn) queue.wake();
    pump();
  }

  function reserve(delivery: NewDelivery): boolean {
    return state === 'running' && !paused && queues.get(delivery.handler)?.reserve(delivery) === true;
  }

  /** A lane's next may have been moved to another handler since. */
  function put(delivery: Claimed): void {
    const queue = queues.get(delivery.handler);
    if (queue === undefined) void settle(delivery, { fate: { kind: 'released' }, attempt: undefined }, () => undefined);
    else queue.put(delivery);
  }

  function tellIfDrained(): void {
    if (state === 'draining' && underway.size === 0 && settling === 0) drained.resolve();
  }

  function change(next: PoolRules): void {
    rules = next;
    for (const handler of next.handlers) if (!queues.has(handler)) queues.set(handler, openQueue(handler));
    inTurn = next.handlers.flatMap((handler) => queues.get(handler) ?? []);
    for (const queue of queues.values()) if (!inTurn.includes(queue)) giveBack(queue.handler);
    wake();
  }

  async function stop({ graceMs, release }: Parameters<PoolDispatcher['stop']>[0]): Promise<void> {
    state = 'draining';
    alarm.clear();
    tellIfDrained();
    const callOff = timers.after(graceMs, () => drained.resolve());
    await drained.promise;
    callOff();
    tests.fail(threadDied);
    await (underway.size === 0 ? threads.stop() : threads.kill());
    if (release) await releaseAll();
  }

  async function releaseAll(): Promise<void> {
    const all = [...queues.values()];
    await Promise.all(all.map((queue) => queue.claimed()));
    const held = [...all.flatMap((queue) => queue.withdraw()), ...underway.clear().map(({ delivery }) => delivery), ...stranded];
    await Promise.all(held.map((delivery) => settle(delivery, { fate: { kind: 'released' }, attempt: undefined }, () => undefined)));
  }

  return {
    get inFlight() {
      return Math.min(underway.size, pool.workers);
    },
    admission,
    start: async () => {
      await threads.start();
      state = 'running';
      pump();
    },
    stop,
    change,
    setPaused: (now) => {
      paused = now;
      pump();
    },
    reserve,
    release: (delivery) => queues.get(delivery.handler)?.release(delivery),
    take: (delivery) => {
      put(delivery);
      pump();
    },
    wake,
    sendTest: (delivery) =>
      tests.send((key) =>
        threads.send(
          toJob(begin({ ...delivery, ...untried }, rules.policyFor(delivery.handler)), {
            key,
            hasCallbacks: rules.hasCallbacks(delivery.handler),
            rfc3339,
          }),
        ),
      ),
  };
}

/** What a request that is no delivery has in common with one that was just claimed. */
const untried = { seq: 0, attempts: 0, failingSince: undefined, context: {} };

const threadDied: Outcome = {
  kind: 'unsent',
  code: threadLost,
  message: 'the thread of the pool died while it was under way',
  durationMs: 0,
};
