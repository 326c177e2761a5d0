/** What an operator may ask of a running service, put together from its parts. */
import type { Operations, OrphanView, PoolView, QueueView, ReplayReport, TestReport } from './admin/operations.ts';
import type { Config } from './config/config.ts';
import { readAnswer } from './delivery/ask/answer.ts';
import type { Dispatcher } from './delivery/dispatcher.ts';
import { isFollowUpPool, queuesOf } from './delivery/policy.ts';
import type { PrepareAsked } from './hooks/before-push/pushes.ts';
import { markedAsTest, type Reviver } from './hooks/revive.ts';
import type { Clock } from './kit/clock.ts';
import { ServiceError } from './kit/errors.ts';
import type { NewRequest, QueueName } from './model/delivery.ts';
import type { DeadFilter } from './spool/dead-letter.ts';
import type { QueueDepth, Spool } from './spool/spool.ts';
import type { RecentAttempts } from './telemetry/recent.ts';

export interface OperationsParts {
  /** Asked anew each time: it may be replaced. */
  readonly config: () => Pick<Config, 'handlers' | 'hosts' | 'pools'>;
  readonly spool: Spool;
  readonly dispatcher: Dispatcher;
  readonly reviver: Reviver;
  readonly prepareAsked: PrepareAsked;
  readonly attempts: Pick<RecentAttempts, 'of'>;
  readonly clock: Clock;
}

export function createOperations({ config, spool, dispatcher, reviver, prepareAsked, attempts, clock }: OperationsParts): Operations {
  async function moveOrphans(from: QueueName, to: QueueName): Promise<number> {
    requireOrphan(from);
    requireMovable(from, to);
    if (!isConfigured(to))
      throw new ServiceError(
        'UNKNOWN_QUEUE',
        `the handler ${to.handler} on the pool ${to.pool} is not configured; there are: ${queueNames()}`,
      );
    const moved = await spool.moveQueue(from, to);
    dispatcher.wake([to.pool]);
    return moved;
  }

  async function purgeOrphans(queue: QueueName): Promise<number> {
    requireOrphan(queue);
    return await spool.purgeQueue(queue);
  }

  function requireOrphan(queue: QueueName): void {
    if (!isConfigured(queue)) return;
    throw new ServiceError(
      'UNKNOWN_QUEUE',
      `the handler ${queue.handler} on the pool ${queue.pool} is configured: its deliveries are no orphans`,
    );
  }

  /** What was ordered goes where it was ordered, and no other pool can send it there. */
  function requireMovable(from: QueueName, to: QueueName): void {
    if (from.pool === to.pool || (!isFollowUpPool(from.pool) && !isFollowUpPool(to.pool))) return;
    throw new ServiceError('UNKNOWN_QUEUE', `what waits in the pool ${from.pool} cannot be sent by the pool ${to.pool}`);
  }

  function queueNames(): string {
    const names = config()
      .handlers.flatMap(queuesOf)
      .map(({ pool, handler }) => `${handler} on ${pool}`);
    return names.length === 0 ? 'none' : names.join(', ');
  }

  function isConfigured({ pool, handler }: QueueName): boolean {
    return config()
      .handlers.flatMap(queuesOf)
      .some((known) => known.handler === handler && known.pool === pool);
  }

  async function replay(filter: DeadFilter, limit: number): Promise<ReplayReport> {
    const { replayed, failedPackets, readyPools } = await spool.replay(filter, { limit, now: clock.now() });
    dispatcher.wake(readyPools);
    const revived = failedPackets === 0 ? 0 : await reviveAll(filter, failedPackets);
    return { replayed: replayed + revived, failed: failedPackets - revived };
  }

  /** Those that never were deliveries meet the hooks again, one by one; gives how many became one. */
  async function reviveAll(filter: DeadFilter, failedPackets: number): Promise<number> {
    let revived = 0;
    for (const { id } of await spool.deadLetters(filter, { limit: failedPackets })) {
      const letter = await spool.deadLetter(id);
      if (letter?.packet == null || letter.packet === '') continue; // the spool refused what it was made of
      const delivery = await reviver.revive({ id, handler: letter.handler, packet: letter.packet });
      if (delivery === undefined) continue;
      await dispatcher.accept({ deliveries: [delivery], deadLetters: [], mark: undefined, revives: id });
      revived += 1;
    }
    return revived;
  }

  async function sendTest(handler: string): Promise<TestReport | undefined> {
    const met = await reviver.testRequest(handler);
    if (met === undefined) return undefined;
    if (met.kind !== 'wanted')
      throw new ServiceError(
        'TEST_FAILED',
        `handler ${handler} made no request: ${met.kind === 'failed' ? met.letter.detail : 'it wants none'}`,
      );
    return met.delivery.target.purpose?.kind === 'ask' ? await askAndTest(met.delivery) : await test(met.delivery);
  }

  async function test(delivery: NewRequest): Promise<TestReport> {
    const { id, pool, target } = delivery;
    const answer = await dispatcher.sendTest(delivery);
    const origin = config().pools.find((known) => known.id === pool)?.origin ?? '';
    return { id, method: target.method, url: `${origin}${target.path}`, ...answer };
  }

  /** The question, and where its answer lets something be pushed the first push: what is told is what came last. */
  async function askAndTest(ask: NewRequest): Promise<TestReport> {
    const asked = await test(ask);
    const answer = readAnswer(asked.outcome);
    const refused = (reason: string): TestReport => ({ ...asked, accepted: false, reason });
    if (answer.kind === 'failed') return refused(`the business server gave no answer that counts: ${answer.reason}`);
    if (answer.kind === 'misnamed') return refused(misnamed);
    if (answer.kind === 'withheld') return refused(`the business server withholds it: ${answer.errCode ?? ''} ${answer.errMsg}`.trimEnd());
    const made = await prepareAsked(ask, answer);
    if (typeof made === 'string') return refused(misnamed);
    const [push] = made.spawn;
    if (push !== undefined) return await test(markedAsTest(push));
    return refused(made.failedPackets[0]?.detail ?? 'the business server names no receiver');
  }

  return {
    pools: () => viewPools(config(), { spool, dispatcher, attempts, clock }),
    hosts: () => config().hosts,
    setPaused: dispatcher.setPaused,
    orphans: () => dispatcher.orphans().map(({ pool, handler, waiting }): OrphanView => ({ pool, handler, waiting })),
    moveOrphans,
    purgeOrphans,
    replay,
    sendTest,
  };
}

const misnamed = 'the userIDList of the business server is invalid, so nothing is pushed';

function viewPools(
  { pools, handlers }: Pick<Config, 'handlers' | 'pools'>,
  { spool, dispatcher, attempts, clock }: Views,
): readonly PoolView[] {
  const { depths, oldest, paused, fullInMs = null } = spool.stats();
  const inFlight = new Map(dispatcher.inFlight().map(({ pool, value }) => [pool, value]));
  const now = clock.monotonic();
  const queues = handlers.flatMap(queuesOf);

  function viewQueue(pool: string, name: string): QueueView {
    const depth = depths.find((queue) => queue.pool === pool && queue.handler === name);
    const admission = dispatcher.admission(pool)?.handler(name);
    return {
      name,
      standing: attempts.of(pool, name),
      waiting: depth?.waiting ?? 0,
      dead: depth?.dead ?? 0,
      breaker: admission?.state ?? 'closed',
      pausedUntil: admission?.pausedUntil(now) ?? null,
    };
  }

  return pools.map(({ id, origin, workers }) => {
    const own = depths.filter(({ pool }) => pool === id);
    return {
      name: id,
      origin,
      workers,
      inFlight: inFlight.get(id) ?? 0,
      waiting: sum(own, ({ waiting }) => waiting),
      dead: sum(own, ({ dead }) => dead),
      paused: paused.includes(id),
      oldestAt: oldest[id] ?? null,
      spoolFullInMs: fullInMs,
      breaker: dispatcher.admission(id)?.state ?? 'closed',
      handlers: queues.filter(({ pool }) => pool === id).map(({ handler }) => viewQueue(id, handler)),
    };
  });
}

type Views = Pick<OperationsParts, 'attempts' | 'clock' | 'dispatcher' | 'spool'>;

function sum(depths: readonly QueueDepth[], count: (depth: QueueDepth) => number): number {
  return depths.reduce((total, depth) => total + count(depth), 0);
}
