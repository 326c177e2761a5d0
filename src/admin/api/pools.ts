/** Pools with their queues, and queues that belong to no configured pool or handler. */
import { z } from 'zod';
import { section, text } from '../../config/values.ts';
import { type ErrorCode, ServiceError } from '../../kit/errors.ts';
import { nearest } from '../../kit/nearest.ts';
import type { QueueName } from '../../model/delivery.ts';
import type { AttemptSummary, LastError } from '../../telemetry/recent.ts';
import type { PoolView, ServiceOperations } from '../operations.ts';
import { withoutQuotes } from './content.ts';
import { type ApiDependencies, audit, type Caller, defineRoute, type Route } from './route.ts';
import { addedLater, count, noParameters, rfc3339, time } from './values.ts';

const breaker = z.enum(['closed', 'half-open', 'open', 'slow-start']);

/** Recent attempts of a handler, or of all handlers of a pool. */
const attemptKeys = {
  consecutiveFailures: count.describe('Attempts since the last accepted one; for a pool, the maximum of its handlers.'),
  lastError: z
    .object({ at: time, reason: z.string() })
    .nullable()
    .describe(
      'Why the last failed attempt was not accepted. For callers that may not see content, the error text of a callback is `[hidden]`.',
    ),
  recentAttempts: count.describe('Attempts in the last five minutes.'),
  successRate: z.number().min(0).max(1).nullable().describe('Accepted fraction of `recentAttempts`; null if there are none.'),
};

const poolShape = z.object({
  name: z.string(),
  origin: z.string(),
  workers: count,
  inFlight: count,
  waiting: count,
  dead: count,
  paused: z.boolean(),
  oldestAt: time.nullable().describe('When the oldest pending delivery was accepted.'),
  spoolFullInSeconds: count
    .nullable()
    .describe(
      'Seconds until intake of all pools stops because the spool is full, at the rate of the last five minutes; null: the spool does not grow.',
    ),
  breaker,
  ...attemptKeys,
  handlers: z.array(
    z.object({
      name: z.string(),
      waiting: count,
      dead: count,
      paused: addedLater(z.boolean(), false).describe('Whether an operator has paused this handler; its pool may be paused as well.'),
      breaker,
      pausedUntil: time.nullable().describe('End of the pause that its backend asked for.'),
      ...attemptKeys,
    }),
  ),
});

export const poolList = z.array(poolShape);

export const pausedShape = z.object({ pool: z.string(), handler: z.string().optional(), paused: z.boolean() });

export function poolRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/pools',
    summary: 'Lists the pools with their pending deliveries and the state of their backends.',
    parameters: noParameters,
    response: poolList,
    handle: (_, caller) => operations.pools().map((pool) => poolView(pool, caller)),
  });

  const set = (word: 'pause' | 'resume', summary: string): Route =>
    defineRoute({
      method: 'POST',
      path: `/pools/{pool}/${word}`,
      summary,
      parameters: section({ pool: text }),
      response: pausedShape,
      handle: async ({ pool }, caller) => {
        const paused = word === 'pause';
        if (!(await operations.setPaused(pool, paused))) throw unknownName('pool', pool, poolsOf(operations.pools()));
        audit(events, caller, `${word}d pool ${pool}`);
        return { pool, paused };
      },
    });

  const setHandler = (word: 'pause' | 'resume', summary: string): Route =>
    defineRoute({
      method: 'POST',
      path: `/pools/{pool}/handlers/{handler}/${word}`,
      summary,
      parameters: queue,
      response: pausedShape,
      handle: async ({ pool, handler }, caller) => {
        const paused = word === 'pause';
        if (!(await operations.setPaused(pool, paused, handler))) throw notOfPool({ pool, handler }, operations.pools());
        audit(events, caller, `${word}d handler ${handler} on pool ${pool}`);
        return { pool, handler, paused };
      },
    });

  const probe = defineRoute({
    method: 'POST',
    path: '/pools/{pool}/probe',
    summary: 'Ends the open time of the circuit breakers of a pool: the next attempt of each is a probe, sent at once.',
    parameters: section({ pool: text }),
    response: z.object({ pool: z.string() }),
    handle: ({ pool }, caller) => {
      if (!operations.probe(pool)) throw unknownName('pool', pool, poolsOf(operations.pools()));
      audit(events, caller, `asked for a probe of pool ${pool}`);
      return { pool };
    },
  });

  return [
    list,
    probe,
    set('pause', 'Pauses sending to a pool, also across restarts; its deliveries are kept.'),
    set('resume', 'Resumes sending to a pool.'),
    setHandler('pause', 'Pauses sending for one handler of a pool, also across restarts; its deliveries are kept, the others go on.'),
    setHandler('resume', 'Resumes sending for one handler of a pool. If the pool is paused as well, it must be resumed, too.'),
  ];
}

function poolView(
  { oldestAt, spoolFullInMs, handlers, probeInMs: _, limits: __, ...pool }: PoolView,
  caller: Caller,
): z.input<typeof poolShape> {
  return {
    ...pool,
    oldestAt: oldestAt === null ? null : rfc3339(oldestAt),
    spoolFullInSeconds: spoolFullInMs === null ? null : Math.floor(spoolFullInMs / 1000),
    ...attemptsView(combined(handlers.map(({ recent }) => recent)), caller),
    handlers: handlers.map(({ pausedUntil, recent, probeInMs: _, ...handler }) => ({
      ...handler,
      ...attemptsView(recent, caller),
      pausedUntil: pausedUntil === null ? null : rfc3339(pausedUntil),
    })),
  };
}

/** Combines handlers: the most consecutive failures and the newest error. */
function combined(handlers: readonly AttemptSummary[]): AttemptSummary {
  const errors = handlers.flatMap(({ lastError }) => lastError ?? []);
  return {
    consecutiveFailures: Math.max(0, ...handlers.map(({ consecutiveFailures }) => consecutiveFailures)),
    lastError: errors.toSorted((a, b) => a.at - b.at).at(-1),
    attempts: handlers.reduce((sum, { attempts }) => sum + attempts, 0),
    accepted: handlers.reduce((sum, { accepted }) => sum + accepted, 0),
  };
}

/** Why a handler of a pool cannot be paused or resumed: an unknown name, or a handler that uses other pools. */
function notOfPool({ pool, handler }: QueueName, pools: readonly PoolView[]): ServiceError {
  const known = poolsOf(pools);
  if (!known.includes(pool)) return unknownName('pool', pool, known);
  const handlers = handlersOf(pools);
  if (!handlers.includes(handler)) return unknownName('handler', handler, handlers);
  const used = pools.filter((each) => each.handlers.some(({ name }) => name === handler)).map(({ name }) => JSON.stringify(name));
  const text = `handler ${JSON.stringify(handler)} does not use pool ${JSON.stringify(pool)}; it uses ${used.join(', ')}`;
  return new ServiceError('UNKNOWN_HANDLER', text);
}

type AttemptsView = Pick<z.input<typeof poolShape>, keyof typeof attemptKeys>;

function attemptsView({ consecutiveFailures, lastError, attempts, accepted }: AttemptSummary, { mayReadContent }: Caller): AttemptsView {
  const shown = ({ at, reason, mayQuote }: LastError) => ({
    at: rfc3339(at),
    reason: mayReadContent ? reason : withoutQuotes(reason, !mayQuote),
  });
  return {
    consecutiveFailures,
    lastError: lastError === undefined ? null : shown(lastError),
    recentAttempts: attempts,
    successRate: attempts === 0 ? null : accepted / attempts,
  };
}

/** The deliveries of one handler on one pool. */
const queue = section({ pool: text, handler: text }, 'a table with "pool" and "handler"');

export const orphanList = z.array(z.object({ pool: z.string(), handler: z.string(), waiting: count }));

export const countShape = z.object({ count });

/** Deliveries whose handler or pool is not configured: they wait until an operator moves or purges them. */
export function orphanRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/orphans',
    summary: 'Lists the queues whose pool or handler is not configured.',
    parameters: noParameters,
    response: orphanList,
    handle: () => operations.orphans().map(({ pool, handler, waiting }) => ({ pool, handler, waiting })),
  });

  const move = defineRoute({
    method: 'POST',
    path: '/orphans/move',
    summary: 'Moves an orphaned queue to a configured one.',
    parameters: section({ from: queue, to: queue }),
    response: countShape,
    handle: async ({ from, to }, caller) => {
      requireOrphan(from, operations);
      const moved = await operations.moveOrphans(from, to);
      audit(events, caller, `moved ${moved} deliveries from ${queueText(from)} to ${queueText(to)}`);
      return { count: moved };
    },
  });

  const purge = defineRoute({
    method: 'POST',
    path: '/orphans/purge',
    summary: 'Removes the deliveries of an orphaned queue permanently.',
    parameters: queue,
    response: countShape,
    handle: async (orphan, caller) => {
      requireOrphan(orphan, operations);
      const purged = await operations.purgeOrphans(orphan);
      audit(events, caller, `purged ${purged} deliveries of ${queueText(orphan)}`);
      return { count: purged };
    },
  });

  return [list, move, purge];
}

/** Throws UNKNOWN_QUEUE. */
function requireOrphan({ pool, handler }: QueueName, operations: Pick<ServiceOperations, 'orphans'>): void {
  if (operations.orphans().some((orphan) => orphan.pool === pool && orphan.handler === handler)) return;
  const text = `no orphaned deliveries of ${queueText({ pool, handler })}: either there are none, or it is configured`;
  throw new ServiceError('UNKNOWN_QUEUE', text);
}

function queueText({ pool, handler }: QueueName): string {
  return `handler ${JSON.stringify(handler)} on pool ${JSON.stringify(pool)}`;
}

/** What has a name in the configuration. */
type Named = 'handler' | 'host' | 'pool';

const codes: Readonly<Record<Named, ErrorCode>> = { handler: 'UNKNOWN_HANDLER', host: 'UNKNOWN_HOST', pool: 'UNKNOWN_POOL' };

/** The error for a name that is not among the `known` names, which it lists. */
export function unknownName(what: Named, name: string, known: readonly string[], and = ''): ServiceError {
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
  const names = known.length === 0 ? 'none' : known.join(', ');
  return new ServiceError(codes[what], `there is no ${what} ${JSON.stringify(name)}${and}; there are: ${names}${hint}`);
}

/** The names of all queues, each once; `HANDLER:ask` holds the asks of a handler. */
export function handlersOf(pools: readonly PoolView[]): readonly string[] {
  return [...new Set(pools.flatMap(({ handlers }) => handlers.map(({ name }) => name)))];
}

export function poolsOf(pools: readonly PoolView[]): readonly string[] {
  return pools.map(({ name }) => name);
}
