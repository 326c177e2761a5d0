import type { Logger } from 'pino';
import type { EventBus } from './events.ts';

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
