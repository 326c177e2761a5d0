/**
 * Takes one pool's deliveries to its threads, and their fates back to the spool.
 *
 * A delivery reaches the pool by one of three doors and then waits in the same short buffer:
 * - *at birth*: it was claimed in the commit that stored it; its body never left memory;
 * - *as next*: the commit that settled its lane's head claimed it;
 * - *by claim*: the buffer had been full, or it was not due yet, so it waited in the spool.
 *
 * While more ready deliveries wait in the spool than the buffer can take (`backlogged`) the first two doors are shut, so
 * that nobody overtakes those who wait. The buffer is bounded in number and bytes; the threads keep to `workers` requests in flight.
 */
import type { Outcome } from '../../pools/contract.ts';
import type { Clock, EpochMs } from '../kit/clock.ts';
import { createDeferred } from '../kit/deferred.ts';
import { toError } from '../kit/errors.ts';
import type { Random } from '../kit/random.ts';
import { createRfc3339 } from '../kit/rfc3339.ts';
import type { Timers } from '../kit/timers.ts';
import type { Claimed, NewDelivery, Spool } from '../spool/spool.ts';
import type { EventSink } from '../telemetry/events.ts';
import { createAlarm } from './alarm.ts';
import {
  type Attempt,
  announceAttempt,
  announceFate,
  begin,
  type Concluded,
  conclude,
  type DeliveryPolicy,
  toJob,
  toSettlement,
} from './attempt.ts';
import { createDeliveryBuffer } from './buffer.ts';
import type { PoolThreadsCallbacks } from './pool-thread.ts';
import type { PoolThreads } from './pool-threads.ts';

export interface PoolDispatcherOptions {
  readonly pool: string;
  readonly workers: number;
  readonly spool: Spool;
  readonly openThreads: (callbacks: PoolThreadsCallbacks) => PoolThreads;
  readonly policyFor: (handler: string) => DeliveryPolicy;
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
  start(): Promise<void>;
  /** Lets what is in flight end, for at most `graceMs`; what is left stays on disk. */
  stop(graceMs: number): Promise<void>;
  /** Keeps a place for a delivery about to be stored; false while others wait before it. */
  reserve(delivery: NewDelivery): boolean;
  release(delivery: NewDelivery): void;
  /** Takes a claimed delivery. */
  take(delivery: Claimed): void;
  /** The spool may hold ready deliveries of this pool. */
  wake(): void;
}

/** One in a worker's hands and one at hand, so that no worker waits for the main thread's next turn. */
const handedPerWorker = 2;

/** The buffer's bounds: enough to keep the workers busy over a commit, little enough to forget on a crash. */
const placesPerWorker = 8;
const fewestPlaces = 256;
const bufferBytes = 16 * 1024 * 1024;

export function createPoolDispatcher(options: PoolDispatcherOptions): PoolDispatcher {
  const { pool, workers, spool, clock, random, events, onFailed } = options;
  const places = Math.max(fewestPlaces, workers * placesPerWorker);
  const buffer = createDeliveryBuffer({ places, bytes: bufferBytes });
  const alarm = createAlarm(options, wake);
  const threads = options.openThreads({ onOutcome, onLost });
  const rfc3339 = createRfc3339();
  const underway = new Map<number, Attempt>();
  let settling = 0;
  let lastKey = 0;
  let backlogged = true;
  let claiming = false;
  let state: 'draining' | 'idle' | 'running' = 'idle';
  const drained = createDeferred<void>();

  function pump(): void {
    while (state === 'running' && underway.size < workers * handedPerWorker) {
      const delivery = buffer.take();
      if (delivery === undefined) break;
      send(begin(delivery, options.policyFor(delivery.handler)));
    }
    if (backlogged && buffer.room >= places / 2) void claimMore();
  }

  function send(attempt: Attempt): void {
    lastKey += 1;
    underway.set(lastKey, attempt);
    threads.send(toJob(attempt, lastKey, rfc3339));
  }

  function onOutcome(key: number, outcome: Outcome): void {
    const attempt = underway.get(key);
    if (attempt === undefined) return; // its thread was given up, and it was sent again by another
    underway.delete(key);
    const concluded = conclude(attempt, outcome, { now: clock.now(), random });
    announceAttempt(events, concluded);
    void settle(concluded);
    pump();
  }

  async function settle(concluded: Concluded): Promise<void> {
    const { delivery } = concluded.attempt;
    const claimNext = delivery.lane !== null && reserve(delivery);
    settling += 1;
    try {
      const { next, readyPools } = await spool.settle(toSettlement(concluded, claimNext));
      announceFate(events, concluded);
      if (concluded.fate.kind === 'retry') wakeAt(concluded.fate.notBefore);
      if (next !== undefined) buffer.put(next);
      if (readyPools.length > 0) options.onReady(readyPools);
    } catch (thrown) {
      onFailed(toError(thrown));
    } finally {
      if (claimNext) buffer.release(delivery);
      settling -= 1;
    }
    pump();
    tellIfDrained();
  }

  /** A thread died: nothing is known of these, so no attempt is spent; they go again, first. */
  function onLost(keys: readonly number[]): void {
    for (const key of keys) {
      const attempt = underway.get(key);
      underway.delete(key);
      if (attempt === undefined) continue;
      if (state === 'running') send(attempt);
    }
    tellIfDrained();
  }

  async function claimMore(): Promise<void> {
    if (claiming || state !== 'running') return;
    claiming = true;
    backlogged = false; // who wakes us from here on has stored something that this claim may miss
    try {
      const limit = buffer.room;
      const { claimed, nextAt } = await spool.claim(pool, { limit, bytes: buffer.roomBytes, now: clock.now() });
      for (const delivery of claimed) buffer.put(delivery);
      if (nextAt !== undefined) remember(nextAt);
    } catch (thrown) {
      onFailed(toError(thrown));
    }
    claiming = false;
    pump();
  }

  function remember(nextAt: EpochMs): void {
    if (nextAt <= clock.now()) backlogged = true;
    else wakeAt(nextAt);
  }

  function wakeAt(at: EpochMs): void {
    if (state === 'running') alarm.set(at);
  }

  function wake(): void {
    backlogged = true;
    pump();
  }

  function reserve(delivery: NewDelivery): boolean {
    return state === 'running' && !backlogged && buffer.reserve(delivery);
  }

  function tellIfDrained(): void {
    if (state === 'draining' && underway.size === 0 && settling === 0) drained.resolve();
  }

  return {
    get inFlight() {
      return Math.min(underway.size, workers);
    },
    start: async () => {
      await threads.start();
      state = 'running';
      pump();
    },
    stop: async (graceMs) => {
      state = 'draining';
      alarm.clear();
      tellIfDrained();
      const callOff = options.timers.after(graceMs, () => drained.resolve());
      await drained.promise;
      callOff();
      await (underway.size === 0 ? threads.stop() : threads.kill());
    },
    reserve,
    release: (delivery) => buffer.release(delivery),
    take: (delivery) => {
      buffer.put(delivery);
      pump();
    },
    wake,
  };
}
