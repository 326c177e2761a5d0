import type { z } from 'zod';
import type { LastError, Standing } from '../../telemetry/recent.ts';
import type { PoolView } from '../operations.ts';
import { audit } from './audit.ts';
import { withoutQuotes } from './content.ts';
import type { ApiDependencies } from './dependencies.ts';
import { pausedShape, poolList, poolQuestion, type poolShape } from './pool-shapes.ts';
import { type Caller, defineRoute, type Route } from './route.ts';
import { poolsOf, unknownName } from './unknown-name.ts';
import { nothing, rfc3339 } from './values.ts';

/** Pools: what they owe and how they stand, and whether they send at all. */
export function poolRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/pools',
    summary: 'Lists the pools, with what is owed and how their backends stand.',
    asks: nothing,
    answers: poolList,
    handle: (_, caller) => operations.pools().map((pool) => poolView(pool, caller)),
  });

  const set = (word: 'pause' | 'resume', summary: string): Route =>
    defineRoute({
      method: 'POST',
      path: `/pools/{pool}/${word}`,
      summary,
      asks: poolQuestion,
      answers: pausedShape,
      handle: async ({ pool }, caller) => {
        const paused = word === 'pause';
        if (!(await operations.setPaused(pool, paused))) throw unknownName('pool', pool, poolsOf(operations.pools()));
        audit(events, caller, `${word}d pool ${pool}`);
        return { pool, paused };
      },
    });

  return [
    list,
    set('pause', 'Stops sending to a pool, also over restarts; what it owes is kept.'),
    set('resume', 'Goes on sending to a pool.'),
  ];
}

function poolView({ oldestAt, spoolFullInMs, handlers, ...pool }: PoolView, caller: Caller): z.input<typeof poolShape> {
  return {
    ...pool,
    oldestAt: oldestAt === null ? null : rfc3339(oldestAt),
    spoolFullInSeconds: spoolFullInMs === null ? null : Math.floor(spoolFullInMs / 1000),
    ...standingView(together(handlers.map(({ standing }) => standing)), caller),
    handlers: handlers.map(({ pausedUntil, standing, ...handler }) => ({
      ...handler,
      ...standingView(standing, caller),
      pausedUntil: pausedUntil === null ? null : rfc3339(pausedUntil),
    })),
  };
}

/** Combines handlers: the most consecutive failures and the newest error. */
function together(standings: readonly Standing[]): Standing {
  const errors = standings.flatMap(({ lastError }) => lastError ?? []);
  return {
    consecutiveFailures: Math.max(0, ...standings.map(({ consecutiveFailures }) => consecutiveFailures)),
    lastError: errors.toSorted((a, b) => a.at - b.at).at(-1),
    attempts: standings.reduce((sum, { attempts }) => sum + attempts, 0),
    accepted: standings.reduce((sum, { accepted }) => sum + accepted, 0),
  };
}

type StandingView = Pick<z.input<typeof poolShape>, 'consecutiveFailures' | 'lastError' | 'recentAttempts' | 'successRate'>;

function standingView({ consecutiveFailures, lastError, attempts, accepted }: Standing, { mayReadContent }: Caller): StandingView {
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
