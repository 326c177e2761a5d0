import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExitsAttachment } from '../../../config/config.ts';
import type { Clock, Timers } from '../../../kit/clock.ts';
import { HttpListener } from '../../../kit/http-listener.ts';
import { createLifecycle, type Lifecycle } from '../../../kit/lifecycle.ts';
import type { EventSink } from '../../../telemetry/events.ts';

export interface ListenersOptions {
  readonly attachment: Pick<ExitsAttachment, 'listeners' | 'maxConnections' | 'name' | 'requestTimeoutMs'>;
  readonly events: EventSink;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
  serve(request: IncomingMessage, response: ServerResponse, listener: string): Promise<void>;
  /** A listener is open. */
  opened(listener: string, address: string): void;
}

const keepAliveMs = 60_000;
/** What is under way when the listeners stop has this long to end, ms. */
const endWithinMs = 5000;

/** Several listeners with one life. Starting throws ATTACH_LISTEN_FAILED, and leaves none open. */
export function createListeners({ attachment, events, clock, timers, serve, opened }: ListenersOptions): Lifecycle {
  const { name, maxConnections, requestTimeoutMs } = attachment;
  const all = attachment.listeners.map((listen) => {
    const http = new HttpListener({
      listen,
      setting: `[attach.${name}] listen`,
      failure: 'ATTACH_LISTEN_FAILED',
      limits: { maxConnections, requestTimeoutMs, headersTimeoutMs: requestTimeoutMs, keepAliveMs },
      endWithinMs,
      serve: (request, response) => serve(request, response, listen.name),
      onRefused: (reason, count) => events.emit('connection.refused', { listener: name, reason, count }),
      onFault: (error) => events.emit('request.failed', { listener: name, error }),
      clock,
      timers,
    });
    return { name: listen.name, http };
  });

  return createLifecycle({
    start: async () => {
      for (const listener of all) {
        await listener.http.open();
        opened(listener.name, listener.http.origin);
      }
    },
    stop: async () => void (await Promise.all(all.map(({ http }) => http.close()))),
  });
}
