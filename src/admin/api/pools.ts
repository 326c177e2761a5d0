import type { z } from 'zod';
import { ServiceError } from '../../kit/errors.ts';
import type { PoolView } from '../operations.ts';
import { audit } from './audit.ts';
import type { ApiDependencies } from './dependencies.ts';
import { pausedShape, poolList, poolQuestion, type poolShape } from './pool-shapes.ts';
import { defineRoute, type Route } from './route.ts';
import { nothing, rfc3339 } from './values.ts';

/** Pools: what they owe and how they stand, and whether they send at all. */
export function poolRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/pools',
    summary: 'Lists the pools, with what is owed and how their backends stand.',
    asks: nothing,
    answers: poolList,
    handle: () => operations.pools().map(poolView),
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
        if (!(await operations.setPaused(pool, paused))) throw unknownPool(pool, operations.pools());
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

function poolView({ oldestAt, handlers, ...pool }: PoolView): z.input<typeof poolShape> {
  return {
    ...pool,
    oldestAt: oldestAt === null ? null : rfc3339(oldestAt),
    handlers: handlers.map(({ pausedUntil, ...handler }) => ({
      ...handler,
      pausedUntil: pausedUntil === null ? null : rfc3339(pausedUntil),
    })),
  };
}

function unknownPool(pool: string, known: readonly PoolView[]): ServiceError {
  const names = known.map(({ name }) => name).join(', ');
  return new ServiceError('UNKNOWN_POOL', `there is no pool ${JSON.stringify(pool)}; there are: ${names === '' ? 'none' : names}`);
}
