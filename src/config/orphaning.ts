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
 * One warning for each queue whose deliveries no handler of `next` would send: they become orphans. Where `running` is given,
 * those that are orphans already are left out. A handler without a name of its own gets another name when its path changes.
 */
export function orphaning(owed: readonly Owed[], next: Handlers, running?: Handlers): readonly string[] {
  const left = owed.filter((queue) => queue.waiting > 0 && !serves(next, queue) && (running === undefined || serves(running, queue)));
  return left.map((queue) => warningOf(queue, newcomers(queue, { owed, next })));
}

function serves({ handlers }: Handlers, { pool, handler }: Owed): boolean {
  return handlers.flatMap(queueNames).some((queue) => queue.pool === pool && queue.handler === handler);
}

/** As the dispatcher queues them (`delivery/served.ts`). */
export function queueNames({ name, pool, beforePush, followUp }: HandlerConfig): readonly Omit<Owed, 'waiting'>[] {
  return [
    { pool, handler: name },
    ...(beforePush === undefined ? [] : [{ pool: beforePush.pool, handler: beforePush.queue }]),
    ...(followUp === undefined ? [] : builtInPools.map((builtIn) => ({ pool: builtIn, handler: name }))),
  ];
}

/** The handlers of the same pool that nothing is owed to yet: one of them may be the old one under a new name. */
function newcomers({ pool }: Owed, { owed, next }: { readonly owed: readonly Owed[]; readonly next: Handlers }): readonly string[] {
  const names = next.handlers.filter((handler) => handler.pool === pool).map(({ name }) => name);
  return names.filter((name) => !owed.some((queue) => queue.pool === pool && queue.handler === name));
}

function warningOf({ pool, handler, waiting }: Owed, [only, another]: readonly string[]): string {
  const deliveries = waiting === 1 ? '1 delivery waits' : `${waiting} deliveries wait`;
  const target = only !== undefined && another === undefined ? only : 'NAME';
  const keep = /^[\w.-]+$/.test(handler) ? `write name = "${handler}" at the handler that continues it, or ` : '';
  const move = `event-pusher orphans move --pool ${pool} --handler ${handler} --to-handler ${target}`;
  return `${deliveries} for the handler ${handler} on the pool ${pool}, which this configuration does not have: kept as orphans, and not sent. To send them, ${keep}run: ${move}`;
}
