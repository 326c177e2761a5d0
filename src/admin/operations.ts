import type { PoolConfig } from '../config/config.ts';
import type { Config } from '../config/service-config.ts';
import { readAnswer } from '../delivery/ask/answer.ts';
import type { Dispatcher } from '../delivery/dispatcher.ts';
import { isFollowUpPool, pausedName, queuesOf } from '../delivery/policy.ts';
import type { PrepareAsked } from '../hooks/before-push/pushes.ts';
import { markedAsTest, type Replayer, type ReplayReport } from '../hooks/replay.ts';
import type { Clock, EpochMs } from '../kit/clock.ts';
import { ServiceError } from '../kit/errors.ts';
import type { Outcome } from '../model/attempt.ts';
import type { DeliveryId, NewRequest, QueueName } from '../model/delivery.ts';
import type { DeadFilter, QueueDepth, Spool } from '../spool/spool.ts';
import type { BreakerState } from '../telemetry/events.ts';
import type { AttemptSummary, RecentAttempts } from '../telemetry/recent.ts';

interface OperationsOptions {
  /** The current configuration. */
  readonly config: () => Pick<Config, 'handlers' | 'hosts' | 'pools'>;
  readonly spool: Pick<Spool, 'moveQueue' | 'purgeQueue' | 'stats'>;
  readonly dispatcher: Pick<Dispatcher, 'admission' | 'inFlight' | 'orphans' | 'sendTest' | 'setPaused' | 'wake'>;
  readonly replayer: Pick<Replayer, 'replay' | 'testRequest'>;
  readonly prepareAsked: PrepareAsked;
  readonly attempts: Pick<RecentAttempts, 'of'>;
  readonly clock: Clock;
}

/** The operations of the API, without those that only read the spool. */
export type ServiceOperations = Pick<Operations, keyof Operations>;

export interface PoolView {
  readonly name: string;
  readonly origin: string;
  readonly workers: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly dead: number;
  readonly paused: boolean;
  /** When the oldest pending delivery was accepted; null if there is none. */
  readonly oldestAt: EpochMs | null;
  /** Time until intake of all pools stops because the spool is full, at the present rate, ms; null while the spool does not grow. */
  readonly spoolFullInMs: number | null;
  /** The pool's own circuit breaker. */
  readonly breaker: BreakerState;
  /** Remaining time of its open state, ms; null if it is not open. */
  readonly probeInMs: number | null;
  readonly limits: { readonly maxBacklog: number; readonly overflow: PoolConfig['overflow']; readonly maxAgeMs: number };
  readonly handlers: readonly QueueView[];
}

export interface QueueView {
  readonly name: string;
  readonly recent: AttemptSummary;
  readonly waiting: number;
  readonly dead: number;
  /** Whether an operator has paused this handler; its pool may be paused as well. */
  readonly paused: boolean;
  readonly breaker: BreakerState;
  /** Remaining time of the breaker's open state, ms; null if it is not open. */
  readonly probeInMs: number | null;
  /** End of the pause that its backend asked for (`retry-after`); null without a pause. */
  readonly pausedUntil: EpochMs | null;
}

/** A pause that outlived what it paused: a pool, or a handler on it. */
export interface RemovedPause {
  readonly pool: string;
  readonly handler: string | null;
}

export interface OrphanView extends QueueName {
  readonly waiting: number;
}

export interface TestReport {
  readonly id: DeliveryId;
  readonly method: string;
  readonly url: string;
  readonly outcome: Outcome;
  readonly accepted: boolean;
  /** Why it was not accepted; empty if it was. */
  readonly reason: string;
}

/** What an operator can do to a running service. */
export class Operations {
  readonly #options: OperationsOptions;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  pools(): readonly PoolView[] {
    const { config, spool, dispatcher } = this.#options;
    const { pools, handlers } = config();
    const { depths, oldest, paused, fullInMs = null } = spool.stats();
    const inFlight = new Map(dispatcher.inFlight().map(({ pool, value }) => [pool, value]));
    const queues = byPool(handlers.flatMap(queuesOf));
    const depthsOf = byPool(depths);
    const now = this.#options.clock.monotonic();

    return pools.map(({ id, origin, workers, maxBacklog, overflow, retry: { maxAgeMs } }) => {
      const own = depthsOf.get(id) ?? [];
      const admission = dispatcher.admission(id);
      return {
        name: id,
        origin,
        workers,
        inFlight: inFlight.get(id) ?? 0,
        waiting: sum(own, ({ waiting }) => waiting),
        dead: sum(own, ({ dead }) => dead),
        paused: paused.includes(id),
        oldestAt: oldest.get(id) ?? null,
        spoolFullInMs: fullInMs,
        breaker: admission?.state ?? 'closed',
        probeInMs: (admission?.state === 'open' ? admission.opensInMs(now) : undefined) ?? null,
        limits: { maxBacklog, overflow, maxAgeMs },
        handlers: (queues.get(id) ?? []).map((queue) => this.#viewQueue(queue, own, paused)),
      };
    });
  }

  #viewQueue({ pool, handler }: QueueName, depths: readonly QueueDepth[], paused: readonly string[]): QueueView {
    const { attempts, dispatcher, clock } = this.#options;
    const depth = depths.find((queue) => queue.handler === handler);
    const admission = dispatcher.admission(pool)?.handler(handler);
    return {
      name: handler,
      recent: attempts.of(pool, handler),
      waiting: depth?.waiting ?? 0,
      dead: depth?.dead ?? 0,
      paused: paused.includes(pausedName(pool, handler)),
      breaker: admission?.state ?? 'closed',
      probeInMs: (admission?.state === 'open' ? admission.opensInMs(clock.monotonic()) : undefined) ?? null,
      pausedUntil: admission?.pausedUntil(clock.monotonic()) ?? null,
    };
  }

  /** The configured hosts. */
  hosts(): readonly string[] {
    return this.#options.config().hosts;
  }

  /**
   * Pauses or resumes a pool, or one handler of it; the state is kept across restarts. False: there is no such pool, or handler of it. A paused
   * one can be resumed after its removal from the configuration, too.
   */
  async setPaused(pool: string, paused: boolean, handler?: string): Promise<boolean> {
    const { dispatcher, spool } = this.#options;
    const isKnown = handler === undefined || this.#isConfigured({ pool, handler });
    if (!isKnown && !spool.stats().paused.includes(pausedName(pool, handler))) return false;
    return await dispatcher.setPaused(pool, paused, handler);
  }

  /** Lets each open breaker of a pool send a probe now. False: there is no such pool. */
  probe(pool: string): boolean {
    const { config, dispatcher } = this.#options;
    const admission = dispatcher.admission(pool);
    const queues = config().handlers.flatMap(queuesOf);
    // A breaker that is asked after its open time, however long that is, becomes half-open.
    for (const queue of queues) if (queue.pool === pool) admission?.handler(queue.handler).capacity(Number.POSITIVE_INFINITY);
    dispatcher.wake([pool]);
    return admission !== undefined;
  }

  /** Pauses of pools and handlers that are not configured: they take effect again once they are. */
  removedPauses(): readonly RemovedPause[] {
    const { config, spool } = this.#options;
    const known = new Set([...config().pools.map(({ id }) => id), ...this.#queues().map(({ pool, handler }) => pausedName(pool, handler))]);
    return spool
      .stats()
      .paused.filter((name) => !known.has(name))
      .map((name) => ({ pool: name.split('/', 1)[0] ?? name, handler: name.includes('/') ? name.slice(name.indexOf('/') + 1) : null }));
  }

  /** Queues whose pool or handler is not configured. */
  orphans(): readonly OrphanView[] {
    return this.#options.dispatcher.orphans().map(({ pool, handler, waiting }) => ({ pool, handler, waiting }));
  }

  /** Moves an orphaned queue to a configured one; returns the number of deliveries. Throws UNKNOWN_QUEUE. */
  async moveOrphans(from: QueueName, to: QueueName): Promise<number> {
    this.#requireOrphan(from);
    requireMovable(from, to);
    this.#requireConfigured(to);
    const moved = await this.#options.spool.moveQueue(from, to);
    this.#options.dispatcher.wake([to.pool]);
    return moved;
  }

  /** Removes an orphaned queue; returns the number of deliveries. Throws UNKNOWN_QUEUE. */
  async purgeOrphans(queue: QueueName): Promise<number> {
    this.#requireOrphan(queue);
    return await this.#options.spool.purgeQueue(queue);
  }

  #requireOrphan(queue: QueueName): void {
    if (!this.#isConfigured(queue)) return;
    const text = `the handler ${queue.handler} on the pool ${queue.pool} is configured: its deliveries are not orphans`;
    throw new ServiceError('UNKNOWN_QUEUE', text);
  }

  #requireConfigured(queue: QueueName): void {
    if (this.#isConfigured(queue)) return;
    const names = this.#queues().map(({ pool, handler }) => `${handler} on ${pool}`);
    const known = names.length === 0 ? 'none' : names.join(', ');
    const text = `the handler ${queue.handler} on the pool ${queue.pool} is not configured; there are: ${known}`;
    throw new ServiceError('UNKNOWN_QUEUE', text);
  }

  #isConfigured({ pool, handler }: QueueName): boolean {
    return this.#queues().some((known) => known.handler === handler && known.pool === pool);
  }

  #queues(): readonly QueueName[] {
    return this.#options.config().handlers.flatMap(queuesOf);
  }

  /** Replays at most `limit` dead letters; those without a request go through the hooks again. */
  async replay(filter: DeadFilter, limit: number): Promise<ReplayReport> {
    return await this.#options.replayer.replay(filter, limit);
  }

  /**
   * Sends one request of a handler, marked as a test, and reports its outcome. If the handler asks a business server first, the ask
   * is sent, then the first push of its answer, and the last outcome is reported. Undefined: there is no such handler. Throws TEST_FAILED.
   */
  async sendTest(handler: string): Promise<TestReport | undefined> {
    const result = await this.#options.replayer.testRequest(handler);
    if (result === undefined) return undefined;
    if (result.kind !== 'request') {
      const why = result.kind === 'failed' ? result.failedPacket.detail : 'its callbacks declined the packet';
      throw new ServiceError('TEST_FAILED', `handler ${handler} made no request: ${why}`);
    }
    const { delivery } = result;
    return delivery.target.purpose?.kind === 'ask' ? await this.#askAndTest(delivery) : await this.#test(delivery);
  }

  async #test(delivery: NewRequest): Promise<TestReport> {
    const { id, pool, target } = delivery;
    const answer = await this.#options.dispatcher.sendTest(delivery);
    const origin = this.#options.config().pools.find((known) => known.id === pool)?.origin ?? '';
    return { id, method: target.method, url: `${origin}${target.path}`, ...answer };
  }

  async #askAndTest(ask: NewRequest): Promise<TestReport> {
    const asked = await this.#test(ask);
    const answer = readAnswer(asked.outcome);
    const refused = (reason: string): TestReport => ({ ...asked, accepted: false, reason });
    if (answer.kind === 'failed') return refused(`the business server gave no valid answer: ${answer.reason}`);
    if (answer.kind === 'misnamed') return refused(misnamed);
    if (answer.kind === 'withheld') return refused(`the business server withholds it: ${answer.errCode ?? ''} ${answer.errMsg}`.trimEnd());
    const pushes = await this.#options.prepareAsked(ask, answer);
    if (typeof pushes === 'string') return refused(misnamed);
    const [push] = pushes.spawn;
    if (push !== undefined) return await this.#test(markedAsTest(push));
    return refused(pushes.failedPackets[0]?.detail ?? 'the business server names no receiver');
  }
}

/** An ordered request is sent to the origin of the order: no other pool can send it. */
function requireMovable(from: QueueName, to: QueueName): void {
  if (from.pool === to.pool || (!isFollowUpPool(from.pool) && !isFollowUpPool(to.pool))) return;
  throw new ServiceError('UNKNOWN_QUEUE', `deliveries of the pool ${from.pool} cannot be sent by the pool ${to.pool}`);
}

const misnamed = 'the userIDList of the business server is invalid, so nothing is pushed';

/** There may be a thousand pools, each with its queues. */
function byPool<T extends QueueName>(items: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.pool);
    if (group === undefined) groups.set(item.pool, [item]);
    else group.push(item);
  }
  return groups;
}

function sum(depths: readonly QueueDepth[], count: (depth: QueueDepth) => number): number {
  return depths.reduce((total, depth) => total + count(depth), 0);
}
