import type { Config, HandlerConfig } from './config.ts';
import { builtInPools } from './follow-up.ts';

/** Deliveries that wait for a handler on a pool. */
export interface Owed {
  readonly pool: string;
  readonly handler: string;
  readonly waiting: number;
}

type Handlers = Pick<Config, 'handlers'>;

/**
 * One warning for each queue that has no handler in `next`, so that its deliveries become orphans. If `running` is given,
 * existing orphans are left out. The name of a handler without `name` changes with its path.
 */
export function orphaning(owed: readonly Owed[], next: Handlers, running?: Handlers): readonly string[] {
  const left = owed.filter((queue) => queue.waiting > 0 && !serves(next, queue) && (running === undefined || serves(running, queue)));
  return left.map((queue) => warningOf(queue, newcomers(queue, { owed, next })));
}

function serves({ handlers }: Handlers, { pool, handler }: Owed): boolean {
  return handlers.flatMap(queueNames).some((queue) => queue.pool === pool && queue.handler === handler);
}

/** The queues that have a handler, as in the dispatcher (`delivery/served.ts`). */
export function queueNames({ name, pool, beforePush, followUp }: HandlerConfig): readonly Omit<Owed, 'waiting'>[] {
  return [
    { pool, handler: name },
    ...(beforePush === undefined ? [] : [{ pool: beforePush.pool, handler: beforePush.queue }]),
    ...(followUp === undefined ? [] : builtInPools.map((builtIn) => ({ pool: builtIn, handler: name }))),
  ];
}

/** Handlers of the same pool without deliveries; one of them may be the renamed handler. */
function newcomers({ pool }: Owed, { owed, next }: { readonly owed: readonly Owed[]; readonly next: Handlers }): readonly string[] {
  const names = next.handlers.filter((handler) => handler.pool === pool).map(({ name }) => name);
  return names.filter((name) => !owed.some((queue) => queue.pool === pool && queue.handler === name));
}

function warningOf({ pool, handler, waiting }: Owed, [only, another]: readonly string[]): string {
  const deliveries = waiting === 1 ? '1 delivery waits' : `${waiting} deliveries wait`;
  const target = only !== undefined && another === undefined ? only : 'NAME';
  const keep = /^[\w.-]+$/.test(handler) ? `set name = "${handler}" on the handler that replaces it, or ` : '';
  const move = `event-pusher orphans move --pool ${pool} --handler ${handler} --to-handler ${target}`;
  return `${deliveries} for the handler ${handler} on the pool ${pool}, which this configuration does not have: they are kept as orphans and not sent. To send them, ${keep}run: ${move}`;
}
