/** Notices about a valid configuration whose effect may surprise its author. */
import { lifeEvents } from '../model/packet.ts';
import type { HandlerConfig, When } from './config.ts';
import { builtInPools } from './follow-up.ts';
import type { Attachment, Config } from './service-config.ts';

/** Missing parts without which nothing is pushed, and handlers for events that no attachment reports. */
export function noticesOf({ attachments, handlers, hosts }: Pick<Config, 'attachments' | 'handlers' | 'hosts'>): readonly string[] {
  const notices: string[] = [];
  if (attachments.length === 0) notices.push('no [attach.NAME] section: without an attachment `run` refuses to start');
  if (hosts.length === 0) notices.push('general.hosts is empty: no packet is local, so no handler evaluates one');
  if (handlers.length === 0) notices.push('no enabled handler under modules.mod_event_pusher: nothing is pushed');
  return [...notices, ...unsupportedEvents({ attachments, handlers })];
}

/** Events that only the tap reports, and kinds that only these have. */
const tapEvents: ReadonlySet<string> = new Set(['status', 'unack', ...lifeEvents]);
const tapKinds: ReadonlySet<string> = new Set(['life', 'status']);

/** One notice per handler whose events none of its hosts' attachments reports. */
function unsupportedEvents({ attachments, handlers }: Pick<Config, 'attachments' | 'handlers'>): readonly string[] {
  const tapped = new Set(attachments.filter(isTap).flatMap(({ hosts }) => hosts));
  return handlers.flatMap((handler) => {
    const wanted = tapEventsOf(handler);
    if (wanted.length === 0 || attachments.length === 0 || handler.hosts.some((host) => tapped.has(host))) return [];
    return [
      `handler ${handler.name} waits for ${wanted.join(' and ')}, which only a tap reports, but its hosts are attached without a tap`,
    ];
  });
}

function isTap(attachment: Attachment): boolean {
  return attachment.type === 'component' && attachment.feed === 'tap';
}

function tapEventsOf({ when = {} }: HandlerConfig): readonly string[] {
  return [...new Set(namesIn(when))];
}

/** The events of a tap that rules wait for; `not` excludes events and waits for none. */
function namesIn({ event, kind = [], occupant, any = [] }: When): readonly string[] {
  const own = event?.filter((name) => tapEvents.has(name)) ?? kind.filter((name) => tapKinds.has(name));
  return [...own, ...(occupant === false ? ['absent members of rooms'] : []), ...any.flatMap(namesIn)];
}

/** The deliveries that wait for a handler on a pool. */
export interface Backlog {
  readonly pool: string;
  readonly handler: string;
  readonly waiting: number;
}

type Handlers = Pick<Config, 'handlers'>;

/**
 * One warning for each queue that has no handler in `next`, so that its deliveries become orphans. If `running` is given,
 * existing orphans are left out. The name of a handler without `name` changes with its path.
 */
export function orphanWarnings(backlogs: readonly Backlog[], next: Handlers, running?: Handlers): readonly string[] {
  const orphaned = backlogs.filter(
    (queue) => queue.waiting > 0 && !serves(next, queue) && (running === undefined || serves(running, queue)),
  );
  return orphaned.map((queue) => orphanWarning(queue, idleHandlers(queue, { backlogs, next })));
}

function serves({ handlers }: Handlers, { pool, handler }: Backlog): boolean {
  return handlers.flatMap(queueNames).some((queue) => queue.pool === pool && queue.handler === handler);
}

/** The queues that have a handler, as in the dispatcher (`delivery/served.ts`). */
export function queueNames({ name, pool, beforePush, followUp }: HandlerConfig): readonly Omit<Backlog, 'waiting'>[] {
  return [
    { pool, handler: name },
    ...(beforePush === undefined ? [] : [{ pool: beforePush.pool, handler: beforePush.queue }]),
    ...(followUp === undefined ? [] : builtInPools.map((builtIn) => ({ pool: builtIn, handler: name }))),
  ];
}

/** Handlers of the same pool without deliveries; one of them may be the renamed handler. */
function idleHandlers({ pool }: Backlog, around: { readonly backlogs: readonly Backlog[]; readonly next: Handlers }): readonly string[] {
  const names = around.next.handlers.filter((handler) => handler.pool === pool).map(({ name }) => name);
  return names.filter((name) => !around.backlogs.some((queue) => queue.pool === pool && queue.handler === name));
}

function orphanWarning({ pool, handler, waiting }: Backlog, [only, another]: readonly string[]): string {
  const deliveries = waiting === 1 ? '1 delivery waits' : `${waiting} deliveries wait`;
  const target = only !== undefined && another === undefined ? only : 'NAME';
  const keep = /^[\w.-]+$/.test(handler) ? `set name = "${handler}" on the handler that replaces it, or ` : '';
  const move = `event-pusher orphans move --pool ${pool} --handler ${handler} --to-handler ${target}`;
  return `${deliveries} for the handler ${handler} on the pool ${pool}, which this configuration does not have: they are kept as orphans and not sent. To send them, ${keep}run: ${move}`;
}
