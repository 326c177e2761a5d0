import { ServiceError } from '../../kit/errors.ts';
import type { QueueName } from '../../model/delivery.ts';
import { audit } from './audit.ts';
import type { ApiDependencies } from './dependencies.ts';
import { countShape, moveQuestion, orphanList, queue } from './pool-shapes.ts';
import { defineRoute, type Route } from './route.ts';
import { nothing } from './values.ts';

/** Deliveries whose handler or pool is no longer configured: they wait until somebody moves or purges them. */
export function orphanRoutes({ operations, events }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/orphans',
    summary: 'Lists the queues whose pool or handler is not configured.',
    asks: nothing,
    answers: orphanList,
    handle: () => operations.orphans().map(({ pool, handler, waiting }) => ({ pool, handler, waiting })),
  });

  const move = defineRoute({
    method: 'POST',
    path: '/orphans/move',
    summary: 'Gives an orphaned queue to a configured one.',
    asks: moveQuestion,
    answers: countShape,
    handle: async ({ from, to }, caller) => {
      refuseUnorphaned(from);
      const count = await operations.moveOrphans(from, to);
      audit(events, caller, `moved ${count} deliveries from ${show(from)} to ${show(to)}`);
      return { count };
    },
  });

  const purge = defineRoute({
    method: 'POST',
    path: '/orphans/purge',
    summary: 'Removes the deliveries of an orphaned queue for good.',
    asks: queue,
    answers: countShape,
    handle: async (orphan, caller) => {
      refuseUnorphaned(orphan);
      const count = await operations.purgeOrphans(orphan);
      audit(events, caller, `purged ${count} deliveries of ${show(orphan)}`);
      return { count };
    },
  });

  /** A queue that is served is nobody's orphan, whatever somebody typed. */
  function refuseUnorphaned({ pool, handler }: QueueName): void {
    if (operations.orphans().some((orphan) => orphan.pool === pool && orphan.handler === handler)) return;
    throw new ServiceError(
      'UNKNOWN_QUEUE',
      `no orphaned deliveries of ${show({ pool, handler })}: either there are none, or it is configured`,
    );
  }

  return [list, move, purge];
}

function show({ pool, handler }: QueueName): string {
  return `handler ${JSON.stringify(handler)} on pool ${JSON.stringify(pool)}`;
}
