import type { Logger } from 'pino';
import { createRfc3339 } from '../kit/clock.ts';
import type { EventBus } from './events.ts';

/** Circuit breakers, pauses, and full backlogs: what an operator is called for at night. */
export function logGuards(events: EventBus, log: Logger): void {
  const rfc3339 = createRfc3339();
  logBreakers(events, log);
  events.on('handler.paused', ({ pool, handler, until }) => {
    const told = { event: 'handler.paused', pool, handler, until: rfc3339(until) };
    log.warn(told, `a backend answered 429: nothing of handler ${handler} goes to pool ${pool} for a while`);
  });
  events.on('pool.paused', ({ pool, paused }) => {
    log.warn({ event: 'pool.paused', pool, paused }, `an operator ${paused ? 'paused' : 'resumed'} pool ${pool}`);
  });
  logOverflow(events, log);
  events.on('pool.shortage', ({ pool, state, reason }) => {
    const told = { event: 'pool.shortage', pool, state, reason };
    if (state === 'began')
      log.error(
        told,
        `this machine has no descriptor, port or memory left for connections of pool ${pool} (see ulimit -n): it waits and spends no attempt`,
      );
    else if (state === 'ended') log.info(told, `pool ${pool} can make connections again`);
  });
  events.on('delivery.callback-failed', ({ pool, handler, callback, id, at }) => {
    log.error(
      { event: 'delivery.callback-failed', pool, handler, callback, id, at },
      `callback ${callback} of handler ${handler} failed in a thread of pool ${pool}; the attempt's record says why`,
    );
  });
}

function logBreakers(events: EventBus, log: Logger): void {
  events.on('breaker.state', ({ pool, handler, state, reason }) => {
    const whose = handler === '' ? `pool ${pool}` : `handler ${handler} on pool ${pool}`;
    const told = { event: 'breaker.state', pool, ...(handler === '' ? {} : { handler }), state };
    if (state === 'open') log.error(told, `circuit breaker of ${whose} opens: ${reason}`);
    else log.info(told, `circuit breaker of ${whose} is ${state}: ${reason}`);
  });
}

function logOverflow(events: EventBus, log: Logger): void {
  events.on('backlog.overflow', ({ pool, handler, policy, count }) => {
    const told = { event: 'backlog.overflow', pool, handler, policy, count };
    if (policy === 'hold-intake') log.error(told, `the backlog of pool ${pool} is full: intake of all pools waits`);
    else log.error(told, `the backlog of pool ${pool} is full: ${count} deliveries of handler ${handler} became dead letters`);
  });
}

/** What business servers say of pushes, by `operationID`. Their own words stay out of the log: they may quote what somebody wrote. */
export function logAsks(events: EventBus, log: Logger): void {
  events.on('ask.ended', ({ id: operationID, packetId, handler, host, result, reason, pushes }) => {
    const told = { event: 'ask.ended', operationID, packetId, handler, host, result, reason, pushes };
    if (result === 'failed' && reason !== 'not-asked')
      log.warn(told, `handler ${handler} got no answer that counts to a question: ${reason}`);
    else log.debug(told, 'a question to a business server is over');
  });
  events.on('push.withheld', ({ id: operationID, packetId, handler, host, why, errCode }) => {
    const told = { event: 'push.withheld', operationID, packetId, handler, host, why, errCode };
    log.info(told, `handler ${handler} withholds a push: ${why}`);
  });
}
